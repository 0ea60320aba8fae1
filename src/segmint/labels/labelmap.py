"""Label maps as text: which class each value of a mask is, as CVAT, Datumaro and many scripts write it.

A line is a class: its name, and if wished its id, its colour and CVAT's parts and actions, divided by colons,
or without colons by tabs, commas or blanks. A line that starts with # is a comment.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from segmint.errors import DatasetError
from segmint.labels.legend import Legend, distinct_colours
from segmint.textfile import read_text, shown
from segmint.vocabulary import BACKGROUND, IGNORE, MAX_CLASSES, ClassEntry, Colour

HEADER = "# label:color_rgb:parts:actions"
_RGB = r"[\[(]?\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*[\])]?|#[0-9A-Fa-f]{6}"
_FULL = re.compile(rf"(?P<id>\d+)\s*:\s*(?P<name>\S.*?)\s*:\s*(?P<colour>{_RGB})")
"""`id: name: R,G,B`, in which the name may hold anything."""
_AMONG = re.compile(rf"(?:^|:)\s*({_RGB})\s*(?=:|$)")
"""A colour between colons."""
_AHEAD = re.compile(rf"({_RGB}|\d{{1,3}}[\s;]+\d{{1,3}}[\s;]+\d{{1,3}})[\s,;]+(?=\S)")
"""A colour at the start of such a line; _BEHIND: at its end."""
_BEHIND = re.compile(rf"(?:^|[\s,;]+)({_RGB}|\d{{1,3}}[\s;]+\d{{1,3}}[\s;]+\d{{1,3}})\s*$")
_ID_FIRST = re.compile(r"(\d+)\s*[\s:,;=]\s*(?=\S)")
_ID_LAST = re.compile(r"(?<=\S)\s*[\t:,;=]\s*(\d+)$")
_REMARK = re.compile(r"\s#(?![0-9A-Fa-f]{6}\b).*$")
"""A comment behind a class."""
_UNCERTAIN = ("ignore", "ignored", "void", "uncertain", "unlabeled", "unlabelled", "unknown", "border")
"""Names under which label maps list 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    number: int
    name: str
    value: int | None
    colour: Colour | None


def read_label_map(path: Path) -> Legend:
    """The legend that a label map gives.

    Without ids, the background is 0 wherever it stands, and the other names count from 1 in their order, as
    CVAT and Datumaro number them.

    Raises:
        DatasetError: the file cannot be read, names no class, or gives a name, id or colour that cannot be
            meant; the message names the line.
    """
    text, _ = read_text(path, what="label map", error=DatasetError)
    return parse_label_map(text, source=str(path))


