"""The fields of one prompt record, each checked: ValueError says what was expected and what found."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import PureWindowsPath
from typing import Any

from segmint.specs import ITEM_ID_RULE, SEED_LIMIT, is_item_id
from segmint.textfile import shown

MAX_PROMPT_CHARACTERS = 10_000
"""Far more than any text encoder reads (77 tokens in Stable Diffusion): a longer prompt is a damaged file."""

_KEYS = (
    "prompt",
    "prompt_sd",
    "caption",
    "classes",
    "class_prompt",
    "id",
    "filename",
    "seed",
    "negative_prompt",
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_keys(fields: Iterable[str]) -> None:
    """Other keys are somebody's own and left alone, unless one looks like a slip of the pen."""
    for key in fields:
        close = () if key in _KEYS else get_close_matches(key, _KEYS, n=1, cutoff=0.8)
        if close:
            raise ValueError(f"unknown field {shown(key)}; did you mean {close[0]}?")


def given_prompt(fields: Mapping[str, Any]) -> str:
    """The prompt, under one of its three names."""
    given = [key for key in ("prompt", "prompt_sd", "caption") if fields.get(key) is not None]
    if not given:
        raise ValueError(f'expected a "prompt", found {shown(", ".join(fields) or "nothing")}')
    if len(given) > 1:
        raise ValueError(f"expected one prompt, found {' and '.join(given)}")
    prompt = given_text(fields[given[0]], given[0])
    if not prompt:
        raise ValueError(f"{given[0]} is empty")
    return prompt


def given_text(value: Any, key: str) -> str:
    """Text with its white space evened out, as CLIP's tokenizer does anyway."""
    if not isinstance(value, str):
        raise ValueError(f"{key}: expected text, found {shown(value)}")  # noqa: TRY004 - the file is at fault
    text = " ".join(value.split())
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise ValueError(f"{key} has {len(text)} characters; expected {MAX_PROMPT_CHARACTERS} at most")
    control = _CONTROL.search(text)
    if control:
        raise ValueError(f"{key}: a control character {control[0]!r} in {shown(text)}")
    return text


def given_seed(value: Any) -> int | None:
    """A seed, also one that is written as text; None if there is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if value is None or (type(value) is int and 0 <= value < SEED_LIMIT):
        return value
    raise ValueError(f"seed: expected a whole number from 0 to {SEED_LIMIT - 1}, found {shown(value)}")


def given_id(fields: Mapping[str, Any]) -> str | None:
    """The id, or the stem of the file name, if it is safe as a file name; folders are left out."""
    given, key = fields.get("id"), "id"
    if given is None:
        given, key = fields.get("filename"), "filename"
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int):
        found = shown(given)
        raise ValueError(  # noqa: TRY004 - the file is at fault
            f"{key}: expected text or a whole number, found {found}"
        )
    text = str(given).strip()
    text = text if key == "id" else PureWindowsPath(text).stem
    if not is_item_id(text):
        raise ValueError(f"{key}: {shown(given)} is not safe as a file name; expected {ITEM_ID_RULE}")
    return text
