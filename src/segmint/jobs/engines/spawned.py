"""The engine for several devices of one machine: a process a device, each with its own model."""

import multiprocessing
import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, cast

from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, ModelInfo
from segmint.errors import DeviceError, SegmintError
from segmint.jobs.engines.local import checked
from segmint.jobs.engines.worker import Worker, raise_told, tell
from segmint.jobs.work import Batch, Work
from segmint.listening import Listener, Silent
from segmint.recipe import Recipe

MOST_STARTS = 3
"""Times a worker may die before it has its model."""


@dataclass(slots=True, kw_only=True)
class SpawnEngine:
    """One worker process for each of `devices`; `load` gives a device's model inside its worker.

    `load` must be importable there (a function of a module, or a `functools.partial` of one).
    """

    load: Callable[[str], Backbone]
    devices: Sequence[str]

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
        """As `Engine.run`. A worker that dies is replaced, and its batch done again."""
        todo, bare = deque(work.batches), replace(work, batches=())
        processes = [_Process(device, self.load, bare) for device in self.devices]
        try:
            while todo or any(process.batch for process in processes):
                for process in processes:
                    if process.ready and process.batch is None and todo:
                        process.give(todo.popleft())
                for process in _with_news(processes):
                    _attend(process, todo, listener)
        finally:
            for process in processes:
                process.stop()


class _Process:
    """A worker's process and the pipe to it."""

    def __init__(self, device: str, load: Callable[[str], Backbone], work: Work | None = None) -> None:
        self.device, self._load, self._work = device, load, work
        self.batch: Batch | None = None
        self.ready = False
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
            target=_serve, args=(far, self.device, self._load, self._work), daemon=True
        )
        self._process.start()
        far.close()
        self.ready = False

    def give(self, batch: Batch) -> None:
        """Hand over a batch."""
        self.batch = batch
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
        if kind == "ready":
            self.ready, self._starts = True, 0
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
        if process.batch is not None:
            todo.appendleft(process.batch)
            listener.noted(f"the worker on {process.device} died with a batch in hand; starting it again")
            process.batch = None
        process.pipe.close()
        process.start()
    elif kind == "done":
        process.batch = None
        for record in value:
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


def _serve(pipe: Connection, device: str, load: Callable[[str], Backbone], work: Work | None) -> None:
    """A worker's life: load, then do what comes until the pipe or the parent is gone."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    _die_with_parent()
    listener, worker = _Piped(pipe), None
    try:
        backbone = load(device)
        pipe.send(("ready", None))
        while True:
            kind, value = pipe.recv()
            if kind == "prepare":
                recipe, specs = value
                pipe.send(("info", checked(backbone, recipe, specs)))
            elif work is not None:
                worker = worker or Worker(work=work, backbone=backbone, listener=listener)
                pipe.send(("done", worker.run(value)))
    except EOFError:
        return
    except SegmintError as error:
        pipe.send(("error", tell(error)))
    except Exception:  # noqa: BLE001 - told to the parent, which raises it
        pipe.send(("defect", traceback.format_exc()))


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
