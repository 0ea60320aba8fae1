"""Artefact ↔ bytes. Every encoder gives the same bytes for the same content; none writes objects or the
time."""

import io
import json
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray
from PIL import Image as PilImage

from segmint.artifacts import (
    Affinity,
    AttentionSummary,
    DenoisingEvidence,
    Image,
    LayerComponents,
    Mask,
    TokenMaps,
)
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


def encode_summary(summary: AttentionSummary) -> bytes:
    """An attention summary as npz without objects, read back exactly.

    Arrays are stored in float16 where that loses nothing (components always), else in float32.
    """
    arrays: dict[str, NDArray[Any]] = {"header": np.frombuffer(_header(summary), dtype=np.uint8)}
    for index, layer in enumerate(summary.components):
        arrays[f"components.{index}"] = _shrink(layer.values)
    for name, maps in summary.maps.items():
        arrays[f"maps.{name}"] = _shrink(maps.values)
    if summary.affinity is not None:
        arrays["affinity"] = _shrink(summary.affinity.values)
    if summary.denoising is not None:
        arrays["denoising.gains"] = _shrink(summary.denoising.gains)
        arrays["denoising.change"] = _shrink(summary.denoising.change)
    return _write_npz(arrays)


def decode_summary(data: bytes, *, source: str) -> AttentionSummary:
    """The attention summary that `encode_summary` wrote.

    Raises:
        ImageError: the bytes are damaged or of another kind.
    """
    try:
        _refuse_bomb(data, source)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _read_summary(arrays)
    except UNREADABLE as error:
        raise ImageError(f"{source} holds no readable features ({error}); mint the item again") from None


def _header(summary: AttentionSummary) -> bytes:
    said: dict[str, Any] = {
        "grid": summary.grid,
        "layers": [layer.layer for layer in summary.components],
        "maps": {
            name: {"tokens": maps.tokens, "phrases": maps.phrases, "phrase_tokens": maps.phrase_tokens}
            for name, maps in summary.maps.items()
        },
        "affinity_grid": summary.affinity.grid if summary.affinity else None,
    }
    if summary.denoising is not None:
        said["denoised"] = summary.denoising.classes
    return json.dumps(said, ensure_ascii=False).encode()


def _read_summary(arrays: Mapping[str, NDArray[Any]]) -> AttentionSummary:
    said = json.loads(arrays["header"].tobytes())
    return AttentionSummary(
        grid=_grid(said["grid"]),
        components=tuple(
            LayerComponents(layer=layer, values=arrays[f"components.{index}"].astype(np.float32))
            for index, layer in enumerate(said["layers"])
        ),
        maps={
            name: TokenMaps(
                tokens=tuple(each["tokens"]),
                phrases=tuple(each["phrases"]),
                phrase_tokens=tuple(tuple(rows) for rows in each["phrase_tokens"]),
                values=arrays[f"maps.{name}"].astype(np.float32),
            )
            for name, each in said["maps"].items()
        },
        affinity=Affinity(grid=_grid(said["affinity_grid"]), values=arrays["affinity"].astype(np.float32))
        if said["affinity_grid"]
        else None,
        denoising=DenoisingEvidence(
            classes=tuple(said["denoised"]),
            gains=arrays["denoising.gains"].astype(np.float32),
            change=arrays["denoising.change"].astype(np.float32),
        )
        if "denoised" in said
        else None,
    )


def _grid(pair: list[int]) -> tuple[int, int]:
    height, width = pair
    return int(height), int(width)


def _shrink(values: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else values


def _write_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", date_time=EPOCH), member.getvalue())
    return buffer.getvalue()


def _refuse_bomb(data: bytes, source: str) -> None:
    """Refuse an archive that holds more than its length: ours are not compressed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = sum(max(each.file_size, 0) for each in archive.infolist())
    if held > len(data):
        raise ImageError(
            f"{source} is not of segmint: {len(data)} bytes that unpack to {held}; mint the item again"
        )


def _open(data: bytes, source: str) -> PilImage.Image:
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
        picture.load()
    except (*UNREADABLE, PilImage.DecompressionBombError) as error:
        raise ImageError(f"{source} cannot be decoded as an image: {error}") from None
    return picture
