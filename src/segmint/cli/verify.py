"""`segmint verify RUN`: is every byte still what was written?"""

import json
from typing import Annotated

import typer

EXIT_PROBLEMS = 1


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
            typer.echo(json.dumps(said, ensure_ascii=False))
        else:
            typer.echo(f"{each.path}: {each.detail}")
    counts = {"planned": verdict.planned, "done": verdict.done, "failed": verdict.failed}
    if as_json:
        typer.echo(json.dumps({"problems": len(verdict.problems), **counts}))
    else:
        state = f"{len(verdict.problems)} problems" if verdict.problems else "whole"
        failed = f", {verdict.failed} failed" if verdict.failed else ""
        typer.echo(f"{run}: {state}; {verdict.done} of {verdict.planned} items{failed}")
    if verdict.problems:
        raise typer.Exit(EXIT_PROBLEMS)
