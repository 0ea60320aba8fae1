"""Commands that look at a run as it stands: view, explain, report, verify."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.several import carry_back, together
from segmint.cli.telling import say, say_json

if TYPE_CHECKING:
    from segmint.viewer.serve import Address

EXIT_PROBLEMS = 1


def view(
    runs: opt.RunFolders,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")
    ] = 8321,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines in, with a token that is printed.")
    ] = False,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser of this machine.")
    ] = False,
) -> None:
    """Look at a run in the browser: grid, details, statistics; keep and reject; compare mask sets.

    Listens to this machine alone. To look from another, forward the port
    (ssh -L 8321:127.0.0.1:8321 …) or add [bold]--host 0.0.0.0 --allow-remote[/bold]. Ctrl-C ends it.
    Several runs are shown as they stand when it begins; what is kept and rejected is written into each at
    once.
    """
    from segmint.jobs.merge import merged_items
    from segmint.runs.store import open_run
    from segmint.viewer.serve import serve

    def ready(address: "Address") -> None:
        say(f"{', '.join(map(str, runs))} is shown at {address.url} (Ctrl-C ends it)")
        if open_browser:
            typer.launch(address.url)

    with together(runs) as run:
        carry = None
        if len(runs) > 1:
            items = merged_items([open_run(each) for each in runs])
            carry = partial(carry_back, items, by="view", why="in the viewer, with other runs")
        folder = run.folder or runs[0]
        serve(folder, host=host, port=port, allow_remote=allow_remote, ready=ready, carry=carry)


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run made with --keep-features.")],
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item's id, such as 000004.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.png", help="Default: explain-ITEM.png, here.")
    ] = None,
    masks: opt.MaskSet = "",
) -> None:
    """Draw every stage from image to mask for one item, labelled, into one PNG.

    The stages are made again from the item's stored attention.
    """
    from segmint.errors import RunError, StorageError
    from segmint.pictures import paint
    from segmint.pictures.explain import draw_method
    from segmint.pictures.stages import explain as known_of
    from segmint.runs.masksets import check_mask_set
    from segmint.runs.store import open_run

    opened = open_run(run)
    check_mask_set(opened, masks)
    if item not in opened.done_ids(masks):
        raise RunError(
            f"{run} has no item {item[:120]!r}; ids are the file names in {run}/items, without .json"
        )
    picture = draw_method(known_of(opened, opened.vocabulary(), item, masks))
    target = out or Path(f"explain-{item}.png")
    try:
        target.write_bytes(paint.png(picture))
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from None
    say(f"wrote {target} ({picture.shape[1]} × {picture.shape[0]} px)")


def report(
    runs: opt.RunFolders,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: RUN's name with .html, here.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, max=500, help="Overlays to show.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Another seed shows other samples.")] = 0,
    masks: opt.Masks = None,
) -> None:
    """Write statistics, plots, sample overlays, recipe, model and licence into one HTML file."""
    from segmint.errors import StorageError
    from segmint.viewer.report import write_report

    with together(runs, masks) as run:
        target = out or Path(f"{Path(run.files.address).resolve().name}.html")
        text = write_report(run, mask_set=masks if len(runs) == 1 else None, samples=samples, seed=seed)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from None
    say(f"wrote {target} ({len(text.encode()) / 1e6:.1f} MB)")


def verify(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or its URL (s3://, gs://).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead.")] = False,
) -> None:
    """Check every file of a run and of its mask sets against its record: size, checksum, decoding, label ids,
    strays.

    Exit code 0 means whole, 1 means problems. An unfinished run is no problem. To make damaged items again,
    byte for byte, run the same [bold]segmint generate[/bold] with [bold]--repair[/bold]; for what lies in
    masks/NAME, [bold]segmint remask RUN --name NAME --repair[/bold].
    """
    from segmint.runs.files.remote import files_at
    from segmint.runs.verify import verify as verify_files

    verdict = verify_files(files_at(run))
    for each in verdict.problems:
        if as_json:
            said = {"kind": each.kind, "path": each.path, "item": each.item_id, "detail": each.detail}
            say_json(said)
        else:
            say(f"{each.path}: {each.detail}")
    counts = {"planned": verdict.planned, "done": verdict.done, "failed": verdict.failed}
    if as_json:
        say_json({"problems": len(verdict.problems), **counts})
    else:
        state = f"{len(verdict.problems)} problems" if verdict.problems else "whole"
        failed = f", {verdict.failed} failed" if verdict.failed else ""
        say(f"{run}: {state}; {verdict.done} of {verdict.planned} items{failed}")
    if verdict.problems:
        raise typer.Exit(EXIT_PROBLEMS)
