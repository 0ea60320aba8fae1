"""`segmint experiment`: questions that the project asks of itself, answered by one command."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from segmint.cli.lists import split_list
from segmint.cli.recipe import carry_out

app = typer.Typer(no_args_is_help=True, help="Experiments of the project, each reproducible by one command.")


@app.callback()
def _experiments() -> None:
    """Keeps `toybox` a word of its own while it is the only experiment."""


@app.command()
def toybox(
    out: Annotated[Path, typer.Option(help="Folder of the experiment.")],
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A size that only shows that it runs.")] = False,
    arms: Annotated[
        str | None,
        typer.Option(
            help="Which: rendered, a mask method, or rendered+METHOD. "
            "[default: rendered, pcc, segmint, ovam, dataset-diffusion, rendered+pcc, rendered+segmint]"
        ),
    ] = None,
    images: Annotated[int | None, typer.Option(min=4, help="Training images of each kind.")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Updates of the weights.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the trainings.")] = 2024,
    mint: Annotated[
        str, typer.Option(help='Further flags of every generate: "--steps 20 --batch-size 8".')
    ] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Print the commands that are left, and stop.")] = False,
) -> None:
    """Train one small segmenter on exact, minted and mixed data, and judge all on the same rendered scenes.

    Interrupted, the same command goes on. Writes experiment.json, experiment.md and experiment.png to --out.
    """
    from dataclasses import replace

    from lab.experiment import DEFAULT_ARMS, FULL, QUICK, commands, markdown, run_experiment

    size = QUICK if quick else FULL
    size = replace(size, images=images or size.images, iterations=iterations or size.iterations)
    chosen = tuple(split_list(arms) or DEFAULT_ARMS)
    console = Console()
    if plan:
        for arm in chosen:
            for words in commands(out, size, arm, mint=shlex.split(mint)):
                console.print(f"segmint {shlex.join(words)}", soft_wrap=True, highlight=False, markup=False)
        return
    outcomes = run_experiment(out, size, chosen, carry_out, seed=seed, mint=shlex.split(mint))
    console.print(markdown(size, outcomes), highlight=False, markup=False, soft_wrap=True)
