"""A batch that must not take its worker's other work down with it: try again, then find the item at fault.

Two things go wrong in a long run on many machines: code raises, or the process dies with batches in hand.
Both are tried three times with the whole batch, so that an item's bytes stay the same. After that the batch
is done item by item, and the one that still fails is recorded as failed with its error; its neighbours,
drawn alone now, may differ from a batch by the last bits of their arithmetic.

A process dies over one batch, and all that it had in hand are given out again. A batch that is tried again is
therefore done with nothing beside it, so that those that only kept it company are never taken apart.
"""

import json
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from segmint import errors
from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, ModelInfo
from segmint.errors import GenerationError, SegmintError
from segmint.jobs.engines.local import within_memory
from segmint.jobs.engines.pool import MaskPool
from segmint.jobs.work import Batch, Seen, Work, make
from segmint.listening import Listener
from segmint.runs import layout
from segmint.runs.files.holder import Signature, is_dead
from segmint.runs.files.local import Files
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft, commit, read_item

TRIES = 3
"""Attempts with a whole batch before it is taken apart, and with an item's mask."""
DRIVER_S = 2.0
"""How often a worker looks whether its driver lives."""


@dataclass(slots=True, kw_only=True)
class Drawer:
    """The first stage in a worker process. `work` learns how much fits the device."""

    work: Work
    backbone: Backbone
    listener: Listener

    def batch(self, batch: Batch) -> list[Seen] | None:
        """A whole batch, up to TRIES times, counted across deaths of the process; None where it is in vain.

        Raises:
            StorageError, DeviceError, …: trouble of the place or the machine, which is no item's fault.
        """
        files, name = self.work.files, batch.specs[0].item_id
        marker = marker_of(name)
        before = int(json.loads(files.read(marker))) if files.exists(marker) else 0
        for attempt in range(before + 1, TRIES + 1):
            files.write(marker, str(attempt).encode())
            try:
                return self._once(batch)
            except SegmintError:
                files.remove(marker)
                raise
            except Exception as problem:  # noqa: BLE001 - whatever it was, it must not end the worker
                self.listener.noted(f"batch of {name}, attempt {attempt} of {TRIES}: {_told(problem)}")
        return None

    def alone(self, spec: PromptSpec) -> Seen:
        """One item by itself, failed where drawing it raises, or where the process already died over it."""
        files, marker = self.work.files, marker_of(f"{spec.item_id}.alone")
        if files.exists(marker):
            return _in_vain(spec, "the worker process died over this item")
        files.write(marker, b"1")
        try:
            return self._once(Batch(specs=(spec,), wanted=frozenset({spec.item_id})))[0]
        except SegmintError:
            files.remove(marker)
            raise
        except Exception as problem:  # noqa: BLE001 - as above
            files.remove(marker)
            return _in_vain(spec, _told(problem))

    def whatever_it_takes(self, batch: Batch) -> list[Seen]:
        """The wanted items of a batch, whole or, where that is in vain, one by one; raises as `batch`."""
        if not batch.wanted:
            return []
        seen = self.batch(batch)
        if seen is None:
            seen = []
            for spec in wanted_of(batch):
                seen.append(self.alone(spec))
                if not isinstance(seen[-1].outcome, GenerationError):
                    self.work.files.remove(marker_of(f"{spec.item_id}.alone"))
        self.forget(batch)
        return seen

    def forget(self, batch: Batch) -> None:
        """Take away the count of a batch's attempts."""
        for name in (batch.specs[0].item_id, *(f"{spec.item_id}.alone" for spec in wanted_of(batch))):
            self.work.files.remove(marker_of(name))

    def _once(self, batch: Batch) -> list[Seen]:
        seen, self.work = within_memory(batch, self.work, self.backbone, self.listener)
        return seen


