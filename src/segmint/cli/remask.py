"""`segmint remask RUN`: masks again, from stored attention."""

from typing import TYPE_CHECKING, Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.engines import Where, executor_for
from segmint.cli.flags import Changes, Flags
from segmint.cli.progress import listening
from segmint.recipe import Recipe

if TYPE_CHECKING:
    from segmint.masks.settings import MaskSettings

DIGEST_LETTERS = 6


def remask(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run made with --keep-features.")],
    *,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the mask set; default: method and digest of the settings."),
    ] = None,
    changes: Annotated[Changes, Flags(Recipe, "masks.method", notes=False, rest=opt.ANY_FIELD)],
    job: Annotated[opt.JobOptions, Flags(opt.JobOptions, "wait", "repair")],
    where: Annotated[Where, Flags(Where, "engine", "workers", "address")],
    progress: opt.ProgressOptions,
) -> None:
    """Make masks again with other settings or another method, beside the old ones, never over them.

    Nothing is drawn again: a run minted with [bold]--keep-features[/bold] holds all that any method needs.
    The new masks lie in RUN/masks/NAME. [bold]segmint view[/bold] compares them with the old ones,
    [bold]segmint export --masks NAME[/bold] takes them along.

    [bold]Example[/bold]

    [cyan]segmint remask demo --set masks.vote.share=0.7 --name strict[/cyan]
    """
    from segmint.jobs.remask import remask as make_again
    from segmint.jobs.remask import settle_masks
    from segmint.runs.store import open_run

    opened = open_run(run)
    chosen = settle_masks(opened, method=changes.pop("masks.method", None), changes=changes, name=name)
    executor = executor_for(where)
    with listening(progress) as listener:
        made = make_again(
            opened,
            name or _default_name(chosen),
            chosen,
            listener,
            wait=job.wait,
            repair=job.repair,
            executor=executor,
        )
    if not (progress.quiet or progress.as_json):
        left = f", {len(made.unreadable)} left out" if made.unreadable else ""
        typer.echo(
            f"{made.made} masks made, {made.standing} stood already{left}: {run}/masks/{made.mask_set}"
        )


def _default_name(settings: "MaskSettings") -> str:
    import hashlib

    digest = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    return f"{settings.method}-{digest[:DIGEST_LETTERS]}"
