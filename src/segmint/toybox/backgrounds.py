"""The eight textured grounds of the toybox world. Soft patterns, so that the things stand out."""

from collections.abc import Callable
from typing import cast

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import Image, ImageDraw

from segmint.toybox.brush import Colour, shade

SUPERSAMPLING = 2
"""Sub-pixels along each side of a pixel."""


def _gradient(side: int, top: Colour, bottom: Colour) -> Image.Image:
    ramp = np.linspace(0, 1, side)[:, None]
    rows = np.asarray(top)[None] * (1 - ramp) + np.asarray(bottom)[None] * ramp
    return Image.fromarray(np.repeat(rows[:, None].round().astype(np.uint8), side, axis=1))


def _varied(colour: Colour, rng: Generator, spread: float = 9.0) -> Colour:
    shift = rng.normal(0, spread * 0.7)
    return cast(Colour, tuple(int(np.clip(c + shift + rng.normal(0, spread * 0.5), 0, 255)) for c in colour))


def _places(rng: Generator, side: int, step: float) -> list[tuple[float, float]]:
    """Points of a jittered grid: even, but not regular."""
    cells = np.stack(np.meshgrid(np.arange(-1, side / step + 1), np.arange(-1, side / step + 1)), axis=-1)
    points = (cells.reshape(-1, 2) + rng.uniform(0, 1, (cells.size // 2, 2))) * step
    return [(float(x), float(y)) for x, y in points]


def brick(side: int, rng: Generator) -> Image.Image:
    """A brick wall in running bond."""
    base = _varied((186, 106, 84), rng)
    image = Image.new("RGB", (side, side), shade(base, 1.42))
    pen = ImageDraw.Draw(image)
    height, width = int(rng.integers(24, 30)), int(rng.integers(48, 60))
    start = int(rng.integers(-width, 0))
    for row, y in enumerate(range(-int(rng.integers(0, height)), side, height)):
        for x in range(start - (row % 2) * width // 2, side, width):
            pen.rectangle((x, y, x + width - 5, y + height - 5), fill=_varied(base, rng, 6.0))
    return image


def grass(side: int, rng: Generator) -> Image.Image:
    """A lawn with tufts."""
    base = _varied((122, 190, 92), rng)
    image = _gradient(side, shade(base, 1.1), shade(base, 0.92))
    pen = ImageDraw.Draw(image)
    for x, y in _places(rng, side, 40.0):
        for lean in (-6, 0, 6):
            pen.line((x, y, x + lean, y - 13), fill=shade(base, 0.74), width=4)
    return image


def night(side: int, rng: Generator) -> Image.Image:
    """A dark sky with pin-prick lights."""
    base = _varied((30, 34, 78), rng, 6.0)
    image = _gradient(side, shade(base, 0.75), shade(base, 1.14))
    pen = ImageDraw.Draw(image)
    for x, y in _places(rng, side, 50.0):
        radius = float(rng.uniform(1.4, 2.8))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(232, 232, 206))
    return image


def sand(side: int, rng: Generator) -> Image.Image:
    """Sand with ripples."""
    base = _varied((234, 208, 152), rng)
    image = _gradient(side, shade(base, 1.15), shade(base, 0.96))
    pen = ImageDraw.Draw(image)
    xs = np.linspace(-8, side + 8, 25)
    phase = rng.uniform(0, 7)
    for y in range(int(rng.integers(0, 26)), side + 12, 28):
        ys = y + 6 * np.sin(xs / 26 + phase + y * 0.07)
        pen.line([(float(a), float(b)) for a, b in zip(xs, ys, strict=True)], fill=shade(base, 0.86), width=4)
    return image


def sea(side: int, rng: Generator) -> Image.Image:
    """Water with rows of small waves."""
    base = _varied((64, 148, 196), rng)
    image = _gradient(side, shade(base, 1.18), shade(base, 0.84))
    pen = ImageDraw.Draw(image)
    for row, y in enumerate(range(int(rng.integers(0, 24)), side + 20, 32)):
        for x in range(int(rng.integers(-40, -20)) + (row % 2) * 24, side, 48):
            pen.arc((x, y - 12, x + 24, y + 8), 20, 160, fill=shade(base, 1.5), width=4)
    return image


def sky(side: int, rng: Generator) -> Image.Image:
    """A day sky with soft clouds."""
    base = _varied((150, 206, 242), rng)
    image = _gradient(side, shade(base, 0.93), shade(base, 1.35))
    pen = ImageDraw.Draw(image)
    for x, y in _places(rng, side, 96.0):
        width = float(rng.uniform(22, 34))
        for dx, scale in ((-0.9, 0.55), (0.0, 0.85), (0.9, 0.6)):
            radius = width * scale * 0.62
            box = (x + dx * width - radius * 1.4, y - radius, x + dx * width + radius * 1.4, y + radius)
            pen.ellipse(box, fill=shade(base, 1.72))
    return image


def snow(side: int, rng: Generator) -> Image.Image:
    """Drifts of snow under flakes."""
    base = _varied((236, 243, 250), rng, 3.0)
    image = _gradient(side, shade(base, 0.94), base)
    pen = ImageDraw.Draw(image)
    for x, y in _places(rng, side, 110.0):
        radius = float(rng.uniform(50, 90))
        pen.arc((x - radius, y, x + radius, y + radius), 200, 340, fill=shade(base, 0.91), width=5)
    for x, y in _places(rng, side, 46.0):
        pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(255, 255, 255))
    return image


def wood(side: int, rng: Generator) -> Image.Image:
    """Planks with a line of grain."""
    base = _varied((196, 150, 104), rng)
    image = Image.new("RGB", (side, side), shade(base, 0.66))
    pen = ImageDraw.Draw(image)
    height = int(rng.integers(38, 48))
    for y in range(-int(rng.integers(0, height)), side, height):
        plank = _varied(base, rng, 6.0)
        pen.rectangle((0, y, side, y + height - 4), fill=plank)
        for x in range(int(rng.integers(-60, 0)), side, 110):
            at = y + float(rng.uniform(0.3, 0.7)) * height
            pen.line((x, at, x + 56, at), fill=shade(plank, 0.86), width=4)
    return image


GROUNDS: dict[str, Callable[[int, Generator], Image.Image]] = {
    "brick": brick,
    "grass": grass,
    "night": night,
    "sand": sand,
    "sea": sea,
    "sky": sky,
    "snow": snow,
    "wood": wood,
}
"""The grounds in alphabetical order, by the word that a caption uses."""


def paint(name: str, *, side_px: int, rng: Generator) -> UInt8[np.ndarray, "row col 3"]:
    """Paint one ground of `side_px` × `side_px` pixels."""
    picture = GROUNDS[name](side_px * SUPERSAMPLING, rng)
    return np.array(picture.reduce(SUPERSAMPLING))
