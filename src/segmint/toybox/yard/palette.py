"""Colours that captions name, as linear light, and how pictures are encoded."""

import numpy as np
from jaxtyping import Float32
from numpy.random import Generator

Colour = Float32[np.ndarray, "3"]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (196, 38, 36),
    "orange": (232, 118, 30),
    "yellow": (240, 196, 48),
    "green": (58, 138, 66),
    "blue": (40, 92, 188),
    "purple": (120, 66, 164),
    "pink": (232, 122, 158),
    "white": (236, 234, 228),
    "black": (38, 38, 42),
    "grey": (136, 140, 144),
    "brown": (136, 86, 50),
}
"""Named colours and their mean as 8-bit sRGB."""


def linear(*values: float | int) -> Colour:
    """Light intensity of an 8-bit sRGB colour. Source: IEC 61966-2-1."""
    encoded = np.asarray(values, np.float32) / 255
    dark = encoded / 12.92
    return np.where(encoded <= 0.04045, dark, ((encoded + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encoded(light: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """sRGB value in [0, 1] of a light intensity in [0, 1]."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def shade_of(name: str, rng: Generator) -> Colour:
    """One of the shades that go by a name."""
    values = np.clip(np.asarray(COLOURS[name]) + rng.normal(0, 9, 3) + rng.normal(0, 9), 8, 250)
    return linear(*(float(v) for v in values))
