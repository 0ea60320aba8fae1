"""Read an image file of any kind as upright 8-bit RGB, and say what had to be decided on the way.

Between its own size, the size that a model looks at, and the size at which its mask is drawn, it is fitted.
"""

from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import ExifTags, Image, ImageOps
from PIL import Image as PilImage

from segmint.artifacts import Grid, RefinedMask
from segmint.errors import ImageError
from segmint.imagefile import opened

Rgb = UInt8[np.ndarray, "image_h image_w 3"]

PAPER = (255, 255, 255)
"""Transparent pixels show white paper, as in a browser."""
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """An image as it is labelled: upright, opaque, 8 bits a channel."""

    rgb: Rgb
    notes: tuple[str, ...]
    """What a person should know, for example that only the first of 12 frames was read."""
    original: bytes | None = None
    """The file itself, where it is a JPEG or PNG that shows exactly `rgb` to every reader; None elsewhere."""


def read_photo(path: Path) -> Photo:
    """Read one image.

    EXIF rotation is applied; transparency is laid on white; 16-bit greys are scaled by 1/257; CMYK, palette
    and grey become RGB; of an animation or a multi-page file the first frame is read, and said.

    Raises:
        ImageError: the file is missing, no image, truncated, or over Pillow's safety limit; names the path.
    """
    with opened(path) as picture:
        return _upright_rgb(picture, path)


def as_photo(image: Shaped[np.ndarray, "..."] | str | Path) -> Photo:
    """RGB of any size from an array, or from an image file of any kind (see `read_photo`); notes name it.

    Raises:
        ImageError: the file cannot be read, or the array is no 8-bit RGB.
    """
    if isinstance(image, str | Path):
        photo = read_photo(Path(image))
        return replace(photo, notes=tuple(f"{Path(image).as_posix()} {note}" for note in photo.notes))
    array: Rgb = np.ascontiguousarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise ImageError(
            f"expected an RGB image as (height, width, 3) of uint8, found {array.shape} of {array.dtype}; "
            "give the file's path to have any kind of image read"
        )
    return Photo(rgb=array, notes=())


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded image, upright and as 8-bit RGB, by the rules of `read_photo`: itself where it is that."""
    upright = image if _is_upright(image) else ImageOps.exif_transpose(image)
    if upright.mode in _DEEP_MODES:
        return _from_deep_grey(upright)
    if upright.mode == "F":
        return _from_float_grey(upright)
    if upright.has_transparency_data:
        return _on_paper(upright)
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _upright_rgb(picture: Image.Image, path: Path) -> Photo:
    notes: list[str] = []
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        picture.seek(0)
        notes.append(f"has {frames} frames; the first was read")
    picture.load()
    if picture.has_transparency_data:
        notes.append("has transparency; it was laid on white")
    original = path.read_bytes() if frames == 1 and _is_plain(picture) else None
    return Photo(rgb=np.asarray(to_rgb(picture)), notes=tuple(notes), original=original)


def _is_plain(picture: Image.Image) -> bool:
    plain = picture.mode == "RGB" and not picture.has_transparency_data
    return plain and picture.format in ("JPEG", "PNG") and _is_upright(picture)


def _is_upright(picture: Image.Image) -> bool:
    return bool(picture.getexif().get(ExifTags.Base.Orientation, 1) == 1)


def _from_deep_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    deepest = 255 if values.max(initial=0) <= 255 and image.mode == "I" else 65_535
    grey = np.clip(np.rint(values * (255 / deepest)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _from_float_grey(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    span = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
    grey = np.clip(np.rint(values * (255 / span)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _on_paper(image: Image.Image) -> Image.Image:
    layered = image.convert("RGBA")
    paper = Image.new("RGBA", layered.size, (*PAPER, 255))
    return Image.alpha_composite(paper, layered).convert("RGB")


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
    return replace(mask, labels=np.ascontiguousarray(labels), agreement=np.ascontiguousarray(agreement))


def _nearest(new: int, old: int) -> np.ndarray:
    return ((np.arange(new) + 0.5) * old / new).astype(np.int64)
