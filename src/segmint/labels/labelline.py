"""One line of a label map: name, id and colour in any order, with any of the usual separators."""

import re
from dataclasses import dataclass

from segmint.errors import DatasetError
from segmint.textfile import shown
from segmint.vocabulary import IGNORE, Colour

_BETWEEN = r"(?:\s*[,;]\s*|\s+)"
_NUMBER = r"\d{1,3}"
_HEX = "#[0-9A-Fa-f]{6}"
_ROW = rf"{_NUMBER}(?:{_BETWEEN}{_NUMBER}){{2,3}}"
_RGB = rf"[\[({{]?\s*{_ROW}\s*[\])}}]?|{_HEX}"
"""Three numbers, and maybe a fourth of how opaque it is, which is not read."""
_FULL = re.compile(rf"(?P<id>\d+)\s*:\s*(?P<name>\S.*?)\s*:\s*(?P<colour>{_RGB})")
"""`id: name: R,G,B`, in which the name may hold anything."""
_AMONG = re.compile(rf"(?:^|:)\s*({_RGB})\s*(?=:|$)")
"""A colour between colons."""
_TOLD = re.compile(
    rf"(?:^|(?<=[\s,;=:]))({_HEX}|\[\s*{_ROW}\s*\]|\(\s*{_ROW}\s*\)|\{{\s*{_ROW}\s*\}})(?=[\s,;:]|$)"
)
"""A colour that is told by its signs."""
_AHEAD = re.compile(rf"((?:{_NUMBER}{_BETWEEN}){{3,4}})(?=\S)(?!{_NUMBER}[\s,;])")
"""Three or four numbers at the start of a line; _BEHIND: at its end."""
_BEHIND = re.compile(rf"(?:^|{_BETWEEN}|[:=]\s*)({_ROW})$")
_ID_FIRST = re.compile(r"[\[(]?(-?\d+)(?:\.0+)?(?:\s*(?:[:,;=)\]]|[-=]>|\.(?!\d)|-(?=\s))|\s)\s*(?=\S)")
_ID_LAST = re.compile(r"(?<=\S)\s*(?:[\t:,;=]|[-=]>)\s*(\d+)$")
_ID_BEHIND_BLANK = re.compile(r"(?<=\S)\s+(\d+)$")
_REMARK = re.compile(r"\s(?:#(?![0-9A-Fa-f]{6}\b)|//).*$")
"""A comment behind a class."""
_COMMENT = re.compile(r"#(?![0-9A-Fa-f]{6}[\s,;:]+\S)|//|;|%\s")
_LEFT_OVER = re.compile(r"(?:^|[\s:,])[-+.\d]+(?:\s*,\s*[-+.\d]+){2}$|^[-+.\d]+(?:\s*,\s*[-+.\d]+){2}")
"""Numbers like a colour's in a name: a colour in a form that is not known."""
_COLUMN = (
    r"(?:ids?|index|value|names?|labels?|class(?:es)?|category"
    r"|[rgb]|red|green|blue|rgb|hex|colou?r(?:_rgb)?|parts|actions)"
)
_HEADER = re.compile(rf"{_COLUMN}(?:(?:\s*[,;:\t]\s*{_COLUMN})+|(?:\s+{_COLUMN}){{2,}})", re.IGNORECASE)
"""A line that names the columns; two words with a blank between may be a class."""
_ENDS = " \t,;=:"
"""What may stand between columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one line says."""

    number: int
    """For messages, from 1 on."""
    name: str
    value: int | None
    colour: Colour | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How lines are read that could be read in two ways."""

    id_first: bool = False
    """Of four numbers in a row the first is the id, not the last."""
    id_behind_blank: bool = False
    """A number behind the name is an id though only a blank is between."""


def is_comment(line: str) -> bool:
    """Whether a line without blanks around it is a comment; `#ff0000 leaf` is a colour and a name."""
    return _COMMENT.match(line) is not None


def is_header(line: str) -> bool:
    """Whether a line names columns, as `name,r,g,b`."""
    return _HEADER.fullmatch(line) is not None


def parsed(line: str, number: int, source: str, reading: Reading) -> Line:
    """Read a line.

    Raises:
        DatasetError: name, id or colour cannot be meant; names source and line.
    """
    where = f"{source}, line {number}"
    full = _FULL.fullmatch(line)
    if full:
        return _line(full["name"], full["id"], full["colour"], number, where)
    line = _REMARK.sub("", line).strip()
    name, value, colour = _between_colons(line, reading)
    if _LEFT_OVER.search(name):
        raise DatasetError(f"{where}: {shown(name)} holds no colour of 0 to 255; expected `id: name: R,G,B`")
    return _line(name, value, colour, number, where)


_Parts = tuple[str, str | None, str | None]
"""Name, id and colour."""


def _between_colons(line: str, reading: Reading) -> _Parts:
    found = _AMONG.search(line)
    if ":" not in line or found is None:
        return _in_a_row(line, reading)
    before, after = line[: found.start()].strip(), line[found.end() :].strip(": ")
    if not before:
        return *_named(after), found[1]
    name, value = _named(before)
    if value is None and after.isdecimal() and line[found.end() :].count(":") == 1:
        value = after
    return name, value, found[1]


def _in_a_row(line: str, reading: Reading) -> _Parts:
    """A line whose columns are divided by tabs, commas, semicolons or blanks."""
    line = line.rstrip(": ")
    last = _ID_BEHIND_BLANK if reading.id_behind_blank and ":" not in line else _ID_LAST
    told = _TOLD.search(line)
    if told:
        rest = f"{line[: told.start()].rstrip(_ENDS)}\t{line[told.end() :].lstrip(_ENDS)}".strip()
        return *_named(rest, last), told[1]
    found = _BEHIND.search(line) or _AHEAD.match(line)
    if found is None:
        return *_named(line, last), None
    value, colour = _told_apart(found[1].strip(_ENDS), reading)
    rest = (line[: found.start()] + line[found.end() :]).strip(_ENDS)
    return *((rest, value) if value is not None else _named(rest, last)), colour


def _told_apart(numbers: str, reading: Reading) -> tuple[str | None, str]:
    """The id among four numbers, and the colour: commas hold a colour together where there are blanks too."""
    each = re.split(_BETWEEN, numbers)
    if len(each) == 3:
        return None, ",".join(each)
    commas = ["," in between for between in re.findall(_BETWEEN, numbers)]
    first = reading.id_first if commas[0] == commas[-1] else commas[-1]
    return (each[0], ",".join(each[1:])) if first else (each[-1], ",".join(each[:-1]))


def _named(text: str, last: re.Pattern[str] = _ID_LAST) -> tuple[str, str | None]:
    """Name and id of what is left of a line without its colour."""
    if first := _ID_FIRST.match(text):
        return text[first.end() :], first[1]
    if behind := last.search(text):
        return text[: behind.start()], behind[1]
    return text, None


def _line(name: str, value: str | None, colour: str | None, number: int, where: str) -> Line:
    name = " ".join(name.split())
    if not name or not name.isprintable():
        raise DatasetError(f"{where}: no usable class name in {shown(name)}; expected `id: name: R,G,B`")
    plain = None if value is None else value.lstrip("0") or "0"
    if plain is not None and not (len(plain) <= 3 and 0 <= int(plain) <= IGNORE):
        raise DatasetError(f"{where}: {name!r} has the id {shown(value)}; a mask holds 0 to {IGNORE}")
    return Line(
        number=number,
        name=name,
        value=None if plain is None else int(plain),
        colour=None if colour is None else _rgb(colour, where),
    )


def _rgb(text: str, where: str) -> Colour:
    if text.startswith("#"):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    numbers = [int(each) for each in re.findall(r"\d+", text)]
    if max(numbers) > 255:
        raise DatasetError(f"{where}: the colour {text} goes beyond 255")
    return numbers[0], numbers[1], numbers[2]
