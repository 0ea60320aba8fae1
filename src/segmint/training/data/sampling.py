"""Which sample is seen when: a function of seed and position, so that resuming needs no replay.

A position counts the samples of a training from 0: iteration t of batch size B sees the positions t·B … t·B +
B − 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from torch.utils.data import Sampler

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
