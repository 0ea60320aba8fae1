"""The engine for a cluster: Ray Data streams batches through actors that hold a model each, and the items
that these have drawn through actors that make masks, on whatever machine has CPUs to spare.

    batches ──> workers, a model each ──> items seen, in the object store ──> mask workers ──> records

The only file that imports ray. Mask workers put items in place themselves; Ray Data holds the drawing back
where the object store's share fills up. A worker that dies, in either stage, is replaced, and what it had in
hand is done again.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, ModelInfo
from segmint.errors import DeviceError, MissingDependency, SegmintError
from segmint.jobs.engines.handover import decode_seen, encode_seen
from segmint.jobs.engines.local import Task, checked
from segmint.jobs.engines.pool import MOST_MASK_WORKERS
from segmint.jobs.engines.worker import Drawer, die_with, finish_item, raise_told, standing, tell
from segmint.jobs.work import Batch, Work
from segmint.listening import Listener, Pace, Silent
from segmint.recipe import Recipe
from segmint.runs.files.holder import Signature, sign
from segmint.runs.files.remote import within_reach
from segmint.runs.records import ItemRecord
from segmint.specs import spec_from_json, spec_to_json

Row = dict[str, Any]
"""Of Ray Data: a reply as JSON, and of what goes on to the second stage its bytes."""

CPUS_FOR_READING = 1
"""CPUs that actors never take: without one, Ray Data's own tasks would wait for ever."""

CPUS_FOR_MASKS = 1.0
"""Of a mask worker."""

LOOPBACK_ONLY = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
"""Makes Ray, when it is first imported, keep a cluster of one machine to its loopback on every system."""

