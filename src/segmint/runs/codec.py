"""Artefact ↔ bytes. Every encoder gives the same bytes for the same content; none writes objects or the
time."""

import io
import warnings

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image as PilImage
from PIL import UnidentifiedImageError

from segmint.artifacts import Grid, Image, Mask
from segmint.errors import ImageError
from segmint.imagefile import UNREADABLE
from segmint.labels.legend import Legend
from segmint.labels.maskfile import mask_labels
from segmint.limits import limits, variable

JPEG_QUALITY = 95
"""With full chroma resolution: thin coloured edges are what a segmenter learns from."""
FORMATS = ("PNG", "JPEG")
"""What a run holds."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time a zip can state, written instead of now."""


def encode_image(image: Image, suffix: str) -> bytes:
    """An RGB image as `jpg` (quality 95, 4:4:4) or `png` (lossless)."""
    picture = PilImage.fromarray(image)
    buffer = io.BytesIO()
    if suffix == "jpg":
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        picture.save(buffer, "PNG")
    return buffer.getvalue()


def decode_image(data: bytes, *, source: str) -> Image:
    """RGB pixels (0–255) of an image file; ImageError where it cannot be decoded."""
    return np.asarray(_open(data, source).convert("RGB"))


def image_size(data: bytes, *, source: str) -> Grid:
    """(height, width) of an image file, which is not decoded; ImageError where it is none."""
    with _open(data, source, decoded=False) as picture:  # else it keeps the bytes
        return picture.height, picture.width


def encode_mask(labels: Mask, palette: list[int]) -> bytes:
    """Label ids as an 8-bit palette PNG, VOC's form: the pixel value is the id, the palette only colours
    it."""
    picture = PilImage.fromarray(labels, mode="L")
    picture.putpalette(palette)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def encode_grey(labels: Mask) -> bytes:
    """Label ids as an 8-bit grey PNG, for readers that turn palettes into colours."""
    buffer = io.BytesIO()
    PilImage.fromarray(labels).save(buffer, "PNG")
    return buffer.getvalue()


def decode_mask(data: bytes, *, source: str) -> Mask:
    """Label ids of a palette or grey PNG; ImageError for anything else."""
    picture = _open(data, source)
    if picture.mode not in ("P", "L"):
        raise ImageError(
            f"{source} is no mask: expected an 8-bit palette or grey PNG, found mode {picture.mode}"
        )
    return np.asarray(picture)


def decode_labels(data: bytes, legend: Legend, *, source: str) -> Mask:
    """Label ids of a mask that a person may have touched up: of any kind that `labels.maskfile` reads.

    Raises:
        ImageError: it cannot be decoded, or holds a value or colour that is no class's; names it.
    """
    try:
        return mask_labels(_open(data, source), legend, source=source)
    except UNREADABLE as error:
        raise ImageError(f"{source} cannot be decoded as a mask: {error}") from None


def encode_agreement(agreement: Float32[np.ndarray, "image_h image_w"]) -> bytes:
    """Shares in [0, 1] as an 8-bit grey PNG, rounded to 1/255."""
    grey: UInt8[np.ndarray, "image_h image_w"] = np.rint(agreement * 255.0).astype(np.uint8)
    buffer = io.BytesIO()
    PilImage.fromarray(grey).save(buffer, "PNG")
    return buffer.getvalue()


def decode_agreement(data: bytes, *, source: str) -> Float32[np.ndarray, "image_h image_w"]:
    """Shares in [0, 1] of an 8-bit grey PNG; ImageError where it cannot be decoded."""
    return np.asarray(_open(data, source).convert("L"), dtype=np.float32) / np.float32(255.0)


def _open(data: bytes, source: str, *, decoded: bool = True) -> PilImage.Image:
    most = limits().image_px
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PilImage.DecompressionBombWarning)  # the limit is our own
            picture = PilImage.open(io.BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > most:
            raise ImageError(
                f"{source} has {picture.width}×{picture.height} px, more than {most}; "
                f"set {variable('image_px')} where that is meant"
            )
        if decoded:
            picture.load()
    except UnidentifiedImageError:  # its text names an address in memory, another one each time
        raise ImageError(f"{source} cannot be decoded as an image: it is of no kind that is known") from None
    except (*UNREADABLE, PilImage.DecompressionBombError) as error:
        raise ImageError(f"{source} cannot be decoded as an image: {error}") from None
    return picture
