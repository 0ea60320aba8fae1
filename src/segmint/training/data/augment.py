"""Random changes of an image and its mask together, by torchvision.transforms.v2.

Everything works on 8-bit pixels; scaling to the network's range happens on the device. The scaled crop is cut
first and resized once, so that no pixel outside the crop is ever computed.
"""

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from segmint.training.data.colours import distort
from segmint.training.settings import AugmentSettings
from segmint.vocabulary import IGNORE

FILL_RGB = (124, 116, 104)
"""Padding beyond the image: the mean colour that normalisation maps to 0."""

_FLIP = v2.RandomHorizontalFlip(p=0.5)

Image = UInt8[Tensor, "3 image_h image_w"]
Labels = UInt8[Tensor, "image_h image_w"]


def augment(image: Image, labels: Labels, settings: AugmentSettings, *, seed: int) -> tuple[Tensor, Tensor]:
    """The augmented pair; pixels beyond the image are 255 in the mask.

    The global random state is as before when this returns.

    Args:
        image: RGB, 0–255.
        labels: label ids.
        settings: which changes, and how strong.
        seed: decides all of them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone: devices would note each call for later
        pair = (tv_tensors.Image(image), tv_tensors.Mask(labels))
        pair = _scale_and_crop(*pair, settings)
        if settings.flip:
            pair = _FLIP(*pair)
        if settings.photometric:
            return distort(pair[0].as_subclass(Tensor)), pair[1].as_subclass(Tensor)
    return pair[0].as_subclass(Tensor), pair[1].as_subclass(Tensor)


def _scale_and_crop(
    image: tv_tensors.Image, labels: tv_tensors.Mask, settings: AugmentSettings
) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    height, width = labels.shape[-2:]
    low, high = settings.scale_range
    factor = low + (high - low) * float(torch.rand(())) if settings.scale else 1.0
    scaled = (max(round(height * factor), 1), max(round(width * factor), 1))
    if not settings.crop:
        return _resize(image, scaled), _resize(labels, scaled)
    out = tuple(min(side, settings.crop_px) for side in scaled)
    top, left = (_draw(whole - part) for whole, part in zip(scaled, out, strict=True))
    box = _source_box((top, left), out, factor, (height, width))
    pair = [_resize(functional.crop(each, *box), out) for each in (image, labels)]
    return _pad(pair[0], settings.crop_px, list(FILL_RGB)), _pad(pair[1], settings.crop_px, IGNORE)


def _source_box(
    corner: tuple[int, ...], out: tuple[int, ...], factor: float, whole: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Top, left, height, width in the original image of a crop of the scaled one, to the nearest pixel."""
    starts = [min(round(start / factor), side - 1) for start, side in zip(corner, whole, strict=True)]
    extents = [
        max(1, min(round(part / factor), side - start))
        for part, side, start in zip(out, whole, starts, strict=True)
    ]
    return starts[0], starts[1], extents[0], extents[1]


def _resize(tensor: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(tensor.shape[-2:]) == tuple(size):
        return tensor
    resized: Tensor = functional.resize(tensor, list(size), antialias=True)
    return resized


def _pad(tensor: Tensor, side_px: int, fill: int | list[int]) -> Tensor:
    """Extend to a square at the right and the bottom."""
    missing_h, missing_w = (side_px - side for side in tensor.shape[-2:])
    if not missing_h and not missing_w:
        return tensor
    padded: Tensor = functional.pad(tensor, [0, 0, missing_w, missing_h], fill=fill)
    return padded


def _draw(slack: int) -> int:
    return int(torch.randint(slack + 1, ())) if slack > 0 else 0
