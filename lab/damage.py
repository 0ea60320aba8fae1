"""True masks made as coarse and as wrong as attention: what a step from grid to pixels is judged on."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image as PilImage
from scipy import ndimage

from segmint.masks.resample import block_means

Image = UInt8[np.ndarray, "image_h image_w 3"]
Mask = UInt8[np.ndarray, "image_h image_w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """How shares on the grid are spoilt, in positions of the grid.

    `noise` is a standard deviation of shares; its Gaussian has the deviation `noise_cells`.
    """

    blur_cells: float
    noise: float
    noise_cells: float


DAMAGES: Mapping[str, Damage] = {
    "light": Damage(blur_cells=0.7, noise=0.1, noise_cells=1.0),
    "middle": Damage(blur_cells=1.5, noise=0.25, noise_cells=1.5),
    "heavy": Damage(blur_cells=2.5, noise=0.25, noise_cells=2.0),
}
JPEG_QUALITY = 30
NOISE_LEVELS = 15.0
"""Standard deviation of the pixel noise, in levels of 0–255."""


def damaged_shares(
    mask: Mask, damage: Damage, *, cell_px: int, seed: tuple[int, ...]
) -> tuple[UInt8[np.ndarray, "label"], Float32[np.ndarray, "label grid_h grid_w"]]:
    """Every label of a mask with its share at each grid position: averaged, blurred, made noisy.

    Args:
        mask: void (255) counts as a label of its own.
        damage: what is done to it.
        cell_px: side of a grid position.
        seed: of the noise.
    """
    labels = np.unique(mask)
    grid = (max(1, round(mask.shape[0] / cell_px)), max(1, round(mask.shape[1] / cell_px)))
    exact = block_means((mask == labels[:, None, None]).astype(np.float32), grid)
    shares = ndimage.gaussian_filter(exact, (0, damage.blur_cells, damage.blur_cells), mode="nearest")
    noise = np.random.default_rng(seed).normal(size=shares.shape)
    noise = ndimage.gaussian_filter(noise, (0, damage.noise_cells, damage.noise_cells))
    shares = np.clip(shares + noise * damage.noise / max(float(noise.std()), 1e-9), 0, None)
    total = shares.sum(axis=0)
    known = np.where(total > 0, shares / np.where(total > 0, total, 1), 1 / len(labels))
    return labels, known.astype(np.float32)


def grey(image: Image, seed: tuple[int, ...]) -> Image:
    """The picture without colour. Source of the weights: ITU-R BT.601."""
    light = np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return np.repeat(light[..., None], 3, axis=2)


def through_jpeg(image: Image, seed: tuple[int, ...]) -> Image:
    """The picture after a JPEG of low quality."""
    buffer = io.BytesIO()
    PilImage.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(PilImage.open(buffer).convert("RGB"))


def noisy(image: Image, seed: tuple[int, ...]) -> Image:
    """The picture with normal noise on every channel."""
    noise = np.random.default_rng(seed).normal(scale=NOISE_LEVELS, size=image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


VARIANTS: Mapping[str, Callable[[Image, tuple[int, ...]], Image]] = {
    "grey": grey,
    "jpeg": through_jpeg,
    "noise": noisy,
}
