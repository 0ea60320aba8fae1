"""`python -m lab.lastlook`: every method on scenes that nobody has looked at, with settings frozen before.

The commit that is named fixes the settings: they are compared with today's, method by method, before anything
runs. Then the benchmark's rows on the world's last split, each seed and hard case a command of its own, and
the segmenter that learns from minted images against the one that learns from exact masks. A finished command
is not repeated, so that the look may be stopped at any moment; another commit, size or split is refused.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lab import experiment
from lab.lastlook import table
from lab.lastlook.frozen import check_frozen, settings_at, settings_of
from lab.lastlook.look import Look, parts, take
from segmint.cli.main import run as run_app
from segmint.cli.options import split_list, whole_numbers
from segmint.cli.recipe import carry_out
from segmint.toybox.worlds import WORLDS, world_named

app = typer.Typer(add_completion=False)


@app.command()
def lastlook(
    out: Annotated[Path, typer.Option(help="Folder of the look.")],
    *,
    frozen: Annotated[str, typer.Option(metavar="COMMIT", help="The commit that fixed the settings.")],
    world: Annotated[list[str] | None, typer.Option(help="toybox or yard; by default both.")] = None,
    rehearsal: Annotated[
        bool, typer.Option("--rehearsal", help="On val, in a size that only shows that it runs.")
    ] = False,
    seeds: Annotated[str, typer.Option(help="Each has scenes and noise of its own.")] = "0, 1, 2",
    methods: Annotated[str, typer.Option(help='"all", or names.')] = "all",
    cases: Annotated[str, typer.Option(help="Hard cases of the benchmark.")] = "",
    arms: Annotated[str, typer.Option(help="Of the segmenter; empty leaves it out.")] = "rendered, segmint",
    plan: Annotated[bool, typer.Option("--plan", help="Print the benchmark's commands, and stop.")] = False,
) -> None:
    """Look, once, at the scenes that were kept for it. Interrupted, the same command goes on.

    Writes lastlook.md, the table of both worlds, and lastlook.json, every row.
    """
    look = Look(
        worlds=tuple(world_named(each).name for each in world or WORLDS),
        seeds=tuple(whole_numbers(seeds, "--seeds")),
        methods=methods,
        cases=tuple(split_list(cases) or ()),
        arms=tuple(split_list(arms) or ()),
    )
    if rehearsal:
        look = replace(look, split="val", count=2, generated=2, size=experiment.QUICK)
    if plan:
        for part in parts(out, look):
            typer.echo(f"segmint {' '.join(part.words)}")
        return
    root = Path(__file__).parents[2]
    settings = settings_at(frozen, root=root)
    check_frozen(settings, settings_of(root / "src"))
    learnt = take(out, look, {"commit": frozen, **settings}, carry_out)
    typer.echo(table.write(out, look, learnt, commit=frozen))


if __name__ == "__main__":
    run_app(commands=app, name="python -m lab.lastlook")
