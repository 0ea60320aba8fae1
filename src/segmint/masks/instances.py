"""Objects of a semantic mask: connected regions of a class, specks dropped, stuff whole.

Touching things of one class stay one object. Cutting them where the region is narrow parts most that touch
and breaks many that stand alone and have limbs; `python -m lab.instances` measures both.
"""

from collections.abc import Collection
from dataclasses import dataclass

import cc3d
import numpy as np
from jaxtyping import Int32

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


def part(labels: Mask, *, stuff: Collection[int] = (), min_area_px: int | float = 0) -> Instances:
    """The objects of a semantic mask (4 neighbours), in the order of their first pixels.

    Args:
        labels: label ids; background and uncertain pixels belong to no object.
        stuff: label ids of classes that are not counted, such as grass: all of one class is one object.
        min_area_px: smaller objects are left out.
    """
    classes = np.where((labels == BACKGROUND) | (labels == IGNORE), 0, labels)
    whole = np.isin(classes, list(stuff))
    numbers = cc3d.connected_components(np.where(whole, 0, classes), connectivity=4).astype(np.int32)
    last = int(numbers.max(initial=0))
    for label_id in np.unique(classes[whole]).tolist():
        last += 1
        numbers[classes == label_id] = last
    return settled(numbers, classes, min_area_px)


def settled(numbers: Numbers, classes: Mask, min_area_px: int | float) -> Instances:
    """Numbered regions as objects: specks out, the rest numbered without gaps by first pixel."""
    found, first, areas = np.unique(numbers, return_index=True, return_counts=True)
    kept = sorted((first[i], found[i]) for i in np.flatnonzero((found > 0) & (areas >= min_area_px)))
    table = np.zeros(int(numbers.max(initial=0)) + 1, np.int32)
    for place, (_, number) in enumerate(kept, start=1):
        table[number] = place
    return Instances(
        numbers=table[numbers],
        label_ids=tuple(int(classes.flat[at]) for at, _ in kept),
        dropped=int((found > 0).sum()) - len(kept),
    )
