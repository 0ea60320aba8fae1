"""The one loop of every engine: batches go before the model one by one, and a pool makes their masks.

    batch ── draw ──> items seen ──> queue, bounded ──> mask workers ──> the batch put in place ──> records

Drawing never waits for masks unless the queue is full. The workers are threads: mask-making holds Python's
lock for 2 % of its time (`segmint`; `pcc` 18 %), every device has a process and so a lock of its own, and all
that the model captured stays where it is. An item's bytes depend on nothing but what was seen of it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from segmint.devices import cores
from segmint.jobs.work import Seen
from segmint.listening import Pace
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft

Make = Callable[[Seen], Draft]
"""The second stage for one item; called in any thread."""
Put = Callable[[list[Draft]], list[ItemRecord]]
"""Puts a batch in place; called in one thread, batch after batch."""

BATCHES_AHEAD = 2
"""Batches that may wait for their masks while another is drawn: what memory holds of them is bounded."""
MOST_MASK_WORKERS = 8
"""Threads beside one model unless told otherwise: each holds some 150 MB while it works."""


def usual_mask_workers(engines: int = 1) -> int:
    """Mask workers beside each model, where nobody says how many: what the models leave of the cores."""
    return max(1, min(MOST_MASK_WORKERS, cores() // engines - 1))


class MaskPool:
    """The second stage: makes the masks of batches that have been drawn, beside the drawing."""

    def __init__(self, make: Make, put: Put, *, workers: int) -> None:
        self._make, self._put, self._workers = make, put, workers
        self._makers = ThreadPoolExecutor(workers, thread_name_prefix="masks")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._underway: deque[tuple[int, Future[list[ItemRecord]]]] = deque()
        self._largest = 0
        self._broken = False
        self._spent = {"drawing": 0.0, "waiting": 0.0, "masks": 0.0}
        self._counting = threading.Lock()

    def __enter__(self) -> "MaskPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the workers. What has been drawn is still put in place after an error of the model, where time
        matters less than what was drawn; not where a person stops the work, or a place refuses a write.
        """
        dropped = self._broken or not (kind is None or issubclass(kind, Exception))
        self._makers.shutdown(cancel_futures=dropped)
        self._writer.shutdown(cancel_futures=dropped)

    def follow(self, batches: Iterable[list[Seen]]) -> Iterator[list[ItemRecord]]:
        """Records of each batch once it is in place, while the next ones are drawn; raises as `ready`."""
        drawn = iter(batches)
        while True:
            with self.counted("drawing"):
                seen = next(drawn, None)
            if seen is None:
                break
            self.give(seen)
            del seen  # what the model captured is freed as its masks are made
            yield from self.ready()
        yield from self.rest()

    def give(self, seen: Sequence[Seen]) -> Future[list[ItemRecord]]:
        """Hand over a batch that has been drawn; its records are there once it is in place."""
        self._largest = max(self._largest, len(seen))
        drafts = [self._makers.submit(self._made, each) for each in seen]
        records = self._writer.submit(lambda: self._put([each.result() for each in drafts]))
        self._underway.append((len(seen), records))
        return records

    def ready(self) -> Iterator[list[ItemRecord]]:
        """Records of the batches that are in place by now, in order; waits while the queue is full.

        Raises:
            Exception: what making or putting raised.
        """
        room = BATCHES_AHEAD * max(self._workers, self._largest)
        while self._underway and (self._underway[0][1].done() or sum(n for n, _ in self._underway) > room):
            with self.counted("waiting"):
                records = self._next()
            yield records

    def rest(self) -> Iterator[list[ItemRecord]]:
        """Records of all batches that are left, when nothing more is drawn; raises as `ready`."""
        while self._underway:
            yield self._next()

    def pace(self) -> Pace:
        """Where the time went so far."""
        return Pace(
            drawing_s=self._spent["drawing"],
            waiting_s=self._spent["waiting"],
            masks_s=self._spent["masks"],
            mask_workers=self._workers,
        )

    def _next(self) -> list[ItemRecord]:
        try:
            return self._underway.popleft()[1].result()
        except Exception:
            self._broken = True
            raise

    def _made(self, seen: Seen) -> Draft:
        with self.counted("masks"):
            return self._make(seen)

    @contextmanager
    def counted(self, stage: str) -> Iterator[None]:
        """Around a part of the work, for its time to be counted: "drawing", "waiting" or "masks"."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._counting:
                self._spent[stage] += time.perf_counter() - start
