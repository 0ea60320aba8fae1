"""The local engine: one batch after the other in this process, and what every engine does in its workers."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, ModelInfo
from segmint.backbone.settings import ModelSettings
from segmint.errors import DeviceError
from segmint.jobs.work import Batch, Finish, Unit, Work, do_batch
from segmint.listening import Listener
from segmint.pipeline import capture_for
from segmint.recipe import Recipe
from segmint.runs.records import ItemRecord

Task = Callable[[Any], Any]
"""What is done with a row of items, without a model: plain data in, plain data out."""
Executor = Callable[[Callable[[], Task], Sequence[Any]], Iterator[Any]]
"""Carries rows out, here or elsewhere; the task that does them is made once in each worker."""


@dataclass(slots=True, kw_only=True)
class LocalEngine:
    """Works in this process, with one model. `load` gives it and is called once, when it is first needed."""

    load: Callable[[], Backbone]
    backbone: Backbone | None = None

    def prepare(self, recipe: Recipe, specs: Sequence[PromptSpec]) -> ModelInfo:
        """As `Engine.prepare`."""
        self.backbone = self.backbone or self.load()
        return checked(self.backbone, recipe, specs)

    def run(self, work: Work, listener: Listener) -> None:
        """As `Engine.run`."""
        self.backbone = self.backbone or self.load()
        do_all(work, self.backbone, listener)


def in_process(make: Callable[[], Task], rows: Sequence[Any]) -> Iterator[Any]:
    """The executor of this process."""
    return map(make(), rows)


def load_on(device: str, *, settings: ModelSettings, threads: int | None = None) -> Backbone:
    """The model on a device. A `functools.partial` of this travels to other processes.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        settings: which model.
        threads: CPU threads of this process; None leaves torch's default, one a core.

    Raises:
        ModelError, DeviceError, ConfigError: as `segmint.backbone.loading.load`.
    """
    from segmint.backbone.loading import load

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return load(settings, device)


def checked(backbone: Backbone, recipe: Recipe, specs: Sequence[PromptSpec]) -> ModelInfo:
    """What is known of the model, once it takes all of the items; errors as `Backbone.check`."""
    backbone.check(specs, recipe.sampling, capture_for(recipe))
    return backbone.info


def do_all(work: Work, backbone: Backbone, listener: Listener, unit: Unit = do_batch) -> None:
    """Every batch, in order. On a GPU the masks of one are made while the next is before the model."""
    begun = begin_all(work, backbone, listener, unit)
    beside = backbone.info.device.startswith("cuda")
    for records in _one_behind(begun) if beside else (finish() for finish in begun):
        for record in records:
            listener.finished(record)


def begin_all(work: Work, backbone: Backbone, listener: Listener, unit: Unit = do_batch) -> Iterator[Finish]:
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
    batch: Batch, work: Work, backbone: Backbone, listener: Listener, unit: Unit = do_batch
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
