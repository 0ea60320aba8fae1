"""Images with true masks to be scored on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmint.artifacts import Image, Mask
from segmint.errors import DatasetError, ImageError
from segmint.labels.legend import legend_of
from segmint.labels.maskfile import read_mask
from segmint.plan.photos.reading import read_photo
from segmint.plan.photos.sources import Source, find_sources
from segmint.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image with its true mask.

    `classes` are those to look for; `caption` says what the image shows, or None where the classes should.
    """

    item_id: str
    image: Image
    truth: Mask
    classes: tuple[str, ...]
    caption: str | None = None


def pair_files(images: Sequence[str | Path], masks: Path) -> tuple[list[tuple[Source, Path]], list[str]]:
    """Each image with the mask of its name, a PNG in the folder `masks`, in the images' order.

    Returns:
        The pairs, and the names of images that have no mask (most of VOC's have none).

    Raises:
        ImageError: no image is found.
        DatasetError: no folder of masks, or not one image has a mask.
    """
    if not masks.is_dir():
        raise DatasetError(f"{masks}: no such folder of masks; give a folder of PNGs named like the images")
    pairs = [(source, masks / f"{source.path.stem}.png") for source in find_sources(images)]
    lone = [source.path.name for source, mask in pairs if not mask.is_file()]
    if len(lone) == len(pairs):
        raise DatasetError(
            f"{masks}: holds no mask for any of the {len(pairs)} images; expected {lone[0]!r} as .png"
        )
    return [(source, mask) for source, mask in pairs if mask.is_file()], lone


def read_sample(source: Source, mask: Path, vocabulary: Vocabulary) -> Sample:
    """An image and its mask; the classes are those that the mask shows.

    Raises:
        ImageError: a file cannot be read, the sizes differ, or the mask holds a label outside the vocabulary.
    """
    image = read_photo(source.path).rgb
    truth = read_mask(mask, legend_of(vocabulary))
    if truth.shape != image.shape[:2]:
        raise ImageError(
            f"{mask}: {truth.shape[1]}×{truth.shape[0]} px, but its image {source.path.name} has "
            f"{image.shape[1]}×{image.shape[0]} px; masks need the size of their images"
        )
    seen = set(np.unique(truth).tolist())
    classes = tuple(entry.name for entry in vocabulary.entries if entry.label_id in seen)
    return Sample(item_id=source.item_id, image=image, truth=truth, classes=classes, caption=source.caption)
