"""The local engine: one batch after the other in this process."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, ModelInfo
from segmint.errors import DeviceError
from segmint.jobs.work import Batch, Finish, Unit, Work, mint_batch
from segmint.listening import Listener
from segmint.pipeline import capture_for
from segmint.recipe import Recipe
from segmint.runs.records import ItemRecord


@dataclass(slots=True, kw_only=True)
class LocalEngine:
    """Works in this process, with one model.

    `load` gives the model and is called once, when it is first needed; `unit` does one batch.
    """

    load: Callable[[], Backbone]
    unit: Unit = mint_batch
    backbone: Backbone | None = None

    def prepare(self, recipe: Recipe, specs: Sequence[PromptSpec]) -> ModelInfo:
        """As `Engine.prepare`."""
        self.backbone = self.backbone or self.load()
        self.backbone.check(specs, recipe.sampling, capture_for(recipe))
        return self.backbone.info

    def run(self, work: Work, listener: Listener) -> None:
        """As `Engine.run`. On a GPU the masks of one batch are made while the next is drawn."""
        self.backbone = self.backbone or self.load()
        begun = begin_all(work, self.backbone, listener, self.unit)
        beside = self.backbone.info.device.startswith("cuda")
        for records in _one_behind(begun) if beside else (finish() for finish in begun):
            for record in records:
                listener.finished(record)


def begin_all(work: Work, backbone: Backbone, listener: Listener, unit: Unit) -> Iterator[Finish]:
    """Every batch through the model, in order, each with what is left to do for it.

    Where the device runs out of memory the batch is halved, for the rest of the work, and the listener told.
    An item's noise stays the same; its last bits may differ from those of a whole batch.

    Raises:
        DeviceError: a single item does not fit the device.
    """
    for batch in work.batches:
        finish, work = within_memory(batch, work, backbone, listener, unit)
        yield finish


def within_memory(
    batch: Batch, work: Work, backbone: Backbone, listener: Listener, unit: Unit
) -> tuple[Finish, Work]:
    """One batch through the model, halved as often as memory asks for, and the work with what was learnt.

    Raises:
        DeviceError: a single item does not fit the device.
    """
    while True:
        try:
            return unit(batch, work, backbone, listener), work
        except DeviceError:
            at_once = min(work.most or len(batch.specs), len(batch.specs))
            if at_once == 1:
                raise
            work = replace(work, most=at_once // 2)
            listener.noted(f"out of memory: going on with {at_once // 2} images at once")
        gc.collect()  # what the failed batch held hangs on the frames of its traceback, in cycles


def _one_behind(begun: Iterable[Finish]) -> Iterator[list[ItemRecord]]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        underway: Future[list[ItemRecord]] | None = None
        for finish in begun:
            if underway is not None:
                yield underway.result()
            underway = pool.submit(finish)
        if underway is not None:
            yield underway.result()
