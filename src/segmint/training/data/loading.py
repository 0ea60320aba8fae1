"""Batches of augmented samples, prepared ahead by worker processes.

Which sample is seen when is a function of seed and position, so that resuming needs no replay. A
position counts the samples of a training from 0: iteration t of batch size B sees t·B … t·B + B − 1.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from segmint.devices import cores
from segmint.training.data.augment import augment
from segmint.training.data.datasets import MatchedSet, read_pair
from segmint.training.settings import AugmentSettings
from segmint.vocabulary import IGNORE

_SHUFFLE, _BALANCE, _AUGMENT = 1, 2, 3
"""Purposes of a random stream; streams of different purposes never meet."""

Place = tuple[int, int]
"""A position and the index of the sample that is seen there."""


def stream(seed: int, purpose: int, position: int) -> Generator:
    """The random numbers of one position for one purpose."""
    return np.random.default_rng([seed, purpose, position])


def augmentation_seed(seed: int, position: int) -> int:
    """Seed of the augmentation at a position, below 2⁶³."""
    return int(stream(seed, _AUGMENT, position).integers(2**63))


class ShuffledOrder:
    """Every sample once an epoch, in an order of its own each epoch."""

    def __init__(self, count: int, *, seed: int) -> None:
        self._count, self._seed = count, seed
        self._epoch = -1
        self._order: np.ndarray = np.empty(0, np.int64)

    def __getitem__(self, position: int) -> int:
        epoch, place = divmod(position, self._count)
        if epoch != self._epoch:
            self._order = stream(self._seed, _SHUFFLE, epoch).permutation(self._count)
            self._epoch = epoch
        return int(self._order[place])


class BalancedOrder:
    """A class drawn evenly from those that appear, then a sample that shows it."""

    def __init__(self, present: Sequence[Sequence[int]], *, seed: int) -> None:
        self._seed = seed
        labels = sorted({label for each in present for label in each if label != 0})
        self._shows = [np.flatnonzero([label in each for each in present]) for label in labels]

    def __getitem__(self, position: int) -> int:
        rng = stream(self._seed, _BALANCE, position)
        shows = self._shows[int(rng.integers(len(self._shows)))]
        return int(shows[int(rng.integers(len(shows)))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Portions:
    """How one iteration's batch is dealt out to devices and accumulated passes."""

    batch_size: int
    accumulate: int = 1
    rank: int = 0
    world: int = 1

    @property
    def portion(self) -> int:
        """Samples that one device sees in one pass."""
        return self.batch_size // (self.accumulate * self.world)

    def positions(self, iteration: int, part: int) -> range:
        """Positions of this device's `part`-th pass of an iteration."""
        start = iteration * self.batch_size + (part * self.world + self.rank) * self.portion
        return range(start, start + self.portion)


class StepSampler(Sampler[list[Place]]):
    """Batches of places; never a smaller last one, which batch norm could not take."""

    def __init__(
        self, order: ShuffledOrder | BalancedOrder, portions: Portions, *, first: int, last: int
    ) -> None:
        self._order, self._portions = order, portions
        self._first, self._last = first, last

    def __iter__(self) -> Iterator[list[Place]]:
        for iteration in range(self._first, self._last):
            for part in range(self._portions.accumulate):
                yield [
                    (position, self._order[position])
                    for position in self._portions.positions(iteration, part)
                ]

    def __len__(self) -> int:
        return (self._last - self._first) * self._portions.accumulate


PREFETCH_BATCHES = 4
"""Batches that each worker prepares ahead."""
MOST_WORKERS = 8
"""Unless told otherwise: as many give some 800 images a second at 512 px (`python -m lab.bench training`)."""


def usual_workers() -> int:
    """Processes beside each device, where nobody says how many: what training leaves of the cores."""
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # of this machine, by `accelerate launch`
    return max(1, min(MOST_WORKERS, cores() // devices - 1))


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