@dataclass(slots=True, kw_only=True)
class Worker:
    """Both stages in a worker process: takes batches, and tells of those that are in place."""

    drawer: Drawer
    pool: MaskPool
    _given: deque[tuple[str, list[ItemRecord]]] = field(default_factory=deque)
    """Batches in the pool, each with the records of its items that stood already."""
    _done: deque[tuple[str, list[ItemRecord]]] = field(default_factory=deque)

    def take(self, batch: Batch) -> None:
        """Draw one batch, whatever it takes, and leave its masks to the pool; waits while that is full.

        Raises:
            StorageError, DeviceError, …: as `Drawer.batch`; also of an earlier batch.
        """
        files, name = self.drawer.work.files, batch.specs[0].item_id
        records, left = standing(files, batch)
        if not left.wanted:
            self._finish(name, records)
            return
        again = files.exists(marker_of(name))
        if again:
            self._settle(self.pool.rest())
        with self.pool.counted("drawing"):
            seen = self.drawer.batch(left)
        if seen is None:
            self._finish(name, records + self._one_by_one(left))
            return
        self._given.append((name, records))
        self.pool.give(seen)
        self._settle(self.pool.rest() if again else self.pool.ready())

    def finished(self) -> Iterator[tuple[str, list[ItemRecord]]]:
        """Batches in place since the last call, by their first item, with the records of all wanted items."""
        self._settle(self.pool.ready())
        while self._done:
            yield self._done.popleft()

    def _one_by_one(self, batch: Batch) -> list[ItemRecord]:
        self._settle(self.pool.rest())
        made = []
        for spec in wanted_of(batch):
            self.pool.give([self.drawer.alone(spec)])
            made += [record for records in self.pool.rest() for record in records]
        self.drawer.forget(batch)
        return made

    def _settle(self, made: Iterable[list[ItemRecord]]) -> None:
        for records in made:
            name, before = self._given.popleft()
            self._finish(name, before + records)

    def _finish(self, name: str, records: list[ItemRecord]) -> None:
        self.drawer.work.files.remove(marker_of(name))
        self._done.append((name, records))


def wanted_of(batch: Batch) -> list[PromptSpec]:
    """The items of a batch that are to be put in place, in its order."""
    return [spec for spec in batch.specs if spec.item_id in batch.wanted]


def standing(files: Files, batch: Batch) -> tuple[list[ItemRecord], Batch]:
    """Records of a batch's wanted items that are in place already, and the batch with what is left to do."""
    there = {each for each in batch.wanted if files.exists(layout.record(each))}
    records = [read_item(files, each) for each in sorted(there)]
    return records, Batch(specs=batch.specs, wanted=batch.wanted - there)


def make_at_last(seen: Seen, work: Work, info: ModelInfo) -> Draft:
    """As `work.make`, but what raises TRIES times becomes a failed item and ends nothing else."""
    for attempt in range(1, TRIES + 1):
        try:
            return make(seen, work, info)
        except SegmintError:
            raise
        except Exception as problem:  # noqa: BLE001 - whatever it was, it must not end the worker
            if attempt == TRIES:
                seen = _in_vain(seen.spec, _told(problem))
    return make(seen, work, info)


def finish_item(seen: Seen, work: Work, info: ModelInfo, *, again: bool) -> ItemRecord:
    """The second stage for an item by itself, put in place; one that stands already is left as it is.

    Args:
        seen, work, info: as `make`.
        again: this process stands for one that died, maybe over this item: count the attempts.

    Raises:
        StorageError: the place refuses a write.
    """
    files, name = work.files, seen.spec.item_id
    if files.exists(layout.record(name)):
        return read_item(files, name)
    marker = marker_of(f"{name}.mask")
    if again:
        before = int(json.loads(files.read(marker))) if files.exists(marker) else 0
        files.write(marker, str(before + 1).encode())
        if before >= TRIES:
            seen = _in_vain(seen.spec, "the worker process died over this item's mask")
    [record] = commit(files, [make_at_last(seen, work, info)])
    if again:
        files.remove(marker)
    return record


def die_with(driver: Signature) -> None:
    """End this process soon after the driver's, where both are on one machine.

    What it writes until then is refused: its files know who holds them.
    """

    def watch() -> None:
        while not is_dead(driver):
            time.sleep(DRIVER_S)
        os._exit(1)

    threading.Thread(target=watch, name="segmint-driver", daemon=True).start()


def tell(error: SegmintError) -> dict[str, str]:
    """An error as plain data, for the way back from a worker."""
    return {"error": type(error).__name__, "message": str(error)}


def raise_told(reply: dict[str, Any]) -> None:
    """Raise the error that a reply tells of, if it does.

    Raises:
        SegmintError: of the kind that the worker raised.
    """
    if "error" in reply:
        raise getattr(errors, reply["error"], SegmintError)(reply["message"])


def marker_of(name: str) -> PurePosixPath:
    """Where the attempts of a batch or an item are counted."""
    return layout.PENDING / f"attempts.{name}"


def _in_vain(spec: PromptSpec, error: str) -> Seen:
    return Seen(spec=spec, outcome=GenerationError(error), attempts=TRIES)


def _told(problem: Exception) -> str:
    where = traceback.extract_tb(problem.__traceback__)[-1]
    return f"{type(problem).__name__}: {problem} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
