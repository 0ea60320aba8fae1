"""What `--classes` may say: one of the presets that ship with segmint, part of one, a list, or a file."""

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from segmint import plan
from segmint.errors import VocabularyError
from segmint.textfile import parse_json, parse_toml, read_text, shown
from segmint.vocabulary import ClassEntry, Vocabulary, voc_colour

PRESETS = ("coco", "toybox", "voc", "yard")
"""Vocabularies that ship with segmint."""
_SUFFIXES = (".txt", ".names", ".toml", ".json")
_KEYS = ("name", "phrases", "colour", "color", "id")


@cache
def preset_vocabulary(name: str) -> Vocabulary:
    """A preset by its name.

    Args:
        name: one of `PRESETS`.

    Raises:
        VocabularyError: there is no such preset.
    """
    if name not in PRESETS:
        raise VocabularyError(f"no preset is called {name!r}; presets are {', '.join(PRESETS)}")
    text = (files(plan) / "data" / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    said = tomllib.loads(text)
    classes: dict[str, list[str]] = said["classes"]
    colours = {each: (red, green, blue) for each, (red, green, blue) in said.get("colours", {}).items()}
    phrases = {each: own for each, own in classes.items() if own}
    return Vocabulary.of(classes, phrases=phrases, colours=colours, name=name)


def brings_ids(classes: Any) -> bool:
    """Whether classes, as `parse_classes` takes them or from Python, come with ids of their own: those of a
    preset, a file or a vocabulary do, a plain list has its order alone."""
    if not isinstance(classes, str):
        return isinstance(classes, Vocabulary)
    text = classes.strip()
    return _names_file(text) or text.partition(":")[0].strip().casefold() in PRESETS


def _names_file(text: str) -> bool:
    return text.casefold().endswith(_SUFFIXES) or (("/" in text or "\\" in text) and "," not in text)


def parse_classes(text: str) -> Vocabulary:
    """The vocabulary that a command line or recipe names.

    Args:
        text: one of
            `voc`, `coco`, `toybox`, `yard`: a preset;
            `voc: cat, dog`: classes of a preset, with the preset's ids, phrases and colours;
            `forklift, safety vest=vest|hi-vis vest`: classes of your own with ids 1, 2, … in this order, each
            with its phrases after `=` if its name alone does not describe it (no preset's phrases are used);
            a path that ends in .txt, .names, .toml or .json, or holds a slash: a file (see `read_classes`).

    Raises:
        VocabularyError: no class, an unknown or doubled one, an unknown preset, or an unreadable file.
    """
    text = text.strip()
    if _names_file(text):
        return read_classes(Path(text))
    head, colon, rest = text.partition(":")
    preset = head.strip().casefold()
    if not colon and preset in PRESETS:
        return preset_vocabulary(preset)
    if not colon:
        pieces = [piece.partition("=") for piece in text.split(",")] if text else []
        phrases = {" ".join(name.split()): given.split("|") for name, equals, given in pieces if equals}
        return Vocabulary.of([name for name, _, _ in pieces], phrases=phrases)
    if preset not in PRESETS:
        known = ", ".join(PRESETS)
        raise VocabularyError(
            f"{shown(head)} before the colon is no preset (presets are {known}); own phrases follow =, as in "
            '"vest=safety vest|hi-vis vest"'
        )
    return preset_vocabulary(preset).subset(rest.split(",") if rest.strip() else [])


def read_classes(path: Path) -> Vocabulary:
    """A vocabulary from a file.

    Plain text has one class a line, `name` or `name: phrase, phrase`; blanks and all from # on are skipped.
    TOML and JSON hold `classes`, either a list of names or of `{name, phrases, colour, id}`, or a table from
    name to phrases or to `{phrases, colour, id}`; all but the names may be left out; ids are given for all
    classes or none. The vocabulary is called after the file.

    Raises:
        VocabularyError: the file cannot be read or understood, or breaks a rule of `Vocabulary.of`.
    """
    text, _ = read_text(path, what="classes file", error=VocabularyError)
    suffix = path.suffix.casefold()
    try:
        if suffix == ".toml":
            return classes_from_data(parse_toml(text), name=path.stem)
        if suffix == ".json":
            return classes_from_data(parse_json(text), name=path.stem)
        return _from_lines(text.split("\n"), name=path.stem)
    except (ValueError, VocabularyError) as problem:
        raise VocabularyError(f"{path}: {problem}") from None


def _from_lines(lines: Iterable[str], *, name: str) -> Vocabulary:
    kept = [line.partition("#")[0].strip() for line in lines]
    pieces = [line.partition(":") for line in kept if line]
    phrases = {" ".join(each.split()): given.split(",") for each, colon, given in pieces if colon}
    return Vocabulary.of([each for each, _, _ in pieces], phrases=phrases, name=name)


def classes_from_data(data: Any, *, name: str) -> Vocabulary:
    """A vocabulary from what a TOML or JSON file holds (see `read_classes`).

    Raises:
        VocabularyError: the data has another shape, or the classes break a rule of `Vocabulary.of`.
    """
    listed = data.get("classes") if isinstance(data, dict) else data
    if isinstance(listed, dict):
        listed = [
            {"name": each, **(value if isinstance(value, dict) else {"phrases": value})}
            for each, value in listed.items()
        ]
    if not isinstance(listed, list):
        raise VocabularyError(f'expected a list or table "classes", found {shown(data)}')
    given = [each if isinstance(each, dict) else {"name": each} for each in listed]
    for position, each in enumerate(given, start=1):
        _check_keys(each, position)
    numbered = sum("id" in each for each in given)
    if numbered not in (0, len(given)):
        raise VocabularyError(f"{numbered} of {len(given)} classes have an id; give one to all or to none")
    entries = [_entry(each, position) for position, each in enumerate(given, start=1)]
    return Vocabulary.of_entries(entries, name=name)


def _check_keys(given: Mapping[str, Any], position: int) -> None:
    for key in given:
        if key not in _KEYS:
            close = get_close_matches(str(key), _KEYS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(_KEYS)}"
            raise VocabularyError(f"class {position} has an unknown field {shown(key)}; {hint}")


def _entry(given: Mapping[str, Any], position: int) -> ClassEntry:
    name, label_id = given.get("name"), given.get("id", position)
    if not isinstance(name, str):
        raise VocabularyError(f"class {position} has the name {shown(name)}; expected text")
    if type(label_id) is not int:
        raise VocabularyError(f"class {name!r} has the id {shown(label_id)}; expected a whole number")
    phrases = given.get("phrases") or [name]
    phrases = [phrases] if isinstance(phrases, str) else phrases
    if not isinstance(phrases, list) or not all(isinstance(each, str) for each in phrases):
        raise VocabularyError(
            f"class {name!r} has the phrases {shown(phrases)}; expected text or a list of texts"
        )
    colour = given.get("colour", given.get("color"))
    if colour is None:
        rgb = voc_colour(label_id)
    elif isinstance(colour, list) and len(colour) == 3 and all(type(channel) is int for channel in colour):
        rgb = (colour[0], colour[1], colour[2])
    else:
        raise VocabularyError(
            f"class {name!r} has the colour {shown(colour)}; expected three whole numbers 0–255"
        )
    return ClassEntry(name=name, label_id=label_id, phrases=tuple(phrases), colour=rgb)
