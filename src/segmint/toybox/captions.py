"""Captions of toybox scenes: many wordings for the same content, and every word they can use."""

import re
from collections.abc import Sequence

from numpy.random import Generator

from segmint.toybox.backgrounds import GROUNDS
from segmint.toybox.shapes import COLOURS, KINDS

OPENINGS = (
    "", "", "", "", "a picture of ", "a photo of ", "an image of ", "a painting of ", "a drawing of ",
    "a photograph of ", "a scene with ", "there is ", "we see ", "this is ", "a view of ",
)  # fmt: skip
LINKS = (
    " and ",
    " and ",
    " and ",
    " with ",
    " next to ",
    " beside ",
    " near ",
    ", ",
    " behind ",
    " in front of ",
)
SETTINGS = (
    " on the {}", " on {}", " in the {}", " with {} background", " in front of {}", " at the {}", " and {}",
    ", {}", " over the {}", " by the {}",
)  # fmt: skip
COLOUR_CHANCE = 0.65
"""How often a caption names a thing's colour."""
GROUND_CHANCE = 0.8
"""How often a sentence names the ground."""
LIST_CHANCE = 0.12
"""How often a caption is a bare list of words."""
SUFFIX_CHANCE = 0.06
"""How often "; class names" follows the sentence, as some prompt sets have it."""


def write(things: Sequence[tuple[str, str]], *, ground: str, rng: Generator) -> str:
    """Write one caption.

    Args:
        things: (class, colour) of every thing in the picture.
        ground: The ground's word.
        rng: Decides wording and order.

    Returns:
        Lower-case text that holds every class word in plain form.
    """
    order = [things[i] for i in rng.permutation(len(things))]
    if rng.random() < LIST_CHANCE:
        return _bare_list(order, ground, rng)
    named = [_with_article(name, colour if rng.random() < COLOUR_CHANCE else "") for name, colour in order]
    text = _pick(OPENINGS, rng) + _join(named, rng)
    if rng.random() < GROUND_CHANCE:
        text += _pick(SETTINGS, rng).format(ground)
    if rng.random() < SUFFIX_CHANCE:
        text += "; " + " ".join(name for name, _ in order)
    return text


def words() -> list[str]:
    """Every word that a caption can hold, sorted."""
    pieces = [
        *OPENINGS,
        *LINKS,
        *(s.format("") for s in SETTINGS),
        *KINDS,
        *COLOURS,
        *GROUNDS,
        "a",
        "an",
        ",",
    ]
    return sorted({word for piece in pieces for word in re.findall(r"[a-z]+", piece)})


def _bare_list(order: Sequence[tuple[str, str]], ground: str, rng: Generator) -> str:
    names = [name for name, _ in order]
    if rng.random() < 0.3:
        names.append(ground)
    return (" " if rng.random() < 0.6 else ", ").join(names)


def _join(named: Sequence[str], rng: Generator) -> str:
    if len(named) < 3:
        return _pick(LINKS, rng).join(named)
    return f"{named[0]}, {named[1]} and {named[2]}"


def _with_article(name: str, colour: str) -> str:
    phrase = f"{colour} {name}".strip()
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _pick(options: Sequence[str], rng: Generator) -> str:
    return options[int(rng.integers(len(options)))]
