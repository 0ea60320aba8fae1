"""The eight things of the toybox world, in the frame of `brush`: they fill [-1, 1], y grows downwards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.random import Generator

from segmint.toybox.brush import Brush, Colour, Sprite, arc, shade

COLOURS: dict[str, Colour] = {
    "red": (218, 56, 50),
    "orange": (242, 138, 36),
    "yellow": (250, 208, 62),
    "green": (66, 158, 78),
    "blue": (52, 110, 212),
    "purple": (136, 80, 186),
    "pink": (242, 136, 178),
    "white": (246, 244, 238),
}
"""Colours that a caption names, and their mean RGB."""

CREAM: Colour = (252, 246, 226)
WOOD: Colour = (142, 92, 52)
GLASS: Colour = (176, 222, 240)
DARK: Colour = (44, 40, 52)


def balloon(brush: Brush, colour: Colour, rng: Generator) -> None:
    """A hot-air balloon: striped envelope, ropes, basket."""
    for x in (-0.3, 0.3):
        brush.line([(x, 0.1), (x * 0.55, 0.72)], WOOD, width=0.09)
    envelope = [*arc((0.0, -0.34), (0.68, 0.64), np.pi * 0.94, np.pi * 2.06), (0.24, 0.42), (-0.24, 0.42)]
    brush.polygon(envelope, colour)
    middle = [*arc((0.0, -0.34), (0.27, 0.62), np.pi, np.pi * 2), (0.1, 0.4), (-0.1, 0.4)]
    brush.polygon(middle, CREAM, outline=False)
    brush.polygon([(-0.24, 0.62), (0.24, 0.62), (0.18, 0.98), (-0.18, 0.98)], WOOD)


def boat(brush: Brush, colour: Colour, rng: Generator) -> None:
    """A sailing boat: hull, mast, two sails, a pennant."""
    brush.line([(-0.06, -0.94), (-0.06, 0.4)], WOOD, width=0.12)
    brush.polygon([(-0.02, -0.82), (-0.02, 0.34), (0.84, 0.34)], CREAM)
    brush.polygon([(-0.1, -0.64), (-0.1, 0.34), (-0.76, 0.34)], shade(CREAM, 0.9))
    brush.polygon([(-0.06, -1.0), (-0.06, -0.76), (-0.42, -0.88)], colour)
    hull = [(-0.96, 0.38), (0.98, 0.38), (0.66, 0.88), (-0.6, 0.88)]
    brush.polygon(hull, colour)
    brush.polygon([(-0.88, 0.43), (0.9, 0.43), (0.83, 0.55), (-0.8, 0.55)], shade(colour, 1.5), outline=False)


def car(brush: Brush, colour: Colour, rng: Generator) -> None:
    """A car seen from the side: body, cabin, two windows, two wheels."""
    brush.polygon([(-0.62, -0.04), (-0.42, -0.56), (0.3, -0.56), (0.6, -0.04)], colour)
    body = [
        *arc((-0.76, 0.12), (0.22, 0.2), np.pi, np.pi * 1.5),
        (0.7, -0.08),
        (0.98, 0.08),
        (0.98, 0.4),
        (-0.98, 0.4),
    ]
    brush.polygon(body, colour)
    brush.polygon([(-0.46, -0.06), (-0.32, -0.42), (-0.06, -0.42), (-0.06, -0.06)], GLASS, outline=False)
    brush.polygon([(0.06, -0.06), (0.06, -0.42), (0.24, -0.42), (0.44, -0.06)], GLASS, outline=False)
    brush.polygon([(0.84, 0.06), (0.97, 0.1), (0.97, 0.22), (0.84, 0.22)], COLOURS["yellow"], outline=False)
    for x in (-0.52, 0.52):
        brush.ellipse((x, 0.4), (0.25, 0.25), DARK)
        brush.ellipse((x, 0.4), (0.11, 0.11), (206, 206, 212), outline=False)


def fish(brush: Brush, colour: Colour, rng: Generator) -> None:
    """A fish: body, forked tail, fins, an eye, a belly stripe."""
    brush.polygon([(0.46, 0.0), (0.98, -0.48), (0.84, 0.0), (0.98, 0.48)], shade(colour, 0.82))
    brush.polygon([(-0.3, -0.42), (0.1, -0.74), (0.3, -0.3)], shade(colour, 0.82))
    brush.ellipse((-0.18, 0.0), (0.78, 0.5), colour)
    for x in (0.0, 0.26):
        brush.polygon(
            [(x, -0.42), (x + 0.11, -0.4), (x + 0.11, 0.4), (x, 0.42)], shade(colour, 1.62), outline=False
        )
    brush.polygon([(-0.2, 0.12), (0.1, 0.34), (-0.14, 0.4)], shade(colour, 0.82))
    brush.ellipse((-0.58, -0.12), (0.15, 0.15), CREAM, outline=False)
    brush.ellipse((-0.6, -0.12), (0.08, 0.08), DARK, outline=False)


def house(brush: Brush, colour: Colour, rng: Generator) -> None:
    """A house: chimney, gable roof, walls, a door, two windows."""
    roof: Colour = (168, 72, 52) if rng.random() < 0.6 else (92, 98, 122)
    if max(abs(a - b) for a, b in zip(roof, colour, strict=True)) < 80:
        roof = (92, 98, 122)
    brush.polygon([(0.36, -0.92), (0.62, -0.92), (0.62, -0.3), (0.36, -0.3)], shade(roof, 0.75))
    brush.polygon([(-0.72, -0.14), (0.72, -0.14), (0.72, 0.94), (-0.72, 0.94)], colour)
    brush.polygon([(-0.96, -0.08), (0.0, -0.9), (0.96, -0.08)], roof)
    brush.polygon([(-0.17, 0.36), (0.17, 0.36), (0.17, 0.92), (-0.17, 0.92)], WOOD)
    for x in (-0.46, 0.46):
        brush.polygon([(x - 0.16, 0.14), (x + 0.16, 0.14), (x + 0.16, 0.46), (x - 0.16, 0.46)], GLASS)


def mushroom(brush: Brush, colour: Colour, rng: Generator) -> None:
    """A toadstool: stem, gills, a domed cap with white spots."""
    brush.polygon([(-0.2, -0.02), (0.2, -0.02), (0.32, 0.9), (0.2, 0.98), (-0.2, 0.98), (-0.32, 0.9)], CREAM)
    brush.ellipse((0.0, 0.04), (0.8, 0.16), shade(CREAM, 0.8))
    brush.polygon(arc((0.0, 0.06), (0.96, 0.96), np.pi, np.pi * 2), colour)
    spot = CREAM if sum(colour) < 660 else COLOURS["red"]
    for x, y, r in ((-0.05, -0.6, 0.19), (-0.54, -0.22, 0.16), (0.46, -0.3, 0.2)):
        brush.ellipse((x, y), (r, r * 0.88), spot, outline=False)


def star(brush: Brush, colour: Colour, rng: Generator) -> None:
    """A smiling five-pointed star."""
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 1.0, 0.5)
    brush.polygon(
        [(float(r * np.cos(a)), float(r * np.sin(a))) for r, a in zip(radii, angles, strict=True)], colour
    )
    for x in (-0.19, 0.19):
        brush.ellipse((x, -0.1), (0.075, 0.11), DARK, outline=False)
    brush.line(arc((0.0, 0.08), (0.2, 0.15), np.pi * 0.1, np.pi * 0.9), DARK, width=0.07)


def tree(brush: Brush, colour: Colour, rng: Generator) -> None:
    """A tree: trunk and a crown of three round tufts with light on top."""
    brush.polygon([(-0.13, 0.1), (0.13, 0.1), (0.2, 0.98), (-0.2, 0.98)], WOOD)
    tufts = ((-0.4, -0.02, 0.44), (0.4, -0.02, 0.44), (0.0, -0.44, 0.54))
    for x, y, r in tufts:
        brush.ellipse((x, y), (r, r), colour)
    for x, y, r in tufts:
        brush.ellipse((x, y), (r * 0.88, r * 0.88), colour, outline=False)
    for x, y, r in tufts:
        brush.ellipse((x - r * 0.25, y - r * 0.3), (r * 0.42, r * 0.36), shade(colour, 1.28), outline=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one class is drawn: its drawing, the colours it comes in, and how far it may lean."""

    draw: Callable[[Brush, Colour, Generator], None]
    colours: tuple[str, ...]
    lean: float
    """Largest angle from upright, in radians."""


