"""From light to a photograph: depth of field, exposure, tone, noise, and JPEG."""

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.random import Generator
from PIL import Image
from scipy.ndimage import gaussian_filter

from segmint.toybox.yard.palette import encoded

_BLURS_PX = (0.0, 0.8, 1.6)
"""Radii of blur that the picture is made in; what lies between is mixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """How one photograph is taken."""

    focus_m: float
    aperture_px: float
    """Radius of blur of what is twice as far as the focus."""
    exposure: float
    balance: Float32[np.ndarray, "3"]
    """Factor on each colour."""
    vignette: float
    noise: float
    quality: int
    """Of the JPEG file, 1 to 95."""


def choose(rng: Generator, *, focus_m: float) -> Lens:
    """A lens and a film for one scene."""
    return Lens(
        focus_m=focus_m,
        aperture_px=float(rng.uniform(0.0, 1.3)),
        exposure=float(rng.uniform(0.6, 0.95)),
        balance=np.exp(rng.normal(0, 0.025, 3)).astype(np.float32),
        vignette=float(rng.uniform(0.0, 0.25)),
        noise=float(rng.uniform(0.004, 0.016)),
        quality=int(rng.integers(80, 96)),
    )


def photograph(
    light: Float32[np.ndarray, "3 row col"],
    depth_m: Float32[np.ndarray, "row col"],
    lens: Lens,
    rng: Generator,
) -> UInt8[np.ndarray, "row col 3"]:
    """The picture that reaches the viewer."""
    side = light.shape[1]
    blurred = _defocused(light, depth_m, lens)
    away = np.linspace(-1, 1, side, dtype=np.float32)
    corner = 1 - lens.vignette * (away[:, None] ** 2 + away**2) / 2
    exposed = blurred * (lens.exposure * lens.balance[:, None, None]) * corner
    # Shot noise grows with the root of the light; a little is there in the dark.
    exposed = exposed + lens.noise * rng.standard_normal(exposed.shape, np.float32) * np.sqrt(
        np.maximum(exposed, 0) + 0.02
    )
    picture = encoded(np.clip(_film(np.maximum(exposed, 0)), 0, 1))
    pixels = np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=lens.quality)
    return np.array(Image.open(file).convert("RGB"))


def _defocused(light: np.ndarray, depth_m: np.ndarray, lens: Lens) -> np.ndarray:
    radius = np.abs(1 - lens.focus_m / depth_m) * 2 * lens.aperture_px
    radius = np.clip(gaussian_filter(np.minimum(radius, _BLURS_PX[-1]), 0.7), 0, _BLURS_PX[-1])
    out = np.zeros_like(light)
    for i, blur in enumerate(_BLURS_PX):
        spacing = _BLURS_PX[1]
        share = np.clip(1 - np.abs(radius - blur) / spacing, 0, 1)
        out += share * (light if i == 0 else gaussian_filter(light, (0, blur, blur)))
    return out


def _film(x: np.ndarray) -> np.ndarray:
    """A film's curve: soft at both ends. Source: Narkowicz 2016, fit of the ACES curve."""
    y: np.ndarray = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return y