MOST_BLOCKS = 2000
"""Blocks of batches that Ray Data schedules; what a lost block had finished is found in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayCluster:
    """Workers on a Ray cluster.

    `address`: a cluster's, `auto` for the one this machine belongs to; None starts one on this machine.
    `workers`: actors, each with `cpus_per_worker` and `gpus_per_worker`. `mask_workers`: actors beside each
    of them that make masks; None takes what the cluster's CPUs allow.
    """

    workers: int = 1
    address: str | None = None
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    mask_workers: int | None = None

    def call(self, task: Callable[[], Any]) -> Any:
        """What the function returns, called in one worker."""
        ray = self._connect()
        room = {"num_cpus": self.cpus_per_worker, "num_gpus": self.gpus_per_worker}
        return ray.get(ray.remote(**room, max_retries=0)(_called).remote(task, sign()))

    def map(self, make: Callable[[], Task], rows: Sequence[Any]) -> Iterator[Any]:
        """Every row through one of the workers, an `Executor`; answers come as they are ready, in any order.

        Args:
            make: called once in each worker, gives the function that does a row.
            rows: plain data, as JSON knows it; the answers are too.

        Raises:
            SegmintError: what a worker raised.
        """
        if not rows:
            return
        self._connect()
        answers = self._rows(rows).map(_Actor, fn_constructor_args=(make, sign()), **self._pool(len(rows)))
        yield from _replies(answers)

    def map_twice(
        self, draw: Callable[[], Callable[[Any], list[Row]]], finish: Callable[[], Task], rows: Sequence[Any]
    ) -> Iterator[Any]:
        """Every row through one of the workers, and what that makes of it through one of the mask workers.

        Args:
            draw: called once in each worker; gives from a row any number of replies, or bytes to go on with.
                The same row must give as many again, in the same order: a worker that died is asked again.
            finish: called once in each mask worker; takes the bytes.
            rows: as `map` has them.

        Raises:
            SegmintError: what a worker raised.
        """
        import ray.data

        if not rows:
            return
        count = self._mask_workers(self._connect().cluster_resources())
        # A block an item, so that the items of a batch part among the mask workers.
        ray.data.DataContext.get_current().target_max_block_size = 1
        seen = self._rows(rows).flat_map(
            _Drawing,
            fn_constructor_args=(draw, sign()),
            **self._pool(len(rows), at_once=2),  # hands one batch on while the next is drawn
        )
        answers = seen.map(
            _Finishing,
            fn_constructor_args=(finish, sign()),
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                initial_size=max(1, count),
                max_size=max(1, count),
                max_tasks_in_flight_per_actor=2,
            ),
            num_cpus=CPUS_FOR_MASKS if count else 0,
        )
        yield from _replies(answers)

    def _rows(self, rows: Sequence[Any]) -> Any:
        import ray.data

        asked = [{"row": json.dumps(row)} for row in rows]
        return ray.data.from_items(asked, override_num_blocks=min(len(rows), MOST_BLOCKS))

    def _pool(self, rows: int, *, at_once: int = 1) -> dict[str, Any]:
        """The workers; of `at_once` rows in one of them a single one is before its function at any time."""
        import ray.data

        size = min(self.workers, rows)
        return {
            "compute": ray.data.ActorPoolStrategy(
                size=size, max_tasks_in_flight_per_actor=2, max_concurrent_calls_per_actor=at_once
            ),
            "num_cpus": self.cpus_per_worker,
            "num_gpus": self.gpus_per_worker,
        }

    def _mask_workers(self, resources: dict[str, float]) -> int:
        """How many in all; 0 where no CPU is left for one, which then shares the others'."""
        left = resources.get("CPU", 0.0) - self.workers * self.cpus_per_worker - CPUS_FOR_READING
        room = max(0, int(left // CPUS_FOR_MASKS))
        if self.mask_workers is None:
            return min(room, self.workers * MOST_MASK_WORKERS)
        asked = self.workers * self.mask_workers
        if asked > max(room, 1):
            raise DeviceError(
                f"{self.mask_workers} mask workers beside each of {self.workers} need {asked} CPUs, and "
                f"the cluster has {room} left: use --mask-workers {max(1, room // self.workers)}"
            )
        return min(asked, room)

    def _connect(self) -> Any:
        own = self.address is None and "RAY_ADDRESS" not in os.environ
        if own:
            os.environ.setdefault(*LOOPBACK_ONLY)
        try:
            import ray
        except ImportError:
            raise MissingDependency("--engine ray needs Ray; pip install 'segmint[ray]'") from None
        if not ray.is_initialized():
            try:
                ray.init(
                    address="local" if own else self.address,
                    log_to_driver=False,
                    include_dashboard=False,
                    logging_level="ERROR",
                )
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise DeviceError(f"no Ray cluster at {self.address!r}: {error}") from None
        _quieten()
        self._check_room(ray.cluster_resources())
        return ray

    def _check_room(self, resources: dict[str, float]) -> None:
        cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
        needs = self.workers * self.cpus_per_worker + CPUS_FOR_READING
        if needs > cpus:
            most = int((cpus - CPUS_FOR_READING) // self.cpus_per_worker)
            raise DeviceError(
                f"the cluster has {cpus:g} CPUs; {self.workers} workers of {self.cpus_per_worker:g} and "
                f"{CPUS_FOR_READING} for reading need {needs:g}: use --workers {max(most, 1)}"
            )
        if self.workers * self.gpus_per_worker > gpus:
            raise DeviceError(
                f"the cluster has {gpus:g} GPUs; {self.workers} workers of {self.gpus_per_worker:g} need "
                f"{self.workers * self.gpus_per_worker:g}: use fewer --workers or --gpus-per-worker"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RayEngine:
    """The workers of a cluster, each with a model; `load` gives it inside a worker.

    The run folder must be at the same path on every machine, or a URL.
    """

    load: Callable[[], Backbone]
    cluster: RayCluster = RayCluster()

    def prepare(self, recipe: Recipe, specs: Sequence[PromptSpec]) -> ModelInfo:
        """As `Engine.prepare`, on a worker: this process never holds a model."""
        reply = json.loads(self.cluster.call(partial(_prepare, self.load, recipe, specs)))
        raise_told(reply)
        return _info(reply)

    def run(self, work: Work, listener: Listener) -> None:
        """As `Engine.run`. A worker that dies is replaced, and what it had in hand done again."""
        bare = replace(work, files=within_reach(work.files), batches=())
        draw, finish = partial(_drawing_task, self.load, bare), partial(_mask_task, bare)
        pace = Pace()
        for reply in self.cluster.map_twice(draw, finish, [batch_fields(batch) for batch in work.batches]):
            for note in reply.get("notes", ()):
                listener.noted(note)
            for record in reply.get("records", ()):
                listener.finished(ItemRecord.model_validate(record))
            pace += Pace(**reply.get("pace", {}))
        listener.paced(pace)


class _Actor:
    """One worker of a pool: prepares once, then does row after row."""

    def __init__(self, make: Callable[[], Any], driver: Signature) -> None:
        die_with(driver)
        self._error: SegmintError | None = None
        try:
            self._task = make()
        except SegmintError as error:
            self._error = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row in, its answer out, as JSON."""
        found: Row = self._told(lambda: _reply(self._task(json.loads(row["row"]))))
        return found

    def _told(self, work: Callable[[], Any]) -> Any:
        """What the work gives, or the error that it or the preparation raised."""
        try:
            if self._error is not None:
                raise self._error
            return work()
        except SegmintError as error:
            return {"reply": json.dumps(tell(error))}


class _Drawing(_Actor):
    """A worker of the first of two stages."""

    def __call__(self, row: dict[str, Any]) -> Any:
        """A row in, its answers and what is to go on out."""
        made = self._told(lambda: self._task(json.loads(row["row"])))
        return [{"seen": b"", **each} for each in ([made] if isinstance(made, dict) else made)]


class _Finishing(_Actor):
    """A worker of the second; answers pass through it."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """What is to go on in, an answer out."""
        if not row["seen"]:
            return {"reply": row["reply"]}
        found: Row = self._told(lambda: _reply(self._task(row)))
        return found


def _reply(value: Any) -> Row:
    return {"reply": json.dumps({"value": value})}


def _replies(answers: Any) -> Iterator[Any]:
    for each in answers.iter_rows():
        reply = json.loads(each["reply"])
        raise_told(reply)
        yield reply["value"]


def _drawing_task(load: Callable[[], Backbone], work: Work) -> Callable[[Any], list[Row]]:
    listener = _Notes()
    drawer = Drawer(work=work, backbone=load(), listener=listener)
    info, last = drawer.backbone.info, None

    def one_batch(row: Any) -> list[Row]:
        nonlocal last
        start = time.perf_counter()
        batch = batch_of_fields(row)
        rows = {spec.item_id: _reply({}) for spec in batch.specs if spec.item_id in batch.wanted}
        records, left = standing(work.files, batch)
        for record in records:
            rows[record.id] = _reply({"records": [record.model_dump(mode="json")]})
        for seen in drawer.whatever_it_takes(left):
            rows[seen.spec.item_id] = {"reply": json.dumps(asdict(info)), "seen": encode_seen(seen)}
        notes, listener.notes = listener.notes, []
        waited_s = 0.0 if last is None else start - last
        last = time.perf_counter()
        pace = {"drawing_s": last - start, "waiting_s": waited_s}
        return [_reply({"notes": notes, "pace": pace}), *rows.values()]

    return one_batch


def _mask_task(work: Work) -> Task:
    import ray

    again = ray.get_runtime_context().was_current_actor_reconstructed

    def one_item(row: Any) -> dict[str, Any]:
        start = time.perf_counter()
        seen, info = decode_seen(row["seen"]), _info(json.loads(row["reply"]))
        record = finish_item(seen, work, info, again=again)
        spent = {"masks_s": time.perf_counter() - start}
        return {"records": [record.model_dump(mode="json")], "pace": spent}

    return one_item


def _info(fields: dict[str, Any]) -> ModelInfo:
    rows = {name: tuple(each) for name, each in fields.items() if isinstance(each, list)}
    return ModelInfo(**{**fields, **rows})


class _Notes(Silent):
    """A listener that keeps what a person should know for the way back."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def noted(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)


def batch_fields(batch: Batch) -> dict[str, list[str]]:
    """A batch as plain data."""
    return {"specs": [spec_to_json(spec) for spec in batch.specs], "wanted": sorted(batch.wanted)}


def batch_of_fields(fields: dict[str, list[str]]) -> Batch:
    """The batch that `batch_fields` described."""
    return Batch(specs=tuple(map(spec_from_json, fields["specs"])), wanted=frozenset(fields["wanted"]))


def _called(task: Callable[[], Any], driver: Signature) -> Any:
    die_with(driver)
    return task()


def _prepare(load: Callable[[], Backbone], recipe: Recipe, specs: Sequence[PromptSpec]) -> str:
    try:
        return json.dumps(asdict(checked(load(), recipe, specs)))
    except SegmintError as error:
        return json.dumps(tell(error))


def _quieten() -> None:
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
