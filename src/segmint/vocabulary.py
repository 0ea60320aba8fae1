"""Vocabulary: class names, ids, the phrases that stand for them, and their colours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated

from pydantic import ConfigDict, Field

from segmint.errors import VocabularyError

BACKGROUND = 0
"""Label id of everything that is no class."""
IGNORE = 255
"""Label id of uncertain pixels: left out of losses and metrics."""
MAX_CLASSES = 254
"""Ids 1–254 are classes; 0 is the background and 255 is IGNORE."""

Colour = tuple[int, int, int]
Channel = Annotated[int, Field(ge=0, le=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassEntry:
    """One class, in full: in a vocabulary, a recipe and a run's header.

    Ranges are checked by `Vocabulary.of_entries`, and where an entry is read from a file.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    """What the class is called in files and tables."""
    label_id: Annotated[int, Field(ge=1, le=MAX_CLASSES)]
    """The class's value in masks."""
    phrases: tuple[str, ...]
    """Words that stand for the class in attention, and in planned prompts, where any of them may be used."""
    colour: tuple[Channel, Channel, Channel]
    """Red, green and blue (0–255) in palette masks and pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The classes of a dataset, in id order.

    Build one with `Vocabulary.of`; a preset with `segmint.plan.classes.vocabulary("voc")`.
    """

    name: str
    entries: tuple[ClassEntry, ...]

    @classmethod
    def of(
        cls,
        names: Iterable[str],
        *,
        phrases: Mapping[str, Sequence[str]] | None = None,
        colours: Mapping[str, Colour] | None = None,
        name: str = "custom",
    ) -> "Vocabulary":
        """A vocabulary with ids 1, 2, … in the order of `names`.

        Args:
            names: class names; blanks at the ends are dropped. A lone text is one class.
            phrases: words that stand for a class in text, for classes that are not called by their name.
            colours: RGB 0–255; the rest take the PASCAL VOC palette at their id.
            name: what to call the vocabulary in records.

        Raises:
            VocabularyError: no name, an empty or doubled name (capitals aside), the name "background", over
                254 names, phrases or colours for an unknown class, an empty phrase, one phrase for two
                classes, an invisible character, or a colour that is not three integers in 0–255.
            TypeError: a name is no text.
        """
        clean = _clean_names(names)
        phrases, colours = dict(phrases or {}), dict(colours or {})
        for given, what in ((phrases, "phrases"), (colours, "colours")):
            for key in given:
                if key not in clean:
                    known = ", ".join(clean)
                    raise VocabularyError(
                        f"{what} are given for {key!r}, which is no class; known are {known}"
                    )
        entries = (
            ClassEntry(
                name=each,
                label_id=index,
                phrases=tuple(phrases.get(each, (each,))),
                colour=colours.get(each, voc_colour(index)),
            )
            for index, each in enumerate(clean, start=1)
        )
        return cls.of_entries(entries, name=name)

    @classmethod
    def of_entries(cls, entries: Iterable[ClassEntry], *, name: str = "custom") -> "Vocabulary":
        """A vocabulary of classes that bring their own ids, which may leave gaps.

        Raises:
            VocabularyError: as for `of`; or an id is doubled or outside 1–254.
        """
        ordered = sorted(entries, key=lambda entry: entry.label_id)
        names = _clean_names(entry.name for entry in ordered)
        clean = tuple(_clean_entry(each, entry) for each, entry in zip(names, ordered, strict=True))
        _check_told_apart(clean)
        return cls(name=name, entries=clean)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in id order, without the background."""
        return tuple(entry.name for entry in self.entries)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the label ids from 0 to the last: "background", the classes, "unused-3" for a gap."""
        by_id = {entry.label_id: entry.name for entry in self.entries}
        last = max(by_id, default=BACKGROUND)
        return ("background", *(by_id.get(each, f"unused-{each}") for each in range(1, last + 1)))

    def entry(self, name: str) -> ClassEntry:
        """The entry of a class.

        Raises:
            VocabularyError: the class is unknown; the message names the closest known ones.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        close = get_close_matches(name, self.names, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"known are {', '.join(self.names)}"
        raise VocabularyError(f"unknown class {name!r} in vocabulary {self.name!r}: {hint}")

    def subset(self, names: Sequence[str]) -> "Vocabulary":
        """Only these classes, with their ids, phrases and colours, in id order.

        Raises:
            VocabularyError: a class is unknown or named twice, or none is named.
        """
        wanted = [self.entry(each).name for each in _clean_names(names)]
        return type(self)(name=self.name, entries=tuple(e for e in self.entries if e.name in wanted))

    def palette(self) -> list[int]:
        """768 numbers for `PIL.Image.putpalette`: black background, pale 255, the classes' own colours."""
        flat = [channel for index in range(256) for channel in voc_colour(index)]
        for entry in self.entries:
            flat[3 * entry.label_id : 3 * entry.label_id + 3] = entry.colour
        return flat


