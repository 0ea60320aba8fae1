"""What is read from a dataset: its classes with their pixels and images, its sizes, and what is left out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from segmint.artifacts import AnyImage, Mask
from segmint.errors import SegmintError
from segmint.training.data.datasets import LabelledSet, match, read_noted
from segmint.training.data.inspection import black_and_white, noted
from segmint.vocabulary import IGNORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One item as it was read: its mask in the dataset's own label ids, or the reason that it was not."""

    item_id: str
    image: AnyImage | None = None
    labels: Mask | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    """What had to be decided about the image."""


def read_all(found: LabelledSet) -> Iterator[Read]:
    """Every item of a dataset, one at a time; one that cannot be read says why.

    Raises:
        DatasetError: two classes have one name.
    """
    ids = [label for label, _ in sorted(found.classes.items())]
    table = np.zeros(256, np.uint8)
    table[IGNORE] = IGNORE
    table[1 : len(ids) + 1] = ids
    for sample in match(found, [found.classes[label] for label in ids]).samples:
        try:
            photo, labels = read_noted(sample)
        except SegmintError as error:
            yield Read(item_id=sample.item_id, reason=str(error))
            continue
        yield Read(item_id=sample.item_id, image=photo.rgb, labels=table[labels], notes=photo.notes)


class Overview:
    """Counts over the items of a dataset, as they are read."""

    def __init__(self, found: LabelledSet) -> None:
        self._found = found
        self._pixels: Counter[int] = Counter()
        self._images: Counter[int] = Counter()
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._notes: Counter[str] = Counter()
        self._skipped = [
            {"item": None, "reason": f"{count} {reason}"} for reason, count in found.skipped.items()
        ]
        self._items = 0

    def add(self, read: Read) -> None:
        """Count one more item in."""
        if read.labels is None:
            self._skipped.append({"item": read.item_id, "reason": read.reason})
            return
        self._items += 1
        self._notes.update(read.notes)
        self._sizes[read.labels.shape[1], read.labels.shape[0]] += 1
        for label, count in enumerate(np.bincount(read.labels.ravel(), minlength=256).tolist()):
            if count:
                self._pixels[label] += count
                self._images[label] += 1

    def as_json(self) -> dict[str, Any]:
        """The counts; the background is not among the classes."""
        return {
            "items": self._items,
            "classes": [
                {"id": label, "name": name, "pixels": self._pixels[label], "images": self._images[label]}
                for label, name in sorted(self._found.classes.items())
            ],
            "void_pixels": self._pixels[IGNORE],
            "sizes": [
                {"width": width, "height": height, "images": count}
                for (width, height), count in sorted(self._sizes.items())
            ],
            "skipped": self._skipped,
            "notes": [*noted(self._notes), *self._doubts()],
        }

    def _doubts(self) -> list[str]:
        classless = not any(self._pixels[label] for label in self._found.classes)
        return [black_and_white(self._found.name)] if classless and self._pixels[IGNORE] else []
