"""SSD's photometric distortion as torchvision draws and defines it, to one level, in a fifth of the time.

Brightness and contrast go by a table, and hue is turned without the way to HSV and back.

Source: Liu et al. 2016, SSD, section 2.2; `torchvision.transforms.v2.RandomPhotometricDistort`.
"""

import numpy as np
import torch
from jaxtyping import Float32, Int16, UInt8
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import rgb_to_grayscale

from segmint.labels.maskfile import by_table

_DISTORT = v2.RandomPhotometricDistort(p=0.5)
_LEVELS = np.arange(256, dtype=np.float32)

Image = UInt8[Tensor, "3 image_h image_w"]
Pixels = UInt8[np.ndarray, "3 image_h image_w"]
Plane = Int16[np.ndarray, "image_h image_w"]


def distort(image: Image) -> Image:
    """The image with some of brightness, contrast, saturation, hue and order of channels changed.

    Args:
        image: RGB, 0–255. What is changed, and how, is drawn from torch's global random state.
    """
    drawn = _DISTORT.make_params([tv_tensors.Image(image)])
    pixels = np.ascontiguousarray(image.numpy())  # plane by plane, which is faster for all that follows
    contrast, early = drawn["contrast_factor"], drawn["contrast_before"]
    if (factor := drawn["brightness_factor"]) is not None:
        pixels = _by_levels(pixels, _LEVELS * np.float32(factor))
    if contrast is not None and early:
        pixels = change_contrast(pixels, contrast)
    if (factor := drawn["saturation_factor"]) is not None:
        pixels = change_saturation(pixels, factor)
    if (turn := drawn["hue_factor"]) is not None:
        pixels = turn_hue(pixels, turn)
    if contrast is not None and not early:
        pixels = change_contrast(pixels, contrast)
    if (order := drawn["channel_permutation"]) is not None:
        pixels = pixels[order.numpy()]
    return torch.from_numpy(pixels)


def change_contrast(pixels: Pixels, factor: float) -> Pixels:
    """Every level moved away from the mean grey, or towards it."""
    mean = np.float32(_grey(pixels).to(torch.float32).mean())
    return _by_levels(pixels, _LEVELS * np.float32(factor) + np.float32(1 - factor) * mean)


def change_saturation(pixels: Pixels, factor: float) -> Pixels:
    """Every pixel moved away from its own grey, or towards it."""
    grey = _grey(pixels)[0].numpy() * np.float32(1 - factor)
    made = np.empty_like(pixels)
    for plane, out in zip(pixels, made, strict=True):
        level = plane * np.float32(factor)
        level += grey
        np.copyto(out, np.clip(level, 0, 255, out=level), casting="unsafe")
    return made


def turn_hue(pixels: Pixels, turn: float) -> Pixels:
    """The hue turned around the circle, lightness and saturation kept.

    With C the largest channel less the smallest, each channel is smallest + C · clip(2 − |hue from its own|,
    0, 1), the hue counted in sixths. C times all of that needs no division; a small turn never wraps around.

    Args:
        pixels: RGB, 0–255.
        turn: share of the circle, up to a sixth either way.
    """
    low = pixels.min(axis=0)
    above = (pixels - low).astype(np.int16)
    chroma = above.max(axis=0)
    turned = np.rint(chroma * np.float32(6 * turn)).astype(np.int16)
    made = np.empty_like(pixels)
    for place, out in enumerate(made):
        own, after, before = (above[(place + step) % 3] for step in range(3))
        rise = _rise(own, after - before, chroma, turned)
        np.minimum(np.maximum(rise, 0, out=rise), chroma, out=rise)
        np.add(rise, low, out=out, casting="unsafe")
    return made


def _rise(own: Plane, aside: Plane, chroma: Plane, turned: Plane) -> Plane:
    """C times 2 less the distance of the turned hue from a channel's own, where that lies between 0 and C."""
    rise: Plane = chroma - np.abs(aside)
    rise += own
    rise *= 1 - 2 * (own == 0).astype(np.int16)  # the smallest channel is more than 2 away
    aside >>= 15
    aside |= 1  # -1 where the hue lies before the channel's own, else 1
    aside *= turned
    rise -= aside
    return rise


def _grey(pixels: Pixels) -> UInt8[Tensor, "1 image_h image_w"]:
    grey: UInt8[Tensor, "1 image_h image_w"] = rgb_to_grayscale(torch.from_numpy(pixels))
    return grey


def _by_levels(pixels: Pixels, levels: Float32[np.ndarray, "256"]) -> Pixels:
    """Every level replaced by another, which is brought to 0–255."""
    return by_table(pixels, np.clip(levels, 0, 255).astype(np.uint8))
