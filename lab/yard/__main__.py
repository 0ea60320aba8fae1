"""`python -m lab.yard`: train the model of the second world, and look at the world and the model."""

from pathlib import Path
from typing import Annotated

import typer

from lab.yard.plan import Kind
from segmint.cli.main import run

app = typer.Typer(no_args_is_help=True)


@app.command()
def train(
    *,
    work: Annotated[Path, typer.Option(help="Folder for data, checkpoints and snapshots (1.5 GB).")] = Path(
        "yard-work"
    ),
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    processes: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Length of the model's training in minutes of processor time."),
    ] = None,
    kind: Annotated[
        Kind, typer.Option(help="The yard's transformer, or the first world's UNet on the same renders.")
    ] = "transformer",
    compiled: Annotated[
        bool,
        typer.Option("--compiled", help="Compile the transformer's blocks: faster, after minutes at first."),
    ] = False,
    stage: Annotated[
        list[str] | None,
        typer.Option(help="Only this stage (render, vae, encode, train, export); may be repeated."),
    ] = None,
) -> None:
    """Train the yard's model, or go on with an interrupted training. It may be stopped at any moment.

    Renders scenes, then trains the autoencoder, then the transformer; no mask is used, and nothing but
    denoising losses is looked at. The result is WORK/pipeline, or WORK/unet/pipeline.
    """
    from dataclasses import replace

    from lab.yard import train as training
    from lab.yard.plan import Plan

    plan = Plan()
    plan = replace(plan, transformer=replace(plan.transformer, compiled=compiled))
    if minutes is not None:
        plan = replace(
            plan,
            transformer=replace(plan.transformer, minutes=minutes),
            unet=replace(plan.unet, minutes=minutes),
        )
    stages = tuple(stage) if stage else training.STAGES
    result = training.run(plan, work, processes=processes, device=device, stages=stages, kind=kind)
    typer.echo(f"the trained model is in {result}")


@app.command()
def export(
    *,
    work: Annotated[Path, typer.Option(help="Folder of the model's training.")] = Path("yard-work"),
    install: Annotated[
        bool, typer.Option("--install", help="Put it in the place of the shipped weights.")
    ] = False,
) -> None:
    """Write WORK/pipeline from the last checkpoint of the transformer, as it is now; 30 MB at most."""
    from lab.toybox.train import install as install_pipeline
    from lab.yard.plan import Plan
    from lab.yard.train import write_pipeline
    from segmint.backbone.known import YARD, shipped_folder

    result, target = write_pipeline(Plan(), work), shipped_folder(YARD)
    if install and target is not None:
        install_pipeline(result, target)
    typer.echo(f"the model is in {target if install else result}")


@app.command()
def oracle(
    *,
    work: Annotated[Path, typer.Option(help="Folder of the model's training.")] = Path("yard-work"),
    install: Annotated[
        bool, typer.Option("--install", help="Put the result in the place of the shipped weights.")
    ] = False,
) -> None:
    """Train the judge: a segmenter of renders with exact masks."""
    from lab.toybox.train import run_oracle
    from lab.yard.plan import Plan
    from segmint.toybox.worlds import WORLDS

    typer.echo(f"the judge is in {run_oracle(Plan().oracle, work, WORLDS['yard'], install=install)}")


@app.command()
def sheet(
    out: Annotated[Path, typer.Argument(help="PNG file to write.")],
    *,
    model: Annotated[
        Path | None, typer.Option(help="Pipeline folder; without it, scenes are rendered.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 48,
    split: Annotated[str, typer.Option(help="Whose scenes, or captions: train or val.")] = "val",
    first: Annotated[int, typer.Option(min=0, help="Seed of the first scene.")] = 0,
    close_ups: Annotated[bool, typer.Option("--close-ups", help="Render close-ups.")] = False,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 24,
    guidance: Annotated[float, typer.Option(min=0, help="Guidance scale.")] = 4.0,
) -> None:
    """Write a contact sheet of rendered scenes, or of a model's pictures for their captions."""
    from lab.yard import sheets

    scenes = sheets.scenes(count, split=split, first=first, close_ups=close_ups)
    captions = [scene.caption for scene in scenes]
    drawn = (
        sheets.generated(model, captions, steps=steps, guidance=guidance)
        if model is not None
        else [scene.image for scene in scenes]
    )
    sheets.write(out, drawn)
    for number, caption in enumerate(captions):
        typer.echo(f"{number + 1:3d} {caption}")


if __name__ == "__main__":
    run(commands=app, name="python -m lab.yard")
