"""The engine for several devices of one machine: a process a device, each with its own model."""

import multiprocessing
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from operator import add
from typing import Any, cast

from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, ModelInfo
from segmint.errors import DeviceError, SegmintError
from segmint.jobs.engines.local import checked
from segmint.jobs.engines.pool import MaskPool, usual_mask_workers
from segmint.jobs.engines.worker import Drawer, Worker, make_at_last, raise_told, tell
from segmint.jobs.work import Batch, Work
from segmint.listening import Listener, Pace, Silent
from segmint.recipe import Recipe
from segmint.runs.store import commit

MOST_STARTS = 3
"""Times a worker may die before it has its model."""
NEWS_EVERY_S = 0.02
"""How often a worker that has nothing to draw looks for masks that are done."""


@dataclass(slots=True, kw_only=True)
class SpawnEngine:
    """One worker process for each of `devices`; `load` gives a device's model inside its worker.

    `load` must be importable there (a function of a module, or a `functools.partial` of one). `mask_workers`:
    threads beside each model; None takes what the cores allow.
    """

    load: Callable[[str], Backbone]
    devices: Sequence[str]
    mask_workers: int | None = None

    def prepare(self, recipe: Recipe, specs: Sequence[PromptSpec]) -> ModelInfo:
        """As `Engine.prepare`, in a worker of its own, so that this process never holds a model."""
        with _Process(self.devices[0], self.load) as process:
            process.send(("prepare", (recipe, specs)))
            while True:
                kind, value = process.receive()
                if kind == "info":
                    return cast(ModelInfo, value)
                _heed(kind, value, None)

    def run(self, work: Work, listener: Listener) -> None:
        """As `Engine.run`. A worker that dies is replaced, and what it had in hand done again."""
        todo, bare = deque(work.batches), replace(work, batches=())
        workers = self.mask_workers or usual_mask_workers(len(self.devices))
        processes = [_Process(device, self.load, bare, workers) for device in self.devices]
        try:
            while todo or any(process.batches for process in processes):
                for process in processes:
                    if process.free and todo:
                        process.give(todo.popleft())
                for process in _with_news(processes):
                    _attend(process, todo, listener)
        finally:
            for process in processes:
                process.stop()
        listener.paced(reduce(add, (process.pace for process in processes)))


class _Process:
    """A worker's process and the pipe to it."""

    def __init__(
        self, device: str, load: Callable[[str], Backbone], work: Work | None = None, mask_workers: int = 1
    ) -> None:
        self.device, self._load, self._work, self._mask_workers = device, load, work, mask_workers
        self.batches: dict[str, Batch] = {}
        """In hand, by their first item: one before the model at most, the others waiting for their masks."""
        self.free = False
        self.pace = Pace()
        self._starts = 0
        self._process: BaseProcess
        self._pipe: Connection
        self.start()

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin, or begin again."""
        self._starts += 1
        if self._starts > MOST_STARTS:
            raise DeviceError(f"the worker on {self.device} died {MOST_STARTS} times while loading the model")
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(far, self.device, self._load, self._work, self._mask_workers), daemon=True
        )
        self._process.start()
        far.close()
        self.free = False

    def give(self, batch: Batch) -> None:
        """Hand over a batch."""
        self.batches[batch.specs[0].item_id] = batch
        self.free = False
        self.send(("batch", batch))

    def send(self, message: tuple[str, Any]) -> None:
        """To the worker; one that has died is noticed at the next receipt."""
        try:
            self._pipe.send(message)
        except OSError:
            return

    def receive(self) -> tuple[str, Any]:
        """From the worker; ("died", None) where it is no more."""
        try:
            kind, value = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return "died", None
        if kind == "free":
            self.free, self._starts = True, 0
        return str(kind), value

    @property
    def pipe(self) -> Connection:
        """What to wait for."""
        return self._pipe

    def stop(self) -> None:
        """End the process; what it had in hand is done again by whoever goes on."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()


def _with_news(processes: Sequence[_Process]) -> list[_Process]:
    by_pipe = {id(process.pipe): process for process in processes}
    return [by_pipe[id(pipe)] for pipe in wait([process.pipe for process in processes])]


def _attend(process: _Process, todo: deque[Batch], listener: Listener) -> None:
    kind, value = process.receive()
    if kind == "died":
        if process.batches:
            todo.extendleft(reversed(process.batches.values()))
            listener.noted(f"the worker on {process.device} died with work in hand; starting it again")
            process.batches = {}
        process.pipe.close()
        process.start()
    elif kind == "done":
        name, records, process.pace = value
        del process.batches[name]
        for record in records:
            listener.finished(record)
    else:
        _heed(kind, value, listener)


def _heed(kind: str, value: Any, listener: Listener | None) -> None:
    if kind == "error":
        raise_told(value)
    if kind == "defect":
        raise RuntimeError(f"a worker failed:\n{value}")
    if kind == "died":
        raise DeviceError("the worker that was to load the model died; is there enough memory?")
    if kind == "note" and listener is not None:
        listener.noted(value)
    if kind == "step" and listener is not None:
        listener.stepped(*value)


def _serve(
    pipe: Connection, device: str, load: Callable[[str], Backbone], work: Work | None, mask_workers: int
) -> None:
    """A worker's life: load, then do what comes until the pipe or the parent is gone."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    _die_with_parent()
    try:
        backbone = load(device)
        if work is None:
            _, (recipe, specs) = pipe.recv()
            pipe.send(("info", checked(backbone, recipe, specs)))
        else:
            _work_off(pipe, Drawer(work=work, backbone=backbone, listener=_Piped(pipe)), mask_workers)
    except EOFError:
        return
    except SegmintError as error:
        pipe.send(("error", tell(error)))
    except Exception:  # noqa: BLE001 - told to the parent, which raises it
        pipe.send(("defect", traceback.format_exc()))


def _work_off(pipe: Connection, drawer: Drawer, mask_workers: int) -> None:
    """Batch after batch; free for another as soon as one has been before the model."""
    work, info = drawer.work, drawer.backbone.info
    careful = partial(make_at_last, work=work, info=info)
    with MaskPool(careful, partial(commit, work.files), workers=mask_workers) as pool:
        worker = Worker(drawer=drawer, pool=pool)
        while True:
            pipe.send(("free", None))
            while not pipe.poll(NEWS_EVERY_S):
                _tell_finished(pipe, worker)
            worker.take(pipe.recv()[1])
            _tell_finished(pipe, worker)


def _tell_finished(pipe: Connection, worker: Worker) -> None:
    for name, records in worker.finished():
        pipe.send(("done", (name, records, worker.pool.pace())))


class _Piped(Silent):
    """A listener at the other end of a pipe; records come back with their batch."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def stepped(self, done: int, total: int) -> None:
        """Pass it on."""
        self._pipe.send(("step", (done, total)))

    def noted(self, text: str) -> None:
        """Pass it on."""
        self._pipe.send(("note", text))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
