"""A batch that must not take its worker's other work down with it: try again, then find the item at fault.

Two things go wrong in a long run on many machines: code raises, or the process dies with a batch in hand.
Both are tried three times with the whole batch, so that an item's bytes stay the same. After that the batch
is done item by item, and the one that still fails is recorded as failed with its error; its neighbours,
drawn alone now, may differ from a batch by the last bits of their arithmetic.
"""

import json
import traceback
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from segmint import errors
from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone
from segmint.errors import SegmintError
from segmint.jobs.engines.local import within_memory
from segmint.jobs.work import Batch, Work, give_up
from segmint.listening import Listener
from segmint.runs import layout
from segmint.runs.records import ItemRecord
from segmint.runs.store import commit, read_record

TRIES = 3
"""Attempts with a whole batch before it is taken apart."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """What a worker process holds. `work` learns how much fits the device."""

    work: Work
    backbone: Backbone
    listener: Listener

    def run(self, batch: Batch) -> list[ItemRecord]:
        """Do one batch, whatever it takes; items that are in place already are left as they are.

        Returns:
            Records of all wanted items, whole and failed.

        Raises:
            StorageError, DeviceError, …: trouble of the place or the machine, which is no item's fault.
        """
        standing = {each for each in batch.wanted if self.work.files.exists(layout.record(each))}
        records = [read_record(self.work.files, layout.record(each)) for each in sorted(standing)]
        left = Batch(specs=batch.specs, wanted=batch.wanted - standing)
        if not left.wanted:
            return records
        marker = _marker(left.specs[0].item_id)
        made = self._try(left, marker)
        if made is None:
            alone = [spec for spec in left.specs if spec.item_id in left.wanted]
            made = [record for spec in alone for record in self._alone(spec)]
        self.work.files.remove(marker)
        return records + made

    def _try(self, batch: Batch, marker: PurePosixPath) -> list[ItemRecord] | None:
        """The whole batch, up to TRIES times, counted in `marker` across deaths of the process."""
        files = self.work.files
        before = int(json.loads(files.read(marker))) if files.exists(marker) else 0
        for attempt in range(before + 1, TRIES + 1):
            files.write(marker, str(attempt).encode())
            try:
                return self._once(batch)
            except SegmintError:
                files.remove(marker)
                raise
            except Exception as problem:  # noqa: BLE001 - whatever it was, it must not end the worker
                name = batch.specs[0].item_id
                self.listener.noted(f"batch of {name}, attempt {attempt} of {TRIES}: {_told(problem)}")
        return None

    def _alone(self, spec: PromptSpec) -> list[ItemRecord]:
        """One item by itself, given up where it fails, or where the process already died over it."""
        files, marker = self.work.files, _marker(f"{spec.item_id}.alone")
        if files.exists(layout.record(spec.item_id)):
            return [read_record(files, layout.record(spec.item_id))]
        if files.exists(marker):
            return self._give_up(spec, "the worker process died over this item")
        files.write(marker, b"1")
        try:
            made = self._once(Batch(specs=(spec,), wanted=frozenset({spec.item_id})))
        except SegmintError:
            raise
        except Exception as problem:  # noqa: BLE001 - as above
            made = self._give_up(spec, _told(problem))
        files.remove(marker)
        return made

    def _once(self, batch: Batch) -> list[ItemRecord]:
        finish, self.work = within_memory(batch, self.work, self.backbone, self.listener)
        return finish()

    def _give_up(self, spec: PromptSpec, error: str) -> list[ItemRecord]:
        draft = give_up(spec, error, self.work, self.backbone.info, attempts=TRIES)
        return commit(self.work.files, [draft])


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


def _marker(name: str) -> PurePosixPath:
    return layout.PENDING / f"attempts.{name}"


def _told(problem: Exception) -> str:
    where = traceback.extract_tb(problem.__traceback__)[-1]
    return f"{type(problem).__name__}: {problem} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
