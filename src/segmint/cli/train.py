"""`segmint train`: a segmenter from minted images."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from segmint.cli import options as opt
from segmint.cli.datasets import DataOptions, Val, downloaded, open_dataset
from segmint.cli.flags import Changes, Flags
from segmint.cli.watching import percent, watched
from segmint.training.settings import TrainSettings

if TYPE_CHECKING:
    from segmint.training.fit.train import TrainingResult


def train(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs to learn from, or other datasets.")
    ],
    *,
    val: Val,
    out: Annotated[Path, typer.Option(help="Folder of this training.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    settings: Annotated[Path | None, typer.Option(help="TOML file of settings; flags go over it.")] = None,
    mask_set: Annotated[str, typer.Option(help="Mask set of the runs, made by `segmint remask`.")] = "",
    reading: DataOptions,
    changes: Annotated[Changes, Flags(TrainSettings, rest="Any other setting, see docs/training.md.")],
    device: opt.Device = "auto",
    workers: opt.TrainWorkers = 2,
    quiet: opt.Quiet = False,
) -> None:
    """Train a segmenter on minted images alone, and keep the checkpoint that is best on real ones.

    Writes best.safetensors with its checksum, last.safetensors, log.jsonl, TensorBoard logs and loss.png.
    For several GPUs: accelerate launch --no_python segmint train …
    """
    from segmint.training.fit.train import train as run

    chosen = (TrainSettings.load(settings) if settings else TrainSettings()).merged(changes)
    names = opt.split_list(reading.dataset_classes)
    console = Console()
    with watched(console, quiet=quiet or not leads()) as watcher:
        result = run(
            [open_dataset(each, classes=names, mask_set=mask_set) for each in runs],
            open_dataset(downloaded(val) if reading.download else val, classes=names),
            out,
            chosen,
            subset=opt.split_list(reading.subset),
            others=reading.others,
            resume=resume,
            skip_broken=reading.skip_broken,
            device=device,
            workers=workers,
            listener=watcher,
            stopping=watcher.stop_asked,
        )
    if leads():
        report(console, result)


def leads() -> bool:
    """Whether this process speaks, of those that train together."""
    return os.environ.get("RANK", "0") == "0"


def report(console: Console, result: "TrainingResult") -> None:
    """Print the result of a training."""
    kind = {"raw": "the weights", "ema": "their running mean"}[result.weights]
    console.print(f"best: mean IoU {percent(result.mean_iou)} of {kind} at iteration {result.iteration}")
    console.print(f"checkpoint: {result.best}", soft_wrap=True, highlight=False)
    console.print(f"sha256: {result.sha256}", soft_wrap=True, highlight=False)