_ANY = tuple(COLOURS)

KINDS: dict[str, Kind] = {
    "balloon": Kind(
        draw=balloon, colours=("red", "orange", "yellow", "green", "blue", "purple", "pink"), lean=0.2
    ),
    "boat": Kind(
        draw=boat, colours=("red", "orange", "yellow", "green", "blue", "purple", "pink"), lean=0.15
    ),
    "car": Kind(draw=car, colours=_ANY, lean=0.12),
    "fish": Kind(
        draw=fish, colours=("red", "orange", "yellow", "green", "blue", "purple", "pink"), lean=0.35
    ),
    "house": Kind(draw=house, colours=("white", "yellow", "pink", "blue", "green", "orange"), lean=0.05),
    "mushroom": Kind(draw=mushroom, colours=("red", "orange", "purple", "blue", "pink", "white"), lean=0.2),
    "star": Kind(draw=star, colours=("yellow", "yellow", "orange", "pink", "blue", "white"), lean=0.35),
    "tree": Kind(draw=tree, colours=("green", "green", "orange", "pink", "yellow"), lean=0.06),
}
"""The classes in alphabetical order; class id = place in this order, from 1."""


def draw(name: str, *, colour: str, size_px: float, rng: Generator) -> Sprite:
    """Draw one thing of a class.

    Args:
        name: A class of `KINDS`.
        colour: A name of `COLOURS`; the exact shade varies about it.
        size_px: Larger extent of the thing in pixels.
        rng: Decides shade, pose and mirroring.

    Returns:
        The sprite; its square is 1.5 × `size_px` wide, with the thing in the middle.
    """
    kind = KINDS[name]
    tint = cast(Colour, tuple(int(np.clip(c + rng.normal(0, 7), 0, 255)) for c in COLOURS[colour]))
    brush = Brush(
        size_px=size_px,
        angle=float(rng.uniform(-kind.lean, kind.lean)),
        mirrored=bool(rng.random() < 0.5),
        ink=shade(tint, 0.34),
    )
    kind.draw(brush, tint, rng)
    return brush.sprite()
