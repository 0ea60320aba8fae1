"""The local engine: all work in this process; and what every engine does in its workers."""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, ModelInfo
from segmint.backbone.settings import ModelSettings
from segmint.errors import DeviceError
from segmint.jobs.engines.pool import MaskPool, usual_mask_workers
from segmint.jobs.work import Batch, Draw, Seen, Work, draw, make
from segmint.listening import Listener
from segmint.pipeline import capture_for
from segmint.recipe import Recipe
from segmint.runs.store import commit

Task = Callable[[Any], Any]
"""What is done with a row of items, without a model: plain data in, plain data out."""
Executor = Callable[[Callable[[], Task], Sequence[Any]], Iterator[Any]]
"""Carries rows out, here or elsewhere; the task that does them is made once in each worker."""


@dataclass(slots=True, kw_only=True)
class LocalEngine:
    """Works in this process, with one model. `load` gives it and is called once, when it is first needed.

    `mask_workers`: threads that make masks beside the drawing; None takes what the cores allow.
    """

    load: Callable[[], Backbone]
    backbone: Backbone | None = None
    mask_workers: int | None = None

    def prepare(self, recipe: Recipe, specs: Sequence[PromptSpec]) -> ModelInfo:
        """As `Engine.prepare`."""
        self.backbone = self.backbone or self.load()
        return checked(self.backbone, recipe, specs)

    def run(self, work: Work, listener: Listener) -> None:
        """As `Engine.run`."""
        self.backbone = self.backbone or self.load()
        info, workers = self.backbone.info, self.mask_workers or usual_mask_workers()
        with MaskPool(
            lambda seen: make(seen, work, info), partial(commit, work.files), workers=workers
        ) as pool:
            do_all(work, self.backbone, listener, pool)


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


def do_all(work: Work, backbone: Backbone, listener: Listener, pool: MaskPool) -> None:
    """Every batch, in order, its masks made by the pool while the next is before the model."""
    for records in pool.follow(begin_all(work, backbone, listener)):
        for record in records:
            listener.finished(record)
    listener.paced(pool.pace())


def begin_all(work: Work, backbone: Backbone, listener: Listener, stage: Draw = draw) -> Iterator[list[Seen]]:
    """Every batch through the model, in order.

    Where the device runs out of memory the batch is halved, for the rest of the work, and the listener told.
    An item's noise stays the same; its last bits may differ from those of a whole batch.

    Raises:
        DeviceError: a single item does not fit the device.
    """
    for batch in work.batches:
        seen, work = within_memory(batch, work, backbone, listener, stage)
        yield seen
        del seen  # the pool's alone by now


def within_memory(
    batch: Batch, work: Work, backbone: Backbone, listener: Listener, stage: Draw = draw
) -> tuple[list[Seen], Work]:
    """One batch through the model, halved as often as memory asks for, and the work with what was learnt.

    Raises:
        DeviceError: a single item does not fit the device.
    """
    while True:
        try:
            return stage(batch, work, backbone, listener), work
        except DeviceError:
            at_once = min(work.most or len(batch.specs), len(batch.specs))
            if at_once == 1:
                raise
            work = replace(work, most=at_once // 2)
            listener.noted(f"out of memory: going on with {at_once // 2} images at once")
        gc.collect()  # what the failed batch held hangs on the frames of its traceback, in cycles
