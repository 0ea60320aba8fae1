"""Label maps as text: which class each value of a mask is, as CVAT, Datumaro and many scripts write it.

A line is a class: its name, and if wished its id, its colour and CVAT's parts and actions, divided by colons,
or without colons by tabs, commas or blanks (`labels.labelline`). A line that starts with #, //, ; or % is a
comment; a first line such as `name,r,g,b` names the columns.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from segmint.errors import DatasetError
from segmint.labels.labelline import Line, Reading, is_comment, is_header, parsed
from segmint.labels.legend import Legend, distinct_colours
from segmint.textfile import parse_json, read_text
from segmint.vocabulary import BACKGROUND, IGNORE, MAX_CLASSES, ClassEntry, Colour, voc_colour

HEADER = "# label:color_rgb:parts:actions"
_READINGS = (Reading(), Reading(id_first=True), Reading(id_behind_blank=True))
_UNCERTAIN = ("ignore", "ignored", "void", "uncertain", "unlabeled", "unlabelled", "unknown", "border")
"""Names under which label maps list 255."""


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
    text = text.removeprefix("\ufeff")
    _refuse_json(text, source)
    numbered = [
        (number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()
    ]
    lines = [(number, line) for number, line in numbered if not is_comment(line)]
    if lines and is_header(lines[0][1]):
        lines = lines[1:]
    plain, id_first, behind_blank = (_attempt(lines, source, each) for each in _READINGS)
    both = isinstance(plain, Legend) and isinstance(id_first, Legend)
    if both and plain != id_first:
        raise DatasetError(
            f"{source}, line {lines[0][0]}: of four numbers in a row the first or the last may be the id; "
            "write lines `id: name: R,G,B`"
        )
    found = id_first if isinstance(plain, DatasetError) and isinstance(id_first, Legend) else plain
    told = isinstance(found, Legend) and found.numbered
    if isinstance(behind_blank, Legend) and behind_blank.numbered and not told:
        return behind_blank
    if isinstance(found, DatasetError):
        raise found
    return found


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


def _refuse_json(text: str, source: str) -> None:
    """A name may begin with a brace; a file of tables or lists holds no names a line."""
    for part in (text.strip(), text.strip().partition("\n")[0]):
        if part[:1] in ("{", "["):
            with suppress(ValueError):
                parse_json(part)
                raise DatasetError(f"{source} is JSON; a label map has lines `id: name: R,G,B`")


def _attempt(lines: Sequence[tuple[int, str]], source: str, reading: Reading) -> Legend | DatasetError:
    try:
        return _valued([parsed(line, number, source, reading) for number, line in lines], source)
    except DatasetError as error:
        return error


def _valued(lines: Sequence[Line], source: str) -> Legend:
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


def _legend(valued: Sequence[tuple[Line, int]], source: str, *, numbered: bool) -> Legend:
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
    coloured = bool(colours)
    if not coloured:
        colours = {label: voc_colour(label) for label in classes}
    return Legend(
        classes=dict(sorted(classes.items())),
        values=values,
        colours=distinct_colours(colours) if classes.keys() <= colours.keys() else {},
        numbered=numbered,
        coloured=coloured,
    )


def _label(line: Line, value: int, taken: set[int], where: str) -> int:
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
