"""The objects of a mask, for the browser: a list, and a picture of their numbers."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from segmint.artifacts import Mask
from segmint.masks.instances import MIN_AREA_SHARE, Instances, Point, part
from segmint.pictures.paint import Picture

LEAST_SHARE = MIN_AREA_SHARE
"""Of the image, under which a region is a speck, as exports have it by default."""


def objects_of(labels: Mask, touching: Collection[Point]) -> Instances:
    """The objects of a mask, without specks, cut between the pixels that its record tells apart."""
    return part(labels, points=touching, min_area_px=LEAST_SHARE * labels.size)


def listed(found: Instances, names: Sequence[str]) -> list[dict[str, Any]]:
    """Each object: number, class, share of the image, pixels, and where to write its number.

    The place, in shares from the top left, is the object's pixel nearest to its centre of mass, since a
    centre may lie outside.
    """
    told = []
    height, width = found.numbers.shape
    for number, label_id in enumerate(found.label_ids, start=1):
        rows, columns = np.nonzero(found.numbers == number)
        nearest = int(((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin())
        told.append(
            {
                "number": number,
                "class": names[label_id] if label_id < len(names) else f"label {label_id}",
                "area": round(len(rows) / found.numbers.size, 5),
                "pixels": len(rows),
                "x": round((int(columns[nearest]) + 0.5) / width, 4),
                "y": round((int(rows[nearest]) + 0.5) / height, 4),
            }
        )
    return told


def numbered(found: Instances) -> Picture:
    """Each pixel's number in red and green, the low byte first; 0 where no object is."""
    high, low = np.divmod(found.numbers, 256)
    return np.stack([low, high, np.zeros_like(low)], axis=-1).astype(np.uint8)
