"""Objects of a semantic mask: connected regions of a class, cut where minting told touching things apart
(`masks.touching`), specks dropped, stuff whole.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from jaxtyping import Int32, Int64, Integer
from scipy import ndimage

from segmint.artifacts import Mask
from segmint.masks.necks import Basins, Inside, basins_of, joined, passages
from segmint.vocabulary import BACKGROUND, IGNORE

MIN_AREA_SHARE = 0.001
"""Of the image, under which a region is a speck: 262 px at 512 × 512, a square of 16. COCO calls objects
of up to 32 × 32 px small, at its usual 640 × 480."""

Numbers = Int32[np.ndarray, "image_h image_w"]
Point = tuple[int, int]
"""(row, column) in pixels of the mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """The objects of one mask."""

    numbers: Numbers
    """1, 2, … for the objects, 0 for everything else."""
    label_ids: tuple[int, ...]
    """Class of each object, number 1 first."""
    dropped: int
    """Regions left out as specks."""
    scattered: bool = True
    """Whether an object may be of several regions; else each is one."""


def part(
    labels: Mask,
    *,
    points: Collection[Point] = (),
    stuff: Collection[int] = (),
    min_area_px: int | float = 0,
) -> Instances:
    """The objects of a semantic mask (4 neighbours), in the order of their first pixels.

    Args:
        labels: label ids; background and uncertain pixels belong to no object.
        points: a region that holds several of them is cut between them, at its necks.
        stuff: label ids of classes that are not counted, such as grass: all of one class is one object.
        min_area_px: smaller objects are left out.
    """
    classes = labels.copy()
    classes[labels == IGNORE] = BACKGROUND
    counted = classes.copy() if stuff else classes
    for label_id in stuff:
        counted[classes == label_id] = BACKGROUND
    numbers = cc3d.connected_components(counted, connectivity=4)
    if stuff or points:
        numbers = numbers.astype(np.int32, copy=False)
        last = _cut(numbers, points)
        for label_id in sorted(stuff):
            if (found := classes == label_id).any():
                last += 1
                numbers[found] = last
    return settled(numbers, classes, min_area_px, scattered=bool(stuff or points))


def _cut(numbers: Numbers, points: Collection[Point]) -> int:
    """Cut regions that hold several points, in place; the last number then in use."""
    last = int(numbers.max(initial=0))
    held: dict[int, list[Point]] = {}
    for row, col in points:
        if 0 <= row < numbers.shape[0] and 0 <= col < numbers.shape[1]:  # a record says anything
            held.setdefault(int(numbers[row, col]), []).append((row, col))
    several = {number: own for number, own in held.items() if number and len(own) > 1}
    boxes = ndimage.find_objects(numbers) if several else []
    for number, own in several.items():
        box = boxes[number - 1]
        top, left = box[0].start, box[1].start
        parts = _between(numbers[box] == number, [(row - top, col - left) for row, col in own])
        for root in np.unique(parts[parts > 0])[1:]:
            last += 1
            numbers[box][parts == root] = last
    return last


def _between(inside: Inside, points: Sequence[Point]) -> Basins:
    """The parts of a region, each around one of the points; those in one basin share it."""
    depth, basins = basins_of(inside)
    taken = np.zeros(int(basins.max()) + 1, bool)
    taken[[basins[point] for point in points]] = True

    def join(_: float, one: int, other: int) -> bool:
        alone = not (taken[one] and taken[other])
        taken[one] |= alone and taken[other]
        return alone

    parts: Basins = joined(len(taken), passages(depth, basins), join)[basins]
    return parts


def settled(
    numbers: Integer[np.ndarray, "image_h image_w"],
    classes: Mask,
    min_area_px: int | float,
    *,
    scattered: bool = True,
) -> Instances:
    """Numbered regions as objects: specks out, the rest numbered without gaps by first pixel."""
    flat = numbers.ravel()
    starts, lengths = runs_of(flat)
    areas = np.bincount(flat[starts], weights=lengths)
    first = np.zeros(len(areas), np.int64)
    first[flat[starts[::-1]]] = starts[::-1]  # the last to be put is the first pixel
    there = areas > 0
    there[:1] = False
    kept = sorted((first[each], each) for each in np.flatnonzero(there & (areas >= min_area_px)))
    table = np.zeros(len(areas), np.int32)
    for place, (_, number) in enumerate(kept, start=1):
        table[number] = place
    as_they_are = np.array_equal(table, np.arange(len(table)))
    return Instances(
        numbers=numbers.astype(np.int32, copy=False) if as_they_are else table.take(numbers),
        label_ids=tuple(int(classes.flat[at]) for at, _ in kept),
        dropped=int(there.sum()) - len(kept),
        scattered=scattered,
    )


def runs_of(
    values: Integer[np.ndarray, "pixel"],
) -> tuple[Int64[np.ndarray, "run"], Int64[np.ndarray, "run"]]:
    """Where each run of one value starts, and its length: far fewer to ask than pixels."""
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])[: len(values)]
    return starts, np.diff(starts, append=len(values))
