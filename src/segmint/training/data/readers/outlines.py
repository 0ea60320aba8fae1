"""COCO's outlines checked and drawn: polygons of any nesting, run lengths plain or compressed.

A polygon is filled by pycocotools, as everybody fills it, but only after its corners have been looked at:
what is no number, or lies far outside the image, would have it hang or read memory that nobody wrote.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from segmint.errors import MissingDependency
from segmint.textfile import shown

Outline = Any
"""A COCO segmentation: polygons as lists of x, y, …, or run lengths as {"counts": …, "size": [h, w]}."""
Polygons = tuple[tuple[float, ...], ...]

BEYOND = 2.0
"""How far a corner may lie outside the image, in lengths of its longer side."""
_LEAST = 6
"""Numbers of the smallest polygon that encloses anything: three corners."""
_FIRST_CHARACTER, _BITS, _MORE, _SIGN = 48, 5, 0x20, 0x10
"""Compressed run lengths: five bits a character from "0" on, a flag for more, the sign in the last one.
Source: COCO API, maskApi, `rleToString`."""
_LONGEST = 8
"""Characters of one run: 40 bits hold any image's pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Lengths of runs down the columns, outside and inside by turns."""

    counts: tuple[int, ...]
    height_px: int
    width_px: int


def checked(outline: Outline) -> Polygons | Runs | None:
    """An outline in plain form, or None where it encloses nothing.

    Raises:
        ValueError: says in a few words what is wrong.
    """
    if outline is None:
        return None
    if isinstance(outline, dict):
        return _runs(outline)
    if isinstance(outline, list):
        kept = tuple(tuple(_corners(each)) for each in _nested(outline))
        return tuple(each for each in kept if len(each) >= _LEAST) or None
    raise ValueError(f"its segmentation is {shown(outline)}; expected polygons or run lengths")


def draw(outline: Polygons | Runs, *, height_px: int, width_px: int) -> Bool[np.ndarray, "image_h image_w"]:
    """The pixels inside.

    Raises:
        ValueError: the outline does not fit an image of this size.
        MissingDependency: pycocotools is not installed.
    """
    if isinstance(outline, Runs):
        return _filled(outline, height_px, width_px)
    try:
        from pycocotools import mask as coco
    except ImportError:
        raise MissingDependency("COCO files need pycocotools: pip install 'segmint[export]'") from None
    reach = BEYOND * max(height_px, width_px)
    for polygon in outline:
        far = next((each for each in polygon if not -reach <= each <= reach + max(height_px, width_px)), None)
        if far is not None:
            raise ValueError(f"its polygon has a corner at {far:g}, the image is {width_px}×{height_px} px")
    code = coco.merge(coco.frPyObjects([list(each) for each in outline], height_px, width_px))
    inside: Bool[np.ndarray, "image_h image_w"] = np.asarray(coco.decode(code)).astype(bool)
    return inside


def _nested(outline: Sequence[Any]) -> Sequence[Any]:
    """Polygons out of one flat list of numbers, or one list of points, or a list of either."""
    if outline and not any(isinstance(each, list) for each in outline):
        return [outline]
    pairs = all(isinstance(each, list) and len(each) == 2 and not _lists(each) for each in outline)
    return [outline] if pairs and len(outline) > 2 else outline


def _corners(polygon: Any) -> list[float]:
    if not isinstance(polygon, list):
        raise ValueError(f"its polygon is {shown(polygon)}; expected a list x, y, x, y, …")  # noqa: TRY004
    if polygon and all(isinstance(each, list) and len(each) == 2 for each in polygon):
        polygon = [number for point in polygon for number in point]
    if len(polygon) % 2:
        raise ValueError(f"its polygon has {len(polygon)} numbers; expected x, y, x, y, …")
    for each in polygon:
        if isinstance(each, bool) or not isinstance(each, int | float) or not _finite(each):
            raise ValueError(f"its polygon holds {shown(each)}; expected numbers")
    return [float(each) for each in polygon]


def _runs(outline: Mapping[str, Any]) -> Runs | None:
    counts, size = outline.get("counts"), outline.get("size")
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(type(each) is int and each > 0 for each in size)
    ):
        raise ValueError(f"its run lengths have the size {shown(size)}; expected [height, width]")
    if isinstance(counts, str):
        counts = _decompressed(counts)
    if not isinstance(counts, list) or not all(type(each) is int and each >= 0 for each in counts):
        raise ValueError(f"its run lengths are {shown(counts)}; expected whole numbers from 0 on")
    if sum(counts) != size[0] * size[1]:
        raise ValueError(
            f"its run lengths cover {shown(sum(counts))} pixels; {size[1]}×{size[0]} px have "
            f"{size[0] * size[1]}"
        )
    return Runs(counts=tuple(counts), height_px=size[0], width_px=size[1]) if any(counts[1::2]) else None


def _decompressed(text: str) -> list[int]:
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - _FIRST_CHARACTER
        if not 0 <= bits < 2 * _MORE or shift >= _BITS * _LONGEST:
            raise ValueError(f"its compressed run lengths {shown(text)} cannot be read")
        value |= (bits & (_MORE - 1)) << shift
        shift += _BITS
        if not bits & _MORE:
            if bits & _SIGN:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    if shift:
        raise ValueError(f"its compressed run lengths {shown(text)} are cut short")
    return counts


def _filled(runs: Runs, height_px: int, width_px: int) -> Bool[np.ndarray, "image_h image_w"]:
    if (runs.height_px, runs.width_px) != (height_px, width_px):
        raise ValueError(
            f"it was made for {runs.width_px}×{runs.height_px} px, the image is {width_px}×{height_px}"
        )
    counts: Int64[np.ndarray, "run"] = np.asarray(runs.counts, np.int64)
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(inside.reshape(width_px, height_px).T)


def _lists(values: Sequence[Any]) -> bool:
    return any(isinstance(each, list) for each in values)


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float holds
        return False
