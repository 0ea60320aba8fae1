"""Drawing with exact coverage: filled parts in a thing's own frame, averaged from a finer grid.

Every thing is drawn in its own frame: x to the right, y down, the thing fills [-1, 1] in its larger extent.
A `Brush` carries the frame to the pixels (size, pose, mirror) and draws at four times the resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

SUPERSAMPLING = 4
"""Sub-pixels along each side of a pixel."""
OUTLINE_PX = 1.3
"""Width of the dark line round every part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprite:
    """One drawn thing: its picture, and how much of each pixel it covers."""

    rgb: UInt8[np.ndarray, "row col 3"]
    coverage: UInt8[np.ndarray, "row col"]


class Brush:
    """Draws filled parts in a thing's own frame onto a supersampled square."""

    def __init__(self, *, size_px: float, angle: float, mirrored: bool, ink: Colour) -> None:
        """Start a blank square for a thing whose larger extent is `size_px`, turned by `angle` radians."""
        self._side = int(np.ceil(size_px * 1.5)) * SUPERSAMPLING
        self._scale = size_px * SUPERSAMPLING / 2
        self._line = max(2, round(OUTLINE_PX * SUPERSAMPLING * min(1.25, max(0.8, size_px / 64))))
        cos, sin, flip = np.cos(angle), np.sin(angle), -1.0 if mirrored else 1.0
        self._matrix = np.array([[cos * flip, -sin], [sin * flip, cos]]) * self._scale
        self._ink = ink
        self._rgb = Image.new("RGB", (self._side, self._side), ink)
        self._cover = Image.new("L", (self._side, self._side), 0)
        self._on_rgb = ImageDraw.Draw(self._rgb)
        self._on_cover = ImageDraw.Draw(self._cover)

    def polygon(self, points: Sequence[Point], fill: Colour, *, outline: bool = True) -> None:
        """Fill one part; with `outline`, draw the ink line centred on its edge."""
        flat = np.asarray(points) @ self._matrix.T + self._side / 2
        corners = [(float(x), float(y)) for x, y in flat]
        self._on_cover.polygon(corners, fill=255)
        self._on_rgb.polygon(corners, fill=fill)
        if outline:
            loop = [*corners, corners[0], corners[1]]
            self._on_cover.line(loop, fill=255, width=self._line, joint="curve")
            self._on_rgb.line(loop, fill=self._ink, width=self._line, joint="curve")

    def line(self, points: Sequence[Point], fill: Colour, *, width: float) -> None:
        """Draw a line of a width given in the thing's own frame."""
        flat = np.asarray(points) @ self._matrix.T + self._side / 2
        path = [(float(x), float(y)) for x, y in flat]
        thick = max(2, round(width * self._scale))
        self._on_cover.line(path, fill=255, width=thick, joint="curve")
        self._on_rgb.line(path, fill=fill, width=thick, joint="curve")

    def ellipse(
        self, centre: Point, radii: Point, fill: Colour, *, turn: float = 0.0, outline: bool = True
    ) -> None:
        """Fill one ellipse, turned by `turn` radians about its centre."""
        self.polygon(arc(centre, radii, 0.0, 2 * np.pi, turn=turn), fill, outline=outline)

    def sprite(self) -> Sprite:
        """Average the sub-pixels into pixels."""
        rgb = np.asarray(self._rgb.reduce(SUPERSAMPLING))
        return Sprite(rgb=rgb, coverage=np.asarray(self._cover.reduce(SUPERSAMPLING)))


def arc(centre: Point, radii: Point, start: float, stop: float, *, turn: float = 0.0) -> list[Point]:
    """Points of an elliptic arc; angles in radians, 0 to the right, growing downwards."""
    angles = np.linspace(start, stop, 33)
    x, y = radii[0] * np.cos(angles), radii[1] * np.sin(angles)
    cos, sin = np.cos(turn), np.sin(turn)
    xs, ys = centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos
    return [(float(a), float(b)) for a, b in zip(xs, ys, strict=True)]


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor < 1) or lighter (factor > 1) version of a colour."""
    target = 0 if factor < 1 else 255
    weight = 1 - factor if factor < 1 else factor - 1
    return cast(Colour, tuple(round(c + (target - c) * weight) for c in colour))
