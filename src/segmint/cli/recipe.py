"""`segmint recipe`: from prompts to the table by one command; `segmint selftrain`: the next segmenter."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from segmint.cli import options as opt
from segmint.cli.datasets import DataOptions, Val, open_dataset
from segmint.cli.flags import Changes, Flags
from segmint.cli.telling import say_json, terminal
from segmint.cli.train import ViewOptions, leads, report
from segmint.cli.watching import Watcher, watched
from segmint.training.settings import TrainSettings

if TYPE_CHECKING:
    from segmint.training.courses import Course, Planned
    from segmint.training.data.datasets import LabelledSet
    from segmint.training.selftrain import Relabelling

COSTS = ("items", "denoising_steps", "iterations", "disk_bytes", "memory_bytes")


def recipe(
    name: Annotated[str, typer.Argument(help="syntagen, dataset-diffusion, toybox, or a .toml file.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of everything that the recipe makes.")],
    plan: Annotated[bool, typer.Option("--plan", help="Say what it will do and need, and stop.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --plan: one JSON object a line, a step each.")
    ] = False,
    data: Annotated[
        str | None, typer.Option(metavar="DATASET", help="Judge on this. [default: the recipe's own]")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="Mint from these prompts instead of planned ones.")
    ] = None,
    template_prompts: Annotated[
        bool,
        typer.Option("--template-prompts", help="Mint from planned prompts where others are called for."),
    ] = False,
    backbone: Annotated[str, typer.Option(help="imagenet, none, or a .safetensors file.")] = "imagenet",
    device: opt.Device = "auto",
) -> None:
    """Mint, train and judge as a recipe says. Interrupted, the same command goes on.

    With --plan: items, denoising steps, iterations, disk, memory, and the commands that would run.
    """
    from segmint.atomic import put_text
    from segmint.training.courses import load_course, require_prompts
    from segmint.training.courses import plan as make_plan

    chosen = load_course(name)
    planned = make_plan(chosen, out, data=data, prompts=prompts, backbone=backbone, device=device)
    console = terminal()
    if plan and as_json:
        for step in planned:
            say_json({"title": step.title, "words": step.words, **_costs(step)})
        return
    if plan:
        show(console, chosen, planned)
        return
    require_prompts(chosen, prompts, templates=template_prompts)
    for step in planned:
        if step.settings is not None and step.settings_file is not None:
            put_text(step.settings_file, step.settings.to_toml())
    follow(console, planned)


def _costs(step: "Planned") -> dict[str, int]:
    return {name: getattr(step, name) for name in COSTS}


def show(console: Console, chosen: "Course", planned: "Sequence[Planned]") -> None:
    """Print what a course will do and need."""
    console.print(chosen.title, style="bold", highlight=False)
    console.print(" ".join(chosen.source.split()), highlight=False)
    console.print(f"needs: {chosen.needs}", highlight=False)
    if chosen.prompts:
        console.print(f"prompts: {chosen.prompts}", highlight=False, soft_wrap=True)
    table = Table()
    for heading in ("step", "images", "denoising steps", "iterations", "disk", "memory"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for number, step in enumerate(planned, start=1):
        table.add_row(
            f"{number}. {step.title}",
            _count(step.items),
            _count(step.denoising_steps),
            _count(step.iterations),
            _size(step.disk_bytes),
            _size(step.memory_bytes),
        )
    disk = sum(step.disk_bytes for step in planned) + chosen.data_bytes
    table.add_section()
    table.add_row(
        "with downloads", "", "", "", _size(disk), _size(max(step.memory_bytes for step in planned))
    )
    console.print(table)
    console.print("Disk and memory are estimates; memory is that of the training alone, on one device.")
    for step in planned:
        console.print(f"segmint {shlex.join(step.words)}", soft_wrap=True, highlight=False, markup=False)


def follow(console: Console, planned: "Sequence[Planned]") -> None:
    """Run the steps one after the other, each in a process of its own; stop with the first that fails."""
    for number, step in enumerate(planned, start=1):
        console.rule(f"{number} of {len(planned)}: {step.title}")
        try:
            carry_out(step.words)
        except typer.Exit:
            console.print("the recipe stops here; the same command goes on with this step", style="yellow")
            raise


def carry_out(words: Sequence[str]) -> None:
    """Run a command of segmint in a process of its own; end with its exit code where it fails."""
    terminal().print(f"segmint {shlex.join(words)}", soft_wrap=True, highlight=False, markup=False)
    start = "import sys; from segmint.cli.main import run; run(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", start, *words], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


def _count(value: int) -> str:
    return f"{value:,}".replace(",", " ") if value else ""


def _size(value: int) -> str:
    if not value:
        return ""
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def selftrain(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, or the folder of a training (its best).")],
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Runs to label anew; they stay as they are.")
    ],
    *,
    val: Val,
    out: Annotated[
        Path, typer.Option(help="Folder for the new runs (runs/) and the new training (training/).")
    ],
    confidence: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Pixels labelled with less than this probability become uncertain."
        ),
    ] = 0.8,
    views: ViewOptions,
    changes: Annotated[
        Changes,
        Flags(TrainSettings, "network.backbone", notes=False, rest="Train with this instead of as before."),
    ],
    reading: Annotated[DataOptions, Flags(DataOptions, "subset", "others", "skip_broken")],
    device: opt.Device = "auto",
    workers: opt.TrainWorkers = None,
    quiet: opt.Quiet = False,
) -> None:
    """Label the training images anew with the trained segmenter, and train the next one on that.

    The new training has the settings of the first. Interrupted, the same command goes on.
    """
    from segmint.training.fit.train import train
    from segmint.training.judge.inference import find_checkpoint, load_segmenter
    from segmint.training.selftrain import Relabelling

    segmenter = load_segmenter(checkpoint, device=device)
    by = Relabelling(
        segmenter=segmenter,
        checkpoint=find_checkpoint(checkpoint),
        confidence=confidence,
        views=views.to_views(),
    )
    chosen = TrainSettings.parse(segmenter.facts.settings).merged(changes)
    console = terminal()
    with watched(console, quiet=quiet or not leads()) as watcher:
        result = train(
            _relabelled(runs, out / "runs", by, watcher),
            open_dataset(val),
            out / "training",
            chosen,
            subset=opt.split_list(reading.subset),
            others=reading.others,
            resume=True,
            skip_broken=reading.skip_broken,
            device=device,
            workers=workers,
            listener=watcher,
            stopping=watcher.stop_asked,
        )
    report(console, result)


def _relabelled(runs: list[Path], out: Path, by: "Relabelling", watcher: Watcher) -> "list[LabelledSet]":
    from segmint.errors import ConfigError
    from segmint.training.selftrain import relabel

    names = [run.resolve().name for run in runs]
    if len(set(names)) < len(names):
        raise ConfigError(f"two of the runs have the same folder name ({', '.join(names)}); rename one")
    for run, name in zip(runs, names, strict=True):
        relabel(run, out / name, by, watcher, watcher.stop_asked)
    return [open_dataset(str(out / name)) for name in names]
