"""How a prompts file is written: the shape of the file, and the fields of each of its records.

A file becomes a list of records, one a prompt, not yet understood; each field is checked when it is asked
for, and ValueError says what was expected and what found.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

from segmint.errors import PromptError
from segmint.specs import ITEM_ID_RULE, SEED_LIMIT, is_item_id
from segmint.textfile import parse_json, shown

Format = Literal["jsonl", "json", "csv", "text"]

_BY_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
}
_DELIMITERS = ",;\t"
_PROMPT_COLUMNS = {"prompt", "prompt_sd", "caption"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One prompt as the file has it. `place` says where ("line 7", "entry 3"); `problem`, why no fields."""

    place: str
    fields: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def detect_format(path: Path, text: str) -> Format:
    """How a prompts file is written: by its suffix; JSON in one list or by lines, by its content."""
    by_suffix = _BY_SUFFIX.get(path.suffix.casefold())
    start = text.lstrip()[:1]
    if by_suffix in ("json", "jsonl") or (by_suffix is None and start in ("[", "{")):
        return "json" if start == "[" else "jsonl"
    if by_suffix is not None:
        return by_suffix
    return "csv" if _PROMPT_COLUMNS & set(_columns(text)) else "text"


def read_records(text: str, form: Format, *, path: Path) -> list[Record]:
    """All records of a file, those with a problem among them.

    Raises:
        PromptError: the file as a whole cannot be read in this form.
    """
    if form == "jsonl":
        return list(_from_jsonl(text))
    if form == "json":
        return _from_json(text, path)
    if form == "csv":
        return _from_csv(text, path)
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [
        Record(place=f"line {number}", fields={"prompt": line})
        for number, line in lines
        if line and not line.startswith("#")
    ]


def _from_jsonl(text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.isspace():
            continue
        place = f"line {number}"
        try:
            value = parse_json(line)
        except ValueError as problem:
            yield Record(place=place, problem=f"expected a JSON object, found {shown(line)}: {problem}")
        else:
            yield _object(place, value)


def _from_json(text: str, path: Path) -> list[Record]:
    try:
        value = parse_json(text)
    except ValueError as problem:
        raise PromptError(f"{path}: {problem}") from None
    if not isinstance(value, list):
        raise PromptError(f"{path}: expected a JSON list of objects, found {shown(value)}")
    return [_object(f"entry {number}", each) for number, each in enumerate(value, start=1)]


def _object(place: str, value: Any) -> Record:
    if isinstance(value, dict):
        return Record(place=place, fields=value)
    return Record(
        place=place, problem=f'expected an object such as {{"prompt": "a boat"}}, found {shown(value)}'
    )


def _from_csv(text: str, path: Path) -> list[Record]:
    columns = _columns(text)
    if not _PROMPT_COLUMNS & set(columns):
        found = ", ".join(columns) or "nothing"
        raise PromptError(f'{path}, line 1: expected a header with a column "prompt", found {shown(found)}')
    doubled = {name for name in columns if columns.count(name) > 1}
    if doubled:
        raise PromptError(f"{path}, line 1: the column {min(doubled)!r} appears twice")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    records: list[Record] = []
    number = 0
    try:
        for cells in reader:
            place, number = f"line {number + 1}", reader.line_num
            if place != "line 1" and any(cell.strip() for cell in cells):
                records.append(_row(place, columns, cells))
    except csv.Error as problem:
        raise PromptError(f"{path}, line {max(reader.line_num, 1)}: not CSV ({problem})") from None
    return records


def _row(place: str, columns: list[str], cells: list[str]) -> Record:
    if len(cells) != len(columns):
        return Record(place=place, problem=f"expected {len(columns)} cells, found {len(cells)}")
    given = {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
    return Record(
        place=place, fields={name: cell for name, cell in given.items() if cell or name in _PROMPT_COLUMNS}
    )


def _columns(text: str) -> list[str]:
    try:
        header = next(csv.reader(io.StringIO(text.partition("\n")[0]), delimiter=_delimiter(text)), [])
    except csv.Error:
        return []
    return [cell.strip().casefold() for cell in header]


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(_DELIMITERS, key=header.count)


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
