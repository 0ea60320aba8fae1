"""Captions of yard scenes: several words for each class and ground, and many ways to say the same."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from segmint.toybox.yard.palette import COLOURS
from segmint.toybox.yard.surroundings import BACKDROPS, GROUNDS
from segmint.toybox.yard.things import KINDS

GRASS = "grass"
GRASS_WORDS = ("grass", "lawn", "turf")
WORDS: dict[str, tuple[str, ...]] = {
    **{name: kind.words for name, kind in KINDS.items() if name < GRASS},
    GRASS: GRASS_WORDS,
    **{name: kind.words for name, kind in KINDS.items() if name > GRASS},
}
"""What each class is called, its own name first; classes in the order of their ids."""
OPENINGS = (
    "", "", "", "", "a picture of ", "a photo of ", "an image of ", "a photograph of ", "a snapshot of ",
    "a render of ", "there is ", "we see ", "this is ", "a view of ", "outdoors: ", "in the yard: ",
)  # fmt: skip
LINKS = (" and ", " and ", " with ", " next to ", " beside ", " near ", ", ", " by ", " close to ")
GRASS_SETTINGS = (" on {}", " on the {}", " in the {}", " and {}", ", {}", " on some {}", " with {}")
GROUND_SETTINGS = (" on {}", " on the {}", ", {}", " and {}", " standing on {}")
BACKDROP_SETTINGS = (" in front of {}", " with {} behind", " before {}", ", {}")
NUMBERS = {2: ("two", "two", "a pair of", "some"), 3: ("three", "three", "several", "some")}
COLOUR_CHANCE = (0.7, 0.45)
"""How often a caption names a thing's colour: of up to three kinds, and of more."""
OWN_WORD_CHANCE = 0.55
"""How often a class goes by its own name and not by a synonym."""
GROUND_CHANCE = 0.6
BACKDROP_CHANCE = 0.3
LIST_CHANCE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Things of one class in a picture."""

    name: str
    colour: str
    count: int


def write(things: Sequence[Told], *, ground: str, backdrop: str, rng: Generator) -> str:
    """Write one caption.

    Args:
        things: What is in the picture, a class each; grass among them.
        ground: The ground that is not grass; empty if none can be seen.
        backdrop: What closes the view.
        rng: Decides wording and order.

    Returns:
        Lower-case text that holds one word or name of every class, and of no other.
    """
    solid = [thing for thing in things if thing.name != GRASS]
    order = [solid[i] for i in rng.permutation(len(solid))]
    grassy = len(solid) < len(things)
    if rng.random() < LIST_CHANCE:
        return _bare_list([thing.name for thing in order] + [GRASS] * grassy, rng)
    chance = COLOUR_CHANCE[len(order) > 3]
    named = [_phrase(thing, rng, coloured=rng.random() < chance) for thing in order]
    text = _pick(OPENINGS, rng) + (_join(named, rng) if named else _word(GRASS, rng))
    if grassy and named:
        text += _pick(GRASS_SETTINGS, rng).format(_word(GRASS, rng))
    elif ground and rng.random() < GROUND_CHANCE:
        text += _pick(GROUND_SETTINGS, rng).format(_pick(GROUNDS[ground], rng))
    if rng.random() < BACKDROP_CHANCE:
        text += _pick(BACKDROP_SETTINGS, rng).format(_pick(BACKDROPS[backdrop], rng))
    return text


def words() -> list[str]:
    """Every word that a caption can hold, sorted."""
    names = [name for synonyms in WORDS.values() for name in synonyms]
    pieces = [
        *OPENINGS, *LINKS, *(s.format("") for s in (*GRASS_SETTINGS, *GROUND_SETTINGS, *BACKDROP_SETTINGS)),
        *names, *(name + "s" for name in names if name not in GRASS_WORDS), *COLOURS,
        *(word for group in (*GROUNDS.values(), *BACKDROPS.values(), *NUMBERS.values()) for word in group),
        "a", "an",
    ]  # fmt: skip
    return sorted({word for piece in pieces for word in re.findall(r"[a-z]+", piece)})


def classes_in(caption: str) -> set[str]:
    """The classes that a caption names, by any of their words."""
    text = f" {re.sub(r'[^a-z]+', ' ', caption)} "
    return {
        name
        for name, synonyms in WORDS.items()
        if any(f" {word} " in text or f" {word}s " in text for word in synonyms)
    }


def _phrase(thing: Told, rng: Generator, *, coloured: bool) -> str:
    word = _word(thing.name, rng)
    tinted = f"{thing.colour} {word}" if coloured else word
    if thing.count > 1:
        return f"{_pick(NUMBERS[min(thing.count, 3)], rng)} {tinted}s"
    return f"{'an' if tinted[0] in 'aeiou' else 'a'} {tinted}"


def _word(name: str, rng: Generator) -> str:
    synonyms = WORDS[name]
    if rng.random() < OWN_WORD_CHANCE or len(synonyms) == 1:
        return synonyms[0]
    return _pick(synonyms[1:], rng)


def _bare_list(names: Sequence[str], rng: Generator) -> str:
    said = [_word(name, rng) for name in names]
    return (" " if rng.random() < 0.5 else ", ").join(said)


def _join(named: Sequence[str], rng: Generator) -> str:
    if len(named) < 3:
        return _pick(LINKS, rng).join(named)
    return f"{', '.join(named[:-1])} and {named[-1]}"


def _pick(options: Sequence[str], rng: Generator) -> str:
    return options[int(rng.integers(len(options)))]
