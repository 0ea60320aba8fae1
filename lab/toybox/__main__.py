"""`python -m lab.toybox`: train the miniature model that segmint ships."""

from pathlib import Path
from typing import Annotated

import typer

from segmint.cli.main import run

app = typer.Typer(no_args_is_help=True, help="The making of the model that segmint ships.")


@app.callback()
def _commands() -> None:
    """Keeps `train` a word of its own while it is the only command."""


@app.command()
def train(
    *,
    work: Annotated[Path, typer.Option(help="Folder for data, checkpoints and snapshots (1.5 GB).")] = Path(
        "toybox-work"
    ),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    processes: Annotated[
        int, typer.Option(min=1, help="One-thread processes that share the work (CPU).")
    ] = 2,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Fit the UNet's training into so many minutes.")
    ] = None,
    stage: Annotated[
        list[str] | None, typer.Option(help="Only this stage (render, vae, encode, unet); may be repeated.")
    ] = None,
    oracle: Annotated[bool, typer.Option("--oracle", help="Train the judge instead.")] = False,
    install: Annotated[
        bool, typer.Option("--install", help="Put the result in the place of the shipped weights.")
    ] = False,
) -> None:
    """Train the toybox model, or go on with an interrupted training.

    Renders scenes, then trains the autoencoder, then the UNet; no mask is used. The result is WORK/pipeline.
    """
    from dataclasses import replace

    from lab.toybox import train as training
    from lab.toybox.plan import Plan

    plan = Plan()
    plan = replace(plan, unet=replace(plan.unet, minutes=minutes))
    if oracle:
        result, target = training.run_oracle(plan, work), training.ORACLE_FOLDER
    else:
        stages = tuple(stage) if stage else training.STAGES
        result = training.run(plan, work, processes=processes, device=device, stages=stages)
        target = training.WEIGHTS_FOLDER
    if install:
        training.install(result, target)
    typer.echo(f"the trained model is in {target if install else result}")


if __name__ == "__main__":
    run(commands=app, name="python -m lab.toybox")
