"""`python -m lab.toybox`: train the miniature model that segmint ships."""

from pathlib import Path
from typing import Annotated

import typer

from segmint.cli.main import run

app = typer.Typer(no_args_is_help=True, help="The making of the model that segmint ships.")


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
    stages = tuple(stage) if stage else training.STAGES
    result = training.run(plan, work, processes=processes, device=device, stages=stages)
    if install:
        training.install(result, training.WEIGHTS_FOLDER)
    typer.echo(f"the trained model is in {training.WEIGHTS_FOLDER if install else result}")


@app.command()
def oracle(
    *,
    work: Annotated[Path, typer.Option(help="Folder of the model's training.")] = Path("toybox-work"),
    install: Annotated[
        bool, typer.Option("--install", help="Put the result in the place of the shipped weights.")
    ] = False,
) -> None:
    """Train the judge: a segmenter of renders with exact masks."""
    from lab.toybox.plan import Plan
    from lab.toybox.train import run_oracle
    from segmint.toybox.worlds import WORLDS

    typer.echo(f"the judge is in {run_oracle(Plan().oracle, work, WORLDS['toybox'], install=install)}")


if __name__ == "__main__":
    run(commands=app, name="python -m lab.toybox")
