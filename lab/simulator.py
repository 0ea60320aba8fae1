"""How fast GPUs and cores mint together, simulated from what one item costs.

Every GPU draws batch after batch and hands its items to threads of its own process; drawing stands still
while more than `BATCHES_AHEAD` batches wait (`segmint.jobs.engines.pool`). Threads of one process share
Python's lock, and all share the machine's cores.
"""

import heapq
from dataclasses import dataclass

from segmint.jobs.engines.pool import BATCHES_AHEAD, MOST_MASK_WORKERS

BATCHES = 200
"""Simulated for each GPU: long after the queue has settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What one item costs, in seconds."""

    drawing_s: float
    """Of a GPU, at the batch size that is used."""
    mask_s: float
    """Of a core: mask, encoding and writing."""
    locked: float = 0.02
    """Share of `mask_s` that holds Python's lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What a machine makes."""

    gpus: int
    cores: int
    mask_workers: int
    images_per_s: float
    waiting: float
    """Share of its time that a GPU stands still."""


def simulate(
    item: Item, *, gpus: int, cores: int, batch: int = 8, mask_workers: int | None = None
) -> Simulated:
    """A machine at work.

    Args:
        item: its costs.
        gpus, cores: of the machine; drawing takes a core for each GPU.
        batch: images drawn together.
        mask_workers: threads for each GPU; None takes what `--mask-workers` would.
    """
    workers = mask_workers or max(1, min(MOST_MASK_WORKERS, cores // gpus - 1))
    share = max(cores - gpus, 1) / gpus  # of the cores, for the threads beside one GPU
    rate = min(pool_rate(item, workers), share / item.mask_s)
    images_per_s, waiting = _run(item.drawing_s * batch, batch, workers, workers / rate)
    return Simulated(
        gpus=gpus, cores=cores, mask_workers=workers, images_per_s=gpus * images_per_s, waiting=waiting
    )


def pool_rate(item: Item, workers: int) -> float:
    """Masks a second of so many threads that share one lock, each with a core of its own.

    Source: mean-value analysis of a closed network of one queue (the lock) and a delay (the rest),
    Reiser and Lavenberg 1980.
    """
    held, free = item.locked * item.mask_s, (1 - item.locked) * item.mask_s
    queue = rate = 0.0
    for count in range(1, workers + 1):
        wait = held * (1 + queue)
        rate = count / (free + wait)
        queue = rate * wait
    return rate


def _run(drawing_s: float, batch: int, workers: int, service_s: float) -> tuple[float, float]:
    """Images a second and the GPU's waiting, of one GPU with its threads."""
    free = [0.0] * workers
    done: list[float] = []
    now = waited = 0.0
    room = BATCHES_AHEAD * max(workers, batch) // batch
    for _ in range(BATCHES):
        now += drawing_s
        ends = []
        for _ in range(batch):
            end = max(now, heapq.heappop(free)) + service_s
            heapq.heappush(free, end)
            ends.append(end)
        done.append(max(ends))
        if len(done) > room and done[-1 - room] > now:
            waited += done[-1 - room] - now
            now = done[-1 - room]
    return BATCHES * batch / max(now, done[-1]), waited / now
