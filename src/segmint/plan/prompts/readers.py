"""Read prompts that somebody else wrote, whole or not at all."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmint.errors import PromptError, VocabularyError
from segmint.plan.prompts.formats import (
    Format,
    Record,
    check_keys,
    detect_format,
    given_id,
    given_prompt,
    given_seed,
    given_text,
    read_records,
)
from segmint.plan.prompts.words import WordTable, find_classes, match_all, word_table
from segmint.textfile import read_text, shown
from segmint.vocabulary import Vocabulary

MAX_PROBLEMS = 5
"""Bad lines that one message shows."""

_SEPARATORS = re.compile(r"[;,|]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptEntry:
    """One prompt of a file. `place` is where it stands; `classes` are names, each once, in order."""

    place: str
    prompt: str
    classes: tuple[str, ...]
    item_id: str | None = None
    seed: int | None = None
    negative_prompt: str | None = None


def read_prompts(
    path: Path, vocabulary: Vocabulary | None = None, *, form: Format | None = None
) -> list[PromptEntry]:
    """All prompts of a file, in its order.

    Args:
        path: JSONL, a JSON list, CSV or plain text; see docs/prompts.md for the fields of each.
        vocabulary: which classes there are; None takes those that the file lists.
        form: how the file is written; None looks at its suffix and content.

    Returns:
        One entry or more.

    Raises:
        PromptError: the file cannot be read, or lines in it cannot be understood: an unknown class, a prompt
            that names no class, a doubled or unsafe id … All lines are read; up to MAX_PROBLEMS are told.
    """
    text, _ = read_text(path, what="prompts file", error=PromptError)
    return parse_prompts(text, path, vocabulary, form=form)


def parse_prompts(
    text: str, path: Path, vocabulary: Vocabulary | None, *, form: Format | None = None
) -> list[PromptEntry]:
    """As `read_prompts`, of text that is already read; `path` is for messages and its suffix."""
    records = read_records(text, form or detect_format(path, text), path=path)
    if not records:
        raise PromptError(f"{path}: no prompt in it")
    reader = _Reader(vocabulary)
    entries, problems = [], []
    for record in records:
        try:
            entries.append(reader.understand(record))
        except ValueError as problem:
            problems.append(f"{record.place}: {problem}")
    if problems:
        raise PromptError(_told(path, problems, len(records)))
    return entries


class _Reader:
    """Understands records one after the other; knows the vocabulary, and the ids that it has met."""

    def __init__(self, vocabulary: Vocabulary | None) -> None:
        self._names: dict[str, str] | None = None
        self._table: WordTable = {}
        self._unknown: dict[str, str] = {}
        self._holders: dict[str, str] = {}
        self._found: dict[str, tuple[str, ...]] = {}
        self._vocabulary = vocabulary
        if vocabulary is not None:
            self._names = {name: name for name in vocabulary.names}
            self._table = word_table(vocabulary)

    def understand(self, record: Record) -> PromptEntry:
        """The record as an entry.

        Raises:
            ValueError: says what was expected and what found.
        """
        if record.problem is not None:
            raise ValueError(record.problem)
        fields = record.fields
        check_keys(fields)
        prompt = given_prompt(fields)
        negative = fields.get("negative_prompt")
        return PromptEntry(
            place=record.place,
            prompt=prompt,
            classes=self._classes(fields, prompt),
            item_id=self._item_id(fields, record.place),
            seed=given_seed(fields.get("seed")),
            negative_prompt=None if negative is None else given_text(negative, "negative_prompt"),
        )

    def _classes(self, fields: Mapping[str, Any], prompt: str) -> tuple[str, ...]:
        if fields.get("classes") is not None:
            return self._listed(fields["classes"])
        if self._names is None:
            raise ValueError(
                'no "classes", and no vocabulary to look for; give one, for example --classes voc'
            )
        if fields.get("class_prompt") is not None:
            return self._class_prompt(given_text(fields["class_prompt"], "class_prompt"))
        found = classes_of_suffix(prompt, self._table) or find_classes(prompt, self._table)
        if not found:
            raise ValueError(f'no class of the vocabulary in {shown(prompt)}; name them in "classes"')
        return found

    def _listed(self, given: Any) -> tuple[str, ...]:
        names = _SEPARATORS.split(given) if isinstance(given, str) else given
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            found = shown(given)
            raise ValueError(f"classes: expected a list of one class or more, found {found}")
        return tuple(dict.fromkeys(self._class(name) for name in names))

    def _class(self, given: str) -> str:
        known = self._names
        if known is not None and given in known:
            return known[given]
        name = " ".join(given.split())
        if not name:
            raise ValueError("classes: one of them is empty")
        if self._vocabulary is None or known is None:
            return name
        found, unknown = match_all(name, self._table)
        if len(found) != 1 or unknown is not None:
            return self._exactly(name)
        return known.setdefault(given, found[0])

    def _exactly(self, name: str) -> str:
        if self._vocabulary is not None and name not in self._unknown:
            try:
                return self._vocabulary.entry(name).name
            except VocabularyError as problem:
                self._unknown[name] = str(problem)
        raise ValueError(self._unknown[name])

    def _class_prompt(self, given: str) -> tuple[str, ...]:
        if given not in self._found:
            found, unknown = match_all(given, self._table)
            if unknown is not None or not found:
                raise ValueError(
                    f"class_prompt {shown(given)}: {unknown!r} begins no class of the vocabulary"
                )
            self._found[given] = found
        return self._found[given]

    def _item_id(self, fields: Mapping[str, Any], place: str) -> str | None:
        text = given_id(fields)
        if text is not None:
            holder = self._holders.setdefault(text.casefold(), place)
            if holder != place:
                raise ValueError(f"id: {text!r} is already that of {holder}, capitals aside")
        return text


def classes_of_suffix(prompt: str, table: WordTable) -> tuple[str, ...]:
    """Classes after the last ";" of a prompt, if only classes stand there (Dataset Diffusion's form)."""
    _, semicolon, tail = prompt.rpartition(";")
    if not semicolon:
        return ()
    found, unknown = match_all(tail, table)
    return found if unknown is None else ()


def _told(path: Path, problems: list[str], total: int) -> str:
    if len(problems) == 1:
        return f"{path}, {problems[0]}"
    more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
    told = "; ".join(problems[:MAX_PROBLEMS])
    return f"{path}: {len(problems)} of {total} prompts cannot be used: {told}{more}"
