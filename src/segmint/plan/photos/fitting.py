"""Between a photo's own size, the size that a model looks at, and the size at which its mask is drawn."""

from math import sqrt

import numpy as np
from jaxtyping import UInt8
from PIL import Image as PilImage

from segmint.artifacts import Grid, RefinedMask

AnyImage = UInt8[np.ndarray, "any_h any_w 3"]
OtherImage = UInt8[np.ndarray, "other_h other_w 3"]


def drawing_size(size: Grid, *, model_size: Grid, finest: float) -> Grid:
    """(height, width) at which a mask is drawn: the photo's own, unless it is too large or too small.

    The photo is scaled as a whole, keeping its shape, until it has at most `finest` times the pixels of the
    model's size, and at least as many. So the cost of refinement is bounded, whatever comes: for a model of
    128 × 128 px, 20 000 × 200 px are drawn at 2 560 × 26, and 1 × 1 at 128 × 128.
    """
    height, width = size
    own = model_size[0] * model_size[1]
    pixels = height * width
    scale = sqrt(min(max(pixels, own), finest * own) / pixels)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resized(image: AnyImage, size: Grid) -> OtherImage:
    """The image at (height, width), with antialiasing; its shape is not kept."""
    if image.shape[:2] == size:
        return image
    scaled = PilImage.fromarray(image).resize((size[1], size[0]), PilImage.Resampling.LANCZOS)
    return np.asarray(scaled)


def to_size(mask: RefinedMask, size: Grid) -> RefinedMask:
    """Labels and agreement at (height, width): each pixel takes those of the place where its centre lies."""
    if mask.labels.shape == size:
        return mask
    rows, cols = (_nearest(new, old) for new, old in zip(size, mask.labels.shape, strict=True))
    labels, agreement = mask.labels[rows][:, cols], mask.agreement[rows][:, cols]
    return RefinedMask(labels=np.ascontiguousarray(labels), agreement=np.ascontiguousarray(agreement))


def _nearest(new: int, old: int) -> np.ndarray:
    return ((np.arange(new) + 0.5) * old / new).astype(np.int64)
