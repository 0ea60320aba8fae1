"""Prompts that come from Python and not from a file."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmint.artifacts import PromptSpec
from segmint.errors import PromptError, VocabularyError
from segmint.vocabulary import ClassEntry, Vocabulary, voc_colour

GIVEN = Path("prompts given in Python")
"""What stands in records and messages for the file that there is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPrompts:
    """Prompts that come from no file, as the JSONL that would hold them."""

    text: str
    specs: tuple[PromptSpec, ...] = ()
    """Those among them that say the ids of their classes."""

    def vocabulary(self) -> Vocabulary | None:
        """The classes of the specs, with their ids; None where there are other prompts too.

        Raises:
            VocabularyError: two specs give one class two ids or phrases, or one id to two classes.
        """
        if not self.specs or len(self.specs) < self.text.count("\n"):
            return None
        found = {
            ClassEntry(name=name, label_id=label_id, phrases=phrases, colour=voc_colour(label_id))
            for spec in self.specs
            for name, label_id, phrases in zip(spec.classes, spec.label_ids, spec.phrases, strict=True)
        }
        return Vocabulary.of_entries(found)


def given_prompts(prompts: Iterable[str | Mapping[str, Any] | PromptSpec]) -> GivenPrompts:
    """Prompts as Python has them: texts, specs, or tables of the fields that a JSONL file has.

    Raises:
        PromptError: there is none.
        TypeError: one is something else.
    """
    listed = list(prompts)
    lines = [_line(number, each) for number, each in enumerate(listed, start=1)]
    if not lines:
        raise PromptError("no prompt is given; give one or more, or None to have them planned")
    return GivenPrompts(
        text="".join(lines), specs=tuple(each for each in listed if isinstance(each, PromptSpec))
    )


def _line(number: int, prompt: str | Mapping[str, Any] | PromptSpec) -> str:
    match prompt:
        case str():
            fields: dict[str, Any] = {"prompt": prompt}
        case PromptSpec():
            fields = {
                "id": prompt.item_id,
                "prompt": prompt.prompt,
                "classes": prompt.classes,
                "seed": prompt.seed,
                "negative_prompt": prompt.negative_prompt,
            }
        case Mapping():
            fields = dict(prompt)
        case _:
            raise TypeError(f"prompt {number} is a {type(prompt).__name__}; expected text, a table or a spec")
    return json.dumps(fields, default=str) + "\n"


def check_ids(specs: Sequence[PromptSpec], vocabulary: Vocabulary) -> None:
    """Refuse specs whose label ids are not the vocabulary's.

    Raises:
        VocabularyError: names the item, the class and both ids.
    """
    for spec in specs:
        for name, label_id in zip(spec.classes, spec.label_ids, strict=True):
            known = vocabulary.entry(name).label_id
            if known != label_id:
                raise VocabularyError(
                    f"item {spec.item_id} has the id {label_id} for class {name!r}, the vocabulary {known}; "
                    "give them the same, or leave the vocabulary out"
                )
