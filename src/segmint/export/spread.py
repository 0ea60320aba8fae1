"""What a format makes of each item, by several processes: the same bytes in the same order."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from segmint.devices import cores
from segmint.errors import ExportError
from segmint.export.source import ExportItem, Source, Tally, no_progress

Made = TypeVar("Made")
Make = Callable[[Source, str, ExportItem], Made]
"""From a source, a split and one of its items to what the format's lists say of it; writes the item's own
files. A function of a module, or a `functools.partial` of one: it travels."""

ITEMS_AT_ONCE = 16
"""That a process takes on, of one split."""
ITEMS_A_WORKER = 1000
"""From which a further process is worth its start: they take some four seconds, starting one."""

_own: dict[str, Any] = {}
"""A worker's source and its `Make`."""


def usual_workers(items: int) -> int:
    """Processes for so many items, where nobody says how many."""
    return max(1, min(cores(), items // ITEMS_A_WORKER))


def of_each(source: Source, make: Make[Made]) -> Iterator[tuple[str, Iterator[Made]]]:
    """Every split with what is made of its items, in their order; a split is to be taken whole before the
    next.

    Raises:
        ExportError: a worker died.
        Exception: what `make` raised.
    """
    if source.workers == 1:
        for split in source.splits:
            yield split, (make(source, split, item) for item in source.items(split))
        return
    bare = replace(source, progress=no_progress, splits={}, tally=Tally())
    with ProcessPoolExecutor(
        source.workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(bare, make)
    ) as pool:
        try:
            for split, ids in source.splits.items():
                yield split, _spread(source, split, ids, pool)
        except BrokenProcessPool:
            raise ExportError("an export worker died; is there enough memory? Try --workers 1") from None
        finally:
            pool.shutdown(cancel_futures=True)


def do_each(source: Source, make: Make[None]) -> None:
    """As `of_each`, where an item's own files are all that there is."""
    for _, made in of_each(source, make):
        deque(made, maxlen=0)


def _spread(source: Source, split: str, ids: Sequence[str], pool: ProcessPoolExecutor) -> Iterator[Any]:
    """What workers make of a split's items; few parts are underway at once, so that memory stays flat."""
    parts = (ids[at : at + ITEMS_AT_ONCE] for at in range(0, len(ids), ITEMS_AT_ONCE))
    underway: deque[Future[tuple[list[Any], Tally]]] = deque()
    while True:
        room = 2 * source.workers - len(underway)
        underway.extend(pool.submit(_do, split, tuple(part)) for part in islice(parts, room))
        if not underway:
            return
        made, tally = underway.popleft().result()
        source.tally.add(tally)
        for _ in range(sum(tally.written.values()) + len(tally.unreadable)):
            source.progress()
        yield from made


def _begin(source: Source, make: Make[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    _own.update(source=source, make=make)


def _do(split: str, ids: tuple[str, ...]) -> tuple[list[Any], Tally]:
    source: Source = replace(_own["source"], splits={split: ids}, tally=Tally())
    return [_own["make"](source, split, item) for item in source.items(split)], source.tally
