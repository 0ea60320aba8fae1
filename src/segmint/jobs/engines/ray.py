"""The engine for a cluster: Ray Data streams batches through actors that hold a model each.

The only file that imports ray. Every actor puts its items in place itself, so that images never pass
through Ray's object store, and a slow disk slows the actors down instead of filling memory. What comes back
are records.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from segmint.artifacts import PromptSpec
from segmint.backbone.base import Backbone, ModelInfo
from segmint.errors import DeviceError, MissingDependency, SegmintError
from segmint.jobs.engines.local import Task, checked
from segmint.jobs.engines.worker import Worker, raise_told, tell
from segmint.jobs.work import Batch, Work
from segmint.listening import Listener, Silent
from segmint.recipe import Recipe
from segmint.runs.files.remote import within_reach
from segmint.runs.records import ItemRecord
from segmint.specs import spec_from_json, spec_to_json

CPUS_FOR_READING = 1
"""CPUs that actors never take: without one, Ray Data's own tasks would wait for ever."""

MOST_BLOCKS = 2000
"""Blocks of batches that Ray Data schedules; what a lost block had finished is found in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayCluster:
    """Workers on a Ray cluster.

    `address`: a cluster's, `auto` for the one this machine belongs to; None starts one on this machine.
    `workers`: actors, each with `cpus_per_worker` and `gpus_per_worker`.
    """

    workers: int = 1
    address: str | None = None
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0

    def call(self, task: Callable[[], Any]) -> Any:
        """What the function returns, called in one worker."""
        ray = self._connect()
        room = {"num_cpus": self.cpus_per_worker, "num_gpus": self.gpus_per_worker}
        return ray.get(ray.remote(**room, max_retries=0)(_called).remote(task))

    def map(self, make: Callable[[], Task], rows: Sequence[Any]) -> Iterator[Any]:
        """Every row through one of the workers, an `Executor`; answers come as they are ready, in any order.

        Args:
            make: called once in each worker, gives the function that does a row.
            rows: plain data, as JSON knows it; the answers are too.

        Raises:
            SegmintError: what a worker raised.
        """
        import ray.data

        self._connect()
        if not rows:
            return
        asked = [{"row": json.dumps(row)} for row in rows]
        answers = ray.data.from_items(asked, override_num_blocks=min(len(rows), MOST_BLOCKS)).map(
            _Actor,
            fn_constructor_args=(make,),
            compute=ray.data.ActorPoolStrategy(
                size=min(self.workers, len(rows)), max_tasks_in_flight_per_actor=2
            ),
            num_cpus=self.cpus_per_worker,
            num_gpus=self.gpus_per_worker,
        )
        for each in answers.iter_rows():
            reply = json.loads(each["reply"])
            raise_told(reply)
            yield reply["value"]

    def _connect(self) -> Any:
        try:
            import ray
        except ImportError:
            raise MissingDependency("--engine ray needs Ray; pip install 'segmint[ray]'") from None
        if not ray.is_initialized():
            try:
                ray.init(
                    address=self.address, log_to_driver=False, include_dashboard=False, logging_level="ERROR"
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
        return ModelInfo(**{**reply, "loras": tuple(reply["loras"])})

    def run(self, work: Work, listener: Listener) -> None:
        """As `Engine.run`. A worker that dies is replaced, and its batch done again."""
        bare = replace(work, files=within_reach(work.files), batches=())
        make = partial(_batch_task, self.load, bare)
        for reply in self.cluster.map(make, [batch_fields(batch) for batch in work.batches]):
            for note in reply["notes"]:
                listener.noted(note)
            for record in reply["records"]:
                listener.finished(ItemRecord.model_validate(record))


class _Actor:
    """One worker of the pool: prepares once, then does row after row."""

    def __init__(self, make: Callable[[], Task]) -> None:
        self._error: SegmintError | None = None
        try:
            self._task = make()
        except SegmintError as error:
            self._error = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row in, its answer out, as JSON."""
        try:
            if self._error is not None:
                raise self._error
            return {"reply": json.dumps({"value": self._task(json.loads(row["row"]))})}
        except SegmintError as error:
            return {"reply": json.dumps(tell(error))}


def _batch_task(load: Callable[[], Backbone], work: Work) -> Task:
    listener = _Notes()
    worker = Worker(work=work, backbone=load(), listener=listener)

    def one_batch(row: Any) -> dict[str, Any]:
        records = worker.run(batch_of_fields(row))
        notes, listener.notes = listener.notes, []
        return {"records": [record.model_dump(mode="json") for record in records], "notes": notes}

    return one_batch


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


def _called(task: Callable[[], Any]) -> Any:
    return task()


def _prepare(load: Callable[[], Backbone], recipe: Recipe, specs: Sequence[PromptSpec]) -> str:
    try:
        return json.dumps(asdict(checked(load(), recipe, specs)))
    except SegmintError as error:
        return json.dumps(tell(error))


def _quieten() -> None:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
