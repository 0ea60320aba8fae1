"""`segmint toybox`: render the miniature worlds, judge their models."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from segmint.cli import options as opt
from segmint.cli.telling import say, terminal

app = typer.Typer(no_args_is_help=True)


@app.callback()
def toybox() -> None:
    """The shipped miniature worlds: render their scenes, judge their models."""


SplitName = Literal["train", "val", "test", "reserve"]
GateSplit = Literal["train", "val"]


@app.command()
def render(
    out: Annotated[Path, typer.Argument(help="Folder for the pictures; made if it is not there.")],
    world: opt.WorldName = "toybox",
    count: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 16,
    split: Annotated[SplitName, typer.Option(help="Which scenes; no two splits share one.")] = "val",
    first: Annotated[int, typer.Option(min=0, help="Seed of the first scene.")] = 0,
) -> None:
    """Render scenes with their exact masks: SEED.png, SEED.mask.png, SEED.instances.png and captions.jsonl.

    For a dataset in VOC layout, name `toybox:test` or `yard:val` where a command takes a dataset.
    """
    import numpy as np
    from PIL import Image

    from segmint.errors import StorageError
    from segmint.plan.classes import preset_vocabulary
    from segmint.toybox.worlds import world_named

    palette = np.asarray(preset_vocabulary(world).palette(), np.uint8).ravel().tolist()
    draw, lines = world_named(world).render, []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + count):
            scene = draw(seed, split=split)
            Image.fromarray(scene.image).save(out / f"{seed:06d}.png")
            mask = Image.fromarray(scene.mask, mode=None).convert("P")
            mask.putpalette(palette)
            mask.save(out / f"{seed:06d}.mask.png")
            Image.fromarray(scene.instances).save(out / f"{seed:06d}.instances.png")
            lines.append(json.dumps({"seed": seed, "caption": scene.caption, "classes": scene.classes}))
        (out / "captions.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{out}: cannot write scenes there: {error.strerror or error}") from error
    say(f"{count} scenes of the split {split} in {out}")


@app.command()
def evaluate(
    *,
    world: opt.WorldName = "toybox",
    model: Annotated[
        str | None, typer.Option(help="Folder of another training's pipeline; by default the world's model.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Pictures to generate.")] = 256,
    renders: Annotated[int, typer.Option(min=1, help="Held-out renders whose attention is observed.")] = 200,
    split: Annotated[GateSplit, typer.Option(help="Whose renders.")] = "val",
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps; by default the model's.")] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="Guidance scale; by default the model's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides prompts and noise.")] = 7000,
    device: opt.Device = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of the first 48 pictures here.")
    ] = None,
) -> None:
    """Judge a world's model: the quality gate. Ends with exit code 1 if a figure misses its bound."""
    from segmint.backbone.loading import load
    from segmint.backbone.settings import ModelSettings
    from segmint.pictures.sheets import rows_of
    from segmint.toybox import gate

    settings = gate.GateSettings(
        world=world,
        samples=samples,
        renders=renders,
        split=split,
        steps=steps,
        guidance=guidance,
        seed=seed,
    )
    report, drawn = gate.run_gate(load(ModelSettings(id=model or world), device), settings)
    _print_table(report.as_json())
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    if sheet is not None:
        rows_of([item.image for item in drawn[:48]]).save(sheet)
    if report.failures():
        raise typer.Exit(1)


def _print_table(figures: dict[str, object]) -> None:
    from rich.table import Table

    from segmint.toybox.gate import FIGURES

    bounds = figures["bounds"]
    assert isinstance(bounds, dict)
    table = Table(title=f"{figures['world']}, {figures['samples']} pictures and {figures['renders']} renders")
    for heading in ("figure", "value", "bound"):
        table.add_column(heading)
    for name in FIGURES:
        table.add_row(name, f"{figures[name]:.4f}", bounds.get(name, "–"))
    console = terminal()
    console.print(table)
    for name in ("presence_by_class", "class_auc_by_class"):
        values = figures[name]
        assert isinstance(values, dict)
        console.print(f"{name}: " + ", ".join(f"{each} {value:.3f}" for each, value in values.items()))
    console.print("passed" if figures["passed"] else "failed")
