"""Read a mask file of any kind as label ids: palette, 1-bit, grey, or colours by a legend."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image as PilImage
from PIL import ImageOps

from segmint.artifacts import Mask
from segmint.errors import ImageError, SegmintError
from segmint.imagefile import opened
from segmint.labels.legend import Legend, listed
from segmint.vocabulary import BACKGROUND, IGNORE

_VALUES = 256
_SHOWN = 5
"""Unknown values that a message names."""
_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")


def read_mask(path: Path, legend: Legend, *, unknown: type[SegmintError] = ImageError) -> Mask:
    """Label ids of a mask file.

    A palette, 1-bit or grey picture holds values; an RGB one colours, or greys of the values. Where a palette
    shows the legend's colours and they contradict the values, the colours win if the legend has no numbers of
    its own; else the file is refused.

    Args:
        path: the file.
        legend: what its values and colours mean.
        unknown: which error to raise for a value or colour that the legend lacks.

    Raises:
        ImageError: the file cannot be read, or has several frames or transparent pixels.
        SegmintError: of type `unknown`; the message names the file and the value.
    """
    with opened(path) as picture:
        if getattr(picture, "n_frames", 1) > 1:
            raise ImageError(f"{path}: has {picture.n_frames} frames; expected a mask of one")  # type: ignore[attr-defined]
        picture.load()
        return mask_labels(ImageOps.exif_transpose(picture), legend, source=str(path), unknown=unknown)


def mask_labels(
    picture: PilImage.Image, legend: Legend, *, source: str, unknown: type[SegmintError] = ImageError
) -> Mask:
    """As `read_mask`, of a decoded picture; `source` names it in messages."""
    if picture.mode == "P":
        return _from_palette(picture, legend, source, unknown)
    if picture.mode in ("1", "L", *_DEEP):
        values = np.asarray(picture)
        values = values if values.dtype == np.uint8 else values.astype(np.int64)
        return _by_value(values, legend, source, unknown)
    if picture.mode in ("LA", "PA", "RGBA"):
        if np.asarray(picture.getchannel("A")).min(initial=255) < 255:
            raise ImageError(f"{source}: has transparent pixels; expected a mask without transparency")
        opaque = picture.convert("RGB") if picture.mode == "RGBA" else picture.getchannel(0)
        return mask_labels(opaque, legend, source=source, unknown=unknown)
    if picture.mode != "RGB":
        raise ImageError(f"{source}: is of mode {picture.mode}; expected a palette, grey or RGB mask")
    return _from_rgb(np.asarray(picture), legend, source, unknown)


def _from_palette(picture: PilImage.Image, legend: Legend, source: str, unknown: type[SegmintError]) -> Mask:
    values = np.asarray(picture)
    used = used_values(values)
    palette = np.zeros((_VALUES, 3), np.uint8)
    given = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    palette[: len(given)] = given
    by_colour = {each: legend.colours.get(_rgb(palette[each])) for each in used}
    told = legend.coloured and all(label is not None for label in by_colour.values())
    differ = [each for each in used if by_colour[each] != legend.values.get(each)]
    if told and differ:
        if not legend.numbered:
            return _looked_up(values, {key: label for key, label in by_colour.items() if label is not None})
        if all(each in legend.values for each in used):
            first = differ[0]
            raise unknown(
                f"{source}: the value {first} is {_name(legend, legend.values[first])} by its number and "
                f"{_name(legend, by_colour[first])} by the colour in its palette; make the two agree"
            )
    return _by_value(values, legend, source, unknown, used)


def _by_value(
    values: np.ndarray,
    legend: Legend,
    source: str,
    unknown: type[SegmintError],
    used: list[int] | None = None,
) -> Mask:
    used = used_values(values) if used is None else used
    strange = [each for each in used if each not in legend.values]
    if strange:
        known = sorted(value for value in legend.values if value not in (BACKGROUND, IGNORE))
        raise unknown(
            f"{source}: its mask has the values {strange[:_SHOWN]}; expected 0 (background), "
            f"the class ids {listed(known)}, or 255 (uncertain)"
        )
    if values.dtype == np.uint8 and all(legend.values[each] == each for each in used):
        return values
    return _looked_up(values, legend.values)


def used_values(values: Integer[np.ndarray, "image_h image_w"]) -> list[int]:
    """Values that occur, ascending; of bytes without sorting them."""
    if values.dtype == np.uint8:
        counts = PilImage.fromarray(values).histogram()
        return [value for value, count in enumerate(counts) if count]
    return [int(each) for each in np.unique(values)]


def _looked_up(values: np.ndarray, meaning: Mapping[int, int]) -> Mask:
    table = np.zeros(_VALUES, np.uint8)
    for value, label in meaning.items():
        table[value] = label
    if values.dtype == np.uint8:
        return by_table(values, table)
    labels: Mask = table[values]
    return labels


def by_table(
    values: UInt8[np.ndarray, "*shape"], table: UInt8[np.ndarray, "256"]
) -> UInt8[np.ndarray, "*shape"]:
    """Every byte replaced by its place in the table: `table[values]`, in a tenth of the time."""
    replaced = np.frombuffer(
        bytearray(np.ascontiguousarray(values).data).translate(table.tobytes()), np.uint8
    )
    return replaced.reshape(values.shape)


def _from_rgb(
    pixels: UInt8[np.ndarray, "image_h image_w 3"], legend: Legend, source: str, unknown: type[SegmintError]
) -> Mask:
    wide = pixels.astype(np.int64)
    codes, places = np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], return_inverse=True)
    colours = [(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255) for code in codes]
    strange = [colour for colour in colours if colour not in legend.colours]
    if not strange:
        labels = np.array([legend.colours[colour] for colour in colours], np.uint8)
        shaped: Mask = labels[places].reshape(pixels.shape[:2])
        return shaped
    if all(red == green == blue for red, green, blue in colours):
        return _by_value(wide[..., 0], legend, source, unknown)
    raise unknown(
        f"{source}: holds colour {strange[0]}, which is no class's; give a palette PNG, or name the colours"
    )


def _rgb(row: np.ndarray) -> tuple[int, int, int]:
    return int(row[0]), int(row[1]), int(row[2])


def _name(legend: Legend, label: int | None) -> str:
    fixed = {BACKGROUND: "background", IGNORE: "uncertain"}
    return repr(fixed.get(label, legend.classes.get(label, label)) if label is not None else None)