def parse_label_map(text: str, *, source: str) -> Legend:
    """As `read_label_map`, of text that is already read."""
    lines = [
        _parsed(line.strip(), number, source)
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if all(each.value is None for each in lines):
        others = iter(range(1, len(lines) + 1))
        counted = [(each, BACKGROUND if _is_background(each.name) else next(others)) for each in lines]
        return _legend(counted, source, numbered=False)
    unnumbered = [each for each in lines if each.value is None and not _is_background(each.name)]
    if unnumbered:
        raise DatasetError(
            f"{source}, line {unnumbered[0].number}: {unnumbered[0].name!r} has no id, others have; give one "
            "to all or to none"
        )
    return _legend([(each, each.value or BACKGROUND) for each in lines], source, numbered=True)


def write_label_map(entries: Sequence[ClassEntry]) -> str:
    """A label map that reads back as these classes: in CVAT's form, or where that cannot hold an id or a
    name, with lines `id: name: R,G,B`."""
    rows = [(BACKGROUND, "background", (0, 0, 0)), *((e.label_id, e.name, e.colour) for e in entries)]
    plain = [f"{name}:{','.join(map(str, colour))}::" for _, name, colour in rows]
    text = "\n".join([HEADER, *plain, ""])
    classes = {entry.label_id: entry.name for entry in entries}
    with suppress(DatasetError):
        if dict(parse_label_map(text, source="").classes) == classes:
            return text
    return "".join(f"{value}: {name}: {','.join(map(str, colour))}\n" for value, name, colour in rows)


def _parsed(line: str, number: int, source: str) -> _Line:
    full = _FULL.fullmatch(line)
    if full:
        return _line(full["name"], full["id"], full["colour"], number, source)
    line = _REMARK.sub("", line).strip()
    found = _AMONG.search(line) if ":" in line else _BEHIND.search(line) or _AHEAD.match(line)
    if found is None:
        return _line(*_named(line.rstrip(": ")), None, number, source)
    before, after = line[: found.start()].strip(), line[found.end() :].strip(": ")
    if not before:
        return _line(*_named(after), found[1], number, source)
    name, value = _named(before)
    if value is None and after.isdecimal() and line[found.end() :].count(":") == 1:
        value = after
    return _line(name, value, found[1], number, source)


def _named(text: str) -> tuple[str, str | None]:
    """Name and id of what is left of a line without its colour."""
    first, last = _ID_FIRST.match(text), _ID_LAST.search(text)
    if first:
        return text[first.end() :], first[1]
    if last:
        return text[: last.start()], last[1]
    return text, None


def _line(name: str, value: str | None, colour: str | None, number: int, source: str) -> _Line:
    where = f"{source}, line {number}"
    name = " ".join(name.split())
    if not name or not name.isprintable():
        raise DatasetError(f"{where}: no usable class name in {shown(name)}; expected `id: name: R,G,B`")
    if value is not None and (len(value) > 3 or int(value) > IGNORE):
        raise DatasetError(f"{where}: {name!r} has the id {shown(value)}; a mask holds 0 to {IGNORE}")
    return _Line(
        number=number,
        name=name,
        value=None if value is None else int(value),
        colour=None if colour is None else _rgb(colour, where),
    )


def _rgb(text: str, where: str) -> Colour:
    if text.startswith("#"):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    red, green, blue = (int(each) for each in re.findall(r"\d+", text))
    if max(red, green, blue) > 255:
        raise DatasetError(f"{where}: the colour {text} goes beyond 255")
    return red, green, blue


def _legend(valued: Sequence[tuple[_Line, int]], source: str, *, numbered: bool) -> Legend:
    """Values become label ids: themselves, but 0 stays the background's alone."""
    classes: dict[int, str] = {}
    values: dict[int, int] = {}
    colours: dict[int, Colour] = {}
    taken = {value for _, value in valued}
    for line, value in valued:
        where = f"{source}, line {line.number}"
        if value in values:
            raise DatasetError(f"{where}: the id {value} is given twice")
        label = _label(line, value, taken, where)
        if label in classes or (label == BACKGROUND and BACKGROUND in values.values()):
            raise DatasetError(f"{where}: {line.name!r} stands for a second id; name each class once")
        values[value] = label
        if line.colour is not None:
            colours[label] = line.colour
        if label not in (BACKGROUND, IGNORE):
            if line.name in classes.values():
                raise DatasetError(f"{where}: the class {line.name!r} is named twice")
            classes[label] = line.name
    if not 0 < len(classes) <= MAX_CLASSES:
        raise DatasetError(f"{source} names no class; expected lines `id: name: R,G,B`")
    values.setdefault(BACKGROUND, BACKGROUND)
    values.setdefault(IGNORE, IGNORE)
    return Legend(
        classes=dict(sorted(classes.items())),
        values=values,
        colours=distinct_colours(colours) if classes.keys() <= colours.keys() else {},
        numbered=numbered,
    )


def _label(line: _Line, value: int, taken: set[int], where: str) -> int:
    if _is_background(line.name):
        return BACKGROUND
    if value == IGNORE and line.name.strip("_ ").casefold() not in _UNCERTAIN:
        raise DatasetError(
            f"{where}: {line.name!r} has the id {IGNORE}, which marks uncertain pixels; classes have 0 to "
            f"{MAX_CLASSES}"
        )
    if value != BACKGROUND:
        return value
    free = next(each for each in range(1, IGNORE + 1) if each not in taken)
    taken.add(free)
    return free


def _is_background(name: str) -> bool:
    return name.strip("_ ").casefold() == "background"
