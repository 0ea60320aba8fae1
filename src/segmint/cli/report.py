"""`segmint report RUN`: one HTML file to mail."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: RUN's name with .html, here.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, max=500, help="Overlays to show.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Another seed shows other samples.")] = 0,
    masks: Annotated[str, typer.Option(metavar="NAME", help="Mask set; default: the original one.")] = "",
) -> None:
    """Write statistics, plots, sample overlays, recipe, model and licence into one HTML file."""
    from segmint.errors import StorageError
    from segmint.runs.store import open_run
    from segmint.viewer.report import write_report

    target = out or Path(f"{run.resolve().name}.html")
    text = write_report(open_run(run), mask_set=masks, samples=samples, seed=seed)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from None
    typer.echo(f"wrote {target} ({len(text.encode()) / 1e6:.1f} MB)")