def voc_colour(label_id: int) -> Colour:
    """The PASCAL VOC colour of a label id: its bits, three by three, spread from the top bit of R, G and B.

    Source: the colour map of the PASCAL VOC 2012 development kit.
    """
    red = green = blue = 0
    rest = label_id
    for shift in range(7, -1, -1):
        red |= (rest & 1) << shift
        green |= (rest >> 1 & 1) << shift
        blue |= (rest >> 2 & 1) << shift
        rest >>= 3
    return red, green, blue


def _clean_names(names: Iterable[str]) -> list[str]:
    listed = [names] if isinstance(names, str) else list(names)
    strange = next((each for each in listed if not isinstance(each, str)), None)
    if strange is not None:
        raise TypeError(f"a class name is text, found {type(strange).__name__} {strange!r}")
    clean = [" ".join(each.split()) for each in listed]
    if not clean:
        raise VocabularyError('no class is named; give at least one, for example --classes "boat, tree"')
    if len(clean) > MAX_CLASSES:
        raise VocabularyError(
            f"at most {MAX_CLASSES} classes fit a mask (0 is background, 255 uncertain); got {len(clean)}"
        )
    seen: set[str] = set()
    for position, each in enumerate(clean, start=1):
        if not each:
            raise VocabularyError(f"class {position} of {len(clean)} is empty; drop the comma or name it")
        _check_visible(each, f"the name of class {position}")
        if each.casefold() == "background":
            raise VocabularyError('"background" is label 0 in every vocabulary; leave it out of the classes')
        if each.casefold() in seen:
            raise VocabularyError(f"class {each!r} is named twice; name each class once")
        seen.add(each.casefold())
    return clean


def _clean_entry(name: str, entry: ClassEntry) -> ClassEntry:
    phrases = tuple(dict.fromkeys(" ".join(phrase.split()) for phrase in entry.phrases))
    colour: Sequence[int] = entry.colour
    if not 1 <= entry.label_id <= MAX_CLASSES:
        raise VocabularyError(f"class {name!r} has id {entry.label_id}; ids are 1 to {MAX_CLASSES}")
    if not phrases or not all(phrases):
        raise VocabularyError(f"class {name!r} has an empty phrase; give words for it, or no phrases at all")
    for phrase in phrases:
        _check_visible(phrase, f"a phrase of class {name!r}")
    if len(colour) != 3 or not all(isinstance(channel, int) and 0 <= channel <= 255 for channel in colour):
        raise VocabularyError(f"class {name!r} has colour {colour!r}; expected three integers 0–255 (RGB)")
    rgb = colour[0], colour[1], colour[2]
    return ClassEntry(name=name, label_id=entry.label_id, phrases=phrases, colour=rgb)


def _check_told_apart(entries: Sequence[ClassEntry]) -> None:
    """No two classes share an id, nor a phrase, which would give both the same evidence."""
    by_id: dict[int, str] = {}
    by_phrase: dict[str, str] = {}
    for entry in entries:
        other = by_id.setdefault(entry.label_id, entry.name)
        if other != entry.name:
            raise VocabularyError(f"classes {other!r} and {entry.name!r} share the id {entry.label_id}")
        for phrase in entry.phrases:
            other = by_phrase.setdefault(phrase.casefold(), entry.name)
            if other != entry.name:
                raise VocabularyError(
                    f"classes {other!r} and {entry.name!r} share the phrase {phrase!r}; give each its own"
                )


def _check_visible(text: str, what: str) -> None:
    if not text.isprintable():
        raise VocabularyError(f"{what}, {text!r}, holds an invisible character; retype it")
