"""A whole job: check what can be checked, take the lock, do what is missing, leave a dataset behind."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from segmint.artifacts import PromptSpec
from segmint.backbone.base import ModelInfo, looking_notes
from segmint.errors import StorageError
from segmint.jobs.request import Request, parts_of, whole_plan
from segmint.jobs.resume import adopt, check_digest, check_same_model, create, find, with_standing
from segmint.jobs.work import Work, batches_to_do
from segmint.listening import Listener
from segmint.pictures.sheets import write_contact_sheet
from segmint.recipe import Recipe
from segmint.runs import layout
from segmint.runs.files.local import Files
from segmint.runs.records import Kind
from segmint.runs.store import Run, tidy
from segmint.runs.verify import item_problems


@runtime_checkable
class Engine(Protocol):
    """Who carries the work out: this process, several, or a cluster."""

    def prepare(self, recipe: Recipe, specs: Sequence[PromptSpec]) -> ModelInfo:
        """Load the model and refuse what it cannot draw, before anything is written.

        Raises:
            ModelError, DeviceError, ConfigError, PromptError: see `backbone.loading.load` and
            `Backbone.check`.
        """
        ...

    def run(self, work: Work, listener: Listener) -> None:
        """Do all the work.

        Raises:
            StorageError, DeviceError: the place or the device gave out; what is whole stays.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is asked for, and where.

    `retries`: further seeds for an item that fails. `wait`: outlast another writer. `repair`: make damaged
    items again, byte for byte.
    """

    files: Files
    request: Request
    retries: int = 0
    wait: bool = False
    repair: bool = False


def run_job(job: Job, engine: Engine, listener: Listener) -> Run:
    """Make what the run does not have yet, and bring its lists up to date, however the work ends.

    The model is not loaded where nothing is missing.

    Returns:
        The run; items that failed are among its `failed_ids`.

    Raises:
        RunError: the place holds something else, is locked, or was made by another recipe.
        StorageError: a write was refused; what is whole stays, and the same call goes on later.
        ConfigError, PromptError, ModelError, DeviceError: from the model.
    """
    # A foreign folder, and a model that cannot draw this, are refused before a lock is put into the folder.
    standing = find(job.files, repair=job.repair)
    job = replace(job, request=with_standing(job.files, standing, job.request))
    info = None if standing else _prepared(job, engine)
    with job.files.lock(wait=job.wait):
        job.files.sweep()
        run, info = _begin(job, engine, info)
        if job.repair:
            drop_damaged(run, whole_plan(job.request), listener)
        works = missing(run, job)
        todo = sum(len(batch.wanted) for work in works for batch in work.batches)
        listener.starting(todo, len(whole_plan(job.request)))
        try:
            whole = info  # a new run was checked in all its parts
            for work in works:
                specs = [spec for batch in work.batches for spec in batch.specs]
                info = whole or engine.prepare(work.recipe, specs)
                check_same_model(run, info)
            for note in model_notes(info, job.request) if works and info else ():
                listener.noted(note)
            for work in works:
                engine.run(work, listener)
                job.files.sweep()  # a worker that died may have left half a file
        except BaseException:
            with suppress(StorageError):  # the first error is the one to hear about
                tidy(run)
            raise
        tidy(run)
        if works or not job.files.exists(layout.CONTACT_SHEET):
            write_contact_sheet(run)
    return run


def missing(run: Run, job: Job) -> list[Work]:
    """The work on items without a record, and on failed ones that have seeds left to try: a recipe at a time,
    and none where all is there."""
    given_up = {each for each in run.failed_ids() if run.failure(each).attempts > job.retries}
    skip, asked = run.done_ids() | given_up, job.request
    works = [
        Work(
            files=job.files,
            recipe=part.recipe,
            batches=batches_to_do(part.plan, skip, asked.batch_size(part.recipe)),
            photos=asked.photos,
            retries=job.retries,
        )
        for part in parts_of(asked)
    ]
    return [work for work in works if work.batches]


def model_notes(info: ModelInfo, request: Request) -> tuple[str, ...]:
    """What a person should know of how the model is used."""
    if request.photos is None:
        return info.notes
    return looking_notes(info, request.recipe.observation.timesteps)


def _prepared(job: Job, engine: Engine) -> ModelInfo:
    if job.repair:
        check_digest(job.files, job.request.recipe)
    infos = [engine.prepare(part.recipe, part.plan) for part in parts_of(job.request)]
    return infos[0]


def _begin(job: Job, engine: Engine, info: ModelInfo | None) -> tuple[Run, ModelInfo | None]:
    """The run, and the model where it was needed to make one: its whole plan is checked then."""
    present = find(job.files, repair=job.repair)
    if present is not None:
        return adopt(present, job.request), info
    info = info or _prepared(job, engine)
    kind: Kind = "generate" if job.request.photos is None else "label"
    return create(job.files, job.request, info, kind=kind), info


def drop_damaged(run: Run, plan: Sequence[PromptSpec], listener: Listener) -> None:
    """Take away the records of damaged items and of items that are not planned: they are missing then."""
    planned = {spec.item_id: spec for spec in plan}
    for item_id in sorted(run.done_ids()):
        problems = [f"{each.path} {each.detail}" for each in item_problems(run, item_id)]
        spec = planned.get(item_id)
        if not problems and (spec is None or run.record(item_id).prompt != spec.prompt):
            problems = [f"{layout.record(item_id)} is of no item of this plan"]
        if problems:
            listener.noted(f"item {item_id} is made again: {problems[0]}")
            run.files.remove(layout.record(item_id))
    for item_id in run.failed_ids() - planned.keys():
        run.files.remove(layout.failure(item_id))
