"""Objects of a semantic mask: connected regions of a class, specks dropped, stuff whole.

Touching things of one class stay one object. Cutting them where the region is narrow parts most that touch
and breaks many that stand alone and have limbs; `python -m lab.instances` measures both.
"""

from collections.abc import Collection
from dataclasses import dataclass

import cc3d
import numpy as np
from jaxtyping import Int32, Int64, Integer

from segmint.artifacts import Mask
from segmint.vocabulary import BACKGROUND, IGNORE

MIN_AREA_SHARE = 0.001
"""Of the image, under which a region is a speck: 262 px at 512 × 512, a square of 16. COCO calls objects
of up to 32 × 32 px small, at its usual 640 × 480."""

Numbers = Int32[np.ndarray, "image_h image_w"]


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


def part(labels: Mask, *, stuff: Collection[int] = (), min_area_px: int | float = 0) -> Instances:
    """The objects of a semantic mask (4 neighbours), in the order of their first pixels.

    Args:
        labels: label ids; background and uncertain pixels belong to no object.
        stuff: label ids of classes that are not counted, such as grass: all of one class is one object.
        min_area_px: smaller objects are left out.
    """
    classes = labels.copy()
    classes[labels == IGNORE] = BACKGROUND
    counted = classes.copy() if stuff else classes
    for label_id in stuff:
        counted[classes == label_id] = BACKGROUND
    numbers = cc3d.connected_components(counted, connectivity=4)
    if stuff:
        numbers = numbers.astype(np.int32, copy=False)
        last = int(numbers.max(initial=0))
        for label_id in sorted(stuff):
            if (found := classes == label_id).any():
                last += 1
                numbers[found] = last
    return settled(numbers, classes, min_area_px, scattered=bool(stuff))


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
