"""PromptSpec as one line of JSON, and back: the lines of a run's `plan.jsonl`."""

import json
import re
from dataclasses import fields as fields_of
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from segmint.artifacts import PromptSpec
from segmint.errors import PromptError
from segmint.settings import in_words
from segmint.vocabulary import MAX_CLASSES

SEED_LIMIT = 2**63
"""Seeds are 0 to SEED_LIMIT - 1, what `torch.Generator` takes without wrapping."""
ITEM_ID_RULE = "1 to 100 of A–Z a–z 0–9 _ -, not starting with -, and no device name of Windows such as con"
"""What an item id may be, in words: a file name on any system, and an archive key, which ends at a dot."""

_FIELDS = tuple(each.name for each in fields_of(PromptSpec))
"""In the order in which they are written."""
_ITEM_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_WINDOWS_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{name}{i}" for name in ("com", "lpt") for i in range(1, 10)),
}


def is_item_id(text: str) -> bool:
    """Whether `text` is safe as an item id (see ITEM_ID_RULE)."""
    return _ITEM_ID.fullmatch(text) is not None and not is_device_name(text)


def is_device_name(text: str) -> bool:
    """Whether Windows takes a file of this name for a device, whatever follows its first dot."""
    return text.partition(".")[0].casefold() in _WINDOWS_DEVICES


def spec_to_json(spec: PromptSpec) -> str:
    """One line of ASCII JSON without a line break."""
    return json.dumps({name: getattr(spec, name) for name in _FIELDS}, separators=(",", ":"))


def spec_from_json(line: str) -> PromptSpec:
    """The spec of one line.

    Args:
        line: what `spec_to_json` wrote; a line break at its end is allowed.

    Raises:
        PromptError: the line is no JSON object of exactly a spec's fields with values in range. The caller
            adds file and line number.
    """
    try:
        fields = _Line.model_validate_json(line.encode("utf-8", "surrogatepass"))
    except ValidationError as error:
        raise PromptError(f"not a plan line: {in_words(error, _Line)}") from None
    return PromptSpec(**{name: getattr(fields, name) for name in _FIELDS})


def _checked_id(text: str) -> str:
    if not is_item_id(text):
        raise ValueError(f"an item id is {ITEM_ID_RULE}")
    return text


class _Line(BaseModel):
    """The fields of PromptSpec with their ranges."""

    model_config = ConfigDict(extra="forbid", strict=True)

    item_id: Annotated[str, AfterValidator(_checked_id)]
    index: Annotated[int, Field(ge=0)]
    prompt: str
    classes: tuple[str, ...]
    label_ids: tuple[Annotated[int, Field(ge=1, le=MAX_CLASSES)], ...]
    phrases: tuple[tuple[str, ...], ...]
    seed: Annotated[int, Field(ge=0, lt=SEED_LIMIT)]
    negative_prompt: str | None = None

    @model_validator(mode="after")
    def _aligned(self) -> "_Line":
        if not len(self.classes) == len(self.label_ids) == len(self.phrases):
            raise ValueError("classes, label_ids and phrases differ in length")
        return self
