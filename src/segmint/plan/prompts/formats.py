"""The shapes of a prompts file: each becomes a list of records, one a prompt, not yet understood."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from segmint.errors import PromptError
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
