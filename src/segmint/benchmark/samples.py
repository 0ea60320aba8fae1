"""What is scored on: labelled pictures of the user's, and prompts whose pictures a world's oracle judges."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmint.artifacts import Image, Mask, PromptSpec
from segmint.errors import ConfigError, DatasetError, ImageError
from segmint.labels.legend import legend_of
from segmint.labels.maskfile import read_mask
from segmint.plan.classes import preset_vocabulary
from segmint.plan.photos.reading import read_photo
from segmint.plan.photos.sources import Source, find_sources
from segmint.plan.prompts import planning
from segmint.plan.prompts.templates import load_templates
from segmint.plan.settings import PromptSettings
from segmint.toybox import oracle
from segmint.toybox.worlds import SEEDS_PER_SPLIT, Split, World
from segmint.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image with its true mask.

    `classes` are those to look for; `caption` says what the image shows, or None where the classes should. If
    the classes are `doubted`, some may not be there, and a method that can tell may leave them out.
    `notes` say what had to be decided when the image was read.
    """

    item_id: str
    image: Image
    truth: Mask
    classes: tuple[str, ...]
    caption: str | None = None
    doubted: bool = False
    notes: tuple[str, ...] = ()


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
    photo = read_photo(source.path)
    image = photo.rgb
    truth = read_mask(mask, legend_of(vocabulary))
    if truth.shape != image.shape[:2]:
        raise ImageError(
            f"{mask}: {truth.shape[1]}×{truth.shape[0]} px, but its image {source.path.name} has "
            f"{image.shape[1]}×{image.shape[0]} px; masks need the size of their images"
        )
    seen = set(np.unique(truth).tolist())
    classes = tuple(entry.name for entry in vocabulary.entries if entry.label_id in seen)
    return Sample(
        item_id=source.item_id,
        image=image,
        truth=truth,
        classes=classes,
        caption=source.caption,
        notes=tuple(f"{source.path.as_posix()} {note}" for note in photo.notes),
    )


ClassCounts = tuple[float, float, float]
USUAL_COUNTS: ClassCounts = PromptSettings().class_counts
SEED_STRIDE = 10_000
"""Seed s of the benchmark owns scenes and noise s · SEED_STRIDE to (s + 1) · SEED_STRIDE − 1 of its split."""
PROMPT_SEEDS = {"val": 1_000_000_000, "test": 2_000_000_000, "reserve": 3_000_000_000}
"""Where the noise of generated images begins; no two splits share an image."""
MOST_SEEDS = SEEDS_PER_SPLIT // SEED_STRIDE


def planned_specs(
    world: World, split: Split, *, seed: int, count: int, class_counts: ClassCounts = USUAL_COUNTS
) -> list[PromptSpec]:
    """Planned prompts of one to three classes, as `segmint generate` plans them.

    Raises:
        ConfigError: the seed or the count is out of range.
    """
    return planning.plan(
        preset_vocabulary(world.name),
        PromptSettings(templates=world.name, class_counts=class_counts),
        count=count,
        seed=PROMPT_SEEDS[split] + first_seed(seed, count),
        templates=load_templates(world.name),
    )


def judge(world: World, image: Image) -> Mask:
    """A picture's mask by the world's oracle: what stands for the truth where no renderer knows it.

    Raises:
        ModelError: the oracle's weights are missing.
    """
    found: Mask = oracle.judge(image[None], world.name)[0]
    return found


def first_seed(seed: int, count: int) -> int:
    """The first of the scenes that a benchmark seed owns.

    Raises:
        ConfigError: the seed or the count is out of range.
    """
    if not 0 <= seed < MOST_SEEDS:
        raise ConfigError(f"--seeds holds {seed}; expected numbers from 0 to {MOST_SEEDS - 1}")
    if not 1 <= count <= SEED_STRIDE:
        raise ConfigError(f"--count is {count}; expected 1 to {SEED_STRIDE} images a seed")
    return seed * SEED_STRIDE
