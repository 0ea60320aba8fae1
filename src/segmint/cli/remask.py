"""`segmint remask RUN`: masks again, from stored attention."""

from typing import TYPE_CHECKING, Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.engines import Where, executor_for
from segmint.cli.progress import listening

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
    method: opt.Method = None,
    settings: opt.Set = None,
    wait: opt.Wait = False,
    repair: opt.Repair = False,
    engine: opt.Engine = "local",
    workers: opt.Workers = None,
    address: opt.Address = None,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
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
    chosen = settle_masks(opened, method=method, changes=opt.parse_settings(settings or []), name=name)
    executor = executor_for(Where(engine=engine, workers=workers, address=address))
    with listening(quiet=quiet, as_json=as_json) as listener:
        made = make_again(
            opened,
            name or _default_name(chosen),
            chosen,
            listener,
            wait=wait,
            repair=repair,
            executor=executor,
        )
    if not (quiet or as_json):
        left = f", {len(made.unreadable)} left out" if made.unreadable else ""
        typer.echo(
            f"{made.made} masks made, {made.standing} stood already{left}: {run}/masks/{made.mask_set}"
        )


def _default_name(settings: "MaskSettings") -> str:
    import hashlib

    digest = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    return f"{settings.method}-{digest[:DIGEST_LETTERS]}"
