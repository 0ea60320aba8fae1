"""`segmint view RUN`: the web viewer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from segmint.viewer.serve import Address


def view(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder; it may still be growing.")],
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
    """
    from segmint.viewer.serve import serve

    def ready(address: "Address") -> None:
        typer.echo(f"{run} is shown at {address.url} (Ctrl-C ends it)")
        if open_browser:
            typer.launch(address.url)

    serve(run, host=host, port=port, allow_remote=allow_remote, ready=ready)
