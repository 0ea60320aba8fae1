"""Batches of augmented samples, prepared ahead by worker processes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from segmint.training.data.augment import augment
from segmint.training.data.datasets import MatchedSet, read_pair
from segmint.training.data.sampling import Place, StepSampler, augmentation_seed
from segmint.training.settings import AugmentSettings
from segmint.vocabulary import IGNORE

PREFETCH_BATCHES = 4
"""Batches that each worker prepares ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the network sees in one pass."""

    images: UInt8[Tensor, "item 3 image_h image_w"]
    """RGB, 0–255."""
    labels: UInt8[Tensor, "item image_h image_w"]
    """Network labels, 255 where ignored."""
    item_ids: tuple[str, ...]

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory; called by the loader."""
        return replace(self, images=self.images.pin_memory(), labels=self.labels.pin_memory())


class AugmentedSamples(Dataset[tuple[Tensor, Tensor, str]]):
    """Samples by place: the position decides the augmentation, the index the image."""

    def __init__(self, data: MatchedSet, settings: AugmentSettings, *, seed: int) -> None:
        self._data, self._settings, self._seed = data, settings, seed

    def __getitem__(self, place: Place) -> tuple[Tensor, Tensor, str]:
        position, index = place
        sample = self._data.samples[index]
        image, labels = read_pair(sample)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        pair = augment(
            pixels, torch.from_numpy(labels), self._settings, seed=augmentation_seed(self._seed, position)
        )
        return *pair, sample.item_id

    def __len__(self) -> int:
        return len(self._data.samples)


def batches(
    samples: AugmentedSamples, sampler: StepSampler, *, workers: int, pin_memory: bool = False
) -> Iterator[Batch]:
    """Batches in the sampler's order, the same whatever the number of worker processes.

    Args:
        samples: where to take them from.
        sampler: which, and in what order.
        workers: processes that read and augment ahead; 0 does it in this one.
        pin_memory: keep batches in memory that a CUDA device can copy from while it works.
    """
    yield from DataLoader(
        samples,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        persistent_workers=False,
        prefetch_factor=PREFETCH_BATCHES if workers else None,
        generator=torch.Generator(),  # else the loader would draw a number from the global one
        worker_init_fn=_one_thread if workers else None,
    )


def collate(items: list[tuple[Tensor, Tensor, str]]) -> Batch:
    """Samples side by side; smaller ones are padded at the right and bottom with pixels that are ignored."""
    height = max(labels.shape[0] for _, labels, _ in items)
    width = max(labels.shape[1] for _, labels, _ in items)
    images = torch.zeros(len(items), 3, height, width, dtype=torch.uint8)
    masks = torch.full((len(items), height, width), IGNORE, dtype=torch.uint8)
    for place, (image, labels, _) in enumerate(items):
        images[place, :, : labels.shape[0], : labels.shape[1]] = image
        masks[place, : labels.shape[0], : labels.shape[1]] = labels
    return Batch(images=images, labels=masks, item_ids=tuple(item_id for _, _, item_id in items))


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
