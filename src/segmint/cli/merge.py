"""`segmint merge RUN RUN …`: several runs as one."""

from pathlib import Path
from typing import Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.progress import listening
from segmint.cli.telling import say


def merge(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN RUN...", help="Runs that share their class ids.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="The new run's folder.")],
    progress: opt.ProgressOptions,
) -> None:
    """Put the items of several runs into a new one, byte for byte, with what was kept and rejected.

    Classes may differ, their ids may not clash. Where runs call different items by one id, every id gets its
    run's name in front. The new run is looked at, curated, exported and trained on like any other; nothing
    is minted into it.

    [bold]Example[/bold]

    [cyan]segmint merge monday tuesday --out week[/cyan]
    """
    from segmint.jobs.merge import merge as put_together
    from segmint.runs.store import open_run

    with listening(progress) as listener:
        made = put_together([open_run(each) for each in runs], out, listener)
    if not (progress.quiet or progress.as_json):
        count = f"{len(made.done_ids())} items of {len(runs)} runs"
        say(f"{count} are in {out}; {len(made.header.classes)} classes")
