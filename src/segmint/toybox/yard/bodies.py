"""What a thing is to the renderer: solid parts with their paint, in the thing's own frame."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Integer

from segmint.toybox.yard.palette import Colour
from segmint.toybox.yard.solids import Number, Points, Values, union

Light = Float32[np.ndarray, "3 point"]
Paint = Callable[[Points], Light]
"""Albedo, as linear light, at points on a surface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One solid of one material."""

    distance: Callable[[Points], Values]
    paint: Paint
    gloss: Number = 0.15
    """0 is chalk, 1 is lacquer."""
    glow: float = 0.0
    """Light that it gives off, as a multiple of its albedo."""
    grain: float = 0.07
    """How much its colour varies from place to place: deviation of the logarithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A thing in its own frame: metres, standing on y = 0 about the y axis."""

    parts: tuple[Part, ...]
    half_x: Number
    height: Number
    half_z: Number
    ends: tuple[Number, Number] | None = None
    """Radii at the foot and at the top, of things that can lie on their side."""

    def distance(self, p: Points) -> Values:
        """Distance to the nearest part."""
        return union(*(part.distance(p) for part in self.parts))

    def nearest(self, p: Points) -> Integer[np.ndarray, " point"]:
        """Index of the nearest part."""
        gaps = np.stack([part.distance(p) for part in self.parts])
        return np.asarray(gaps.argmin(axis=0))


def plain(colour: Colour) -> Paint:
    """The same colour everywhere."""
    return lambda p: np.broadcast_to(colour[:, None], p.shape)


def mixed(first: Colour, second: Colour, share: Callable[[Points], Values]) -> Paint:
    """Two colours, by the share of the second at each point (0 to 1)."""

    def paint(p: Points) -> Light:
        weight = share(p)
        result: Light = first[:, None] * (1 - weight) + second[:, None] * weight
        return result

    return paint


def edge(signed: Values, width: float) -> Values:
    """0 well below 0, 1 well above, straight between, over `width`."""
    result: Values = np.clip(signed / width + 0.5, 0, 1)
    return result
