"""`segmint train`: a segmenter from minted images; `segmint evaluate`: how good one is on a dataset."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field
from rich.console import Console
from rich.table import Table

from segmint.cli import options as opt
from segmint.cli.datasets import HELP as DATASET_HELP
from segmint.cli.datasets import DataOptions, Val, downloaded, open_dataset
from segmint.cli.flags import Changes, Flags
from segmint.cli.telling import cell, terminal
from segmint.cli.watching import percent, watched
from segmint.errors import ConfigError
from segmint.settings import Flag, Settings, read_toml, with_changes
from segmint.training.settings import TrainSettings, check_folder, check_weights

if TYPE_CHECKING:
    from segmint.scores import Scores
    from segmint.training.data.datasets import LabelledSet
    from segmint.training.fit.train import TrainingResult
    from segmint.training.judge.inference import Views


def train(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs to learn from, or other datasets.")
    ],
    *,
    val: Annotated[
        str | None, typer.Option(metavar="DATASET", help=f"What to judge on: {DATASET_HELP}.")
    ] = None,
    split: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Without --val: hold out this share of RUN, whole prompts, to judge on."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of this training.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    settings: Annotated[Path | None, typer.Option(help="TOML file of settings; flags go over it.")] = None,
    mask_set: Annotated[
        str | None,
        typer.Option(
            help="Mask set of the runs, or original; default: imported corrections, where there are some."
        ),
    ] = None,
    reading: DataOptions,
    naming: opt.NameOptions,
    changes: Annotated[Changes, Flags(TrainSettings, rest="Any other setting, see docs/training.md.")],
    device: opt.Device = "auto",
    workers: opt.TrainWorkers = None,
    quiet: opt.Quiet = False,
) -> None:
    """Train a segmenter on minted images alone, and keep the checkpoint that is best on real ones.

    Writes best.safetensors with its checksum, last.safetensors, log.jsonl, TensorBoard logs and loss.png.
    For several GPUs: accelerate launch --no_python segmint train …
    """
    chosen = TrainSettings.parse(
        with_changes(read_toml(settings) if settings else {}, changes), source=str(settings or "settings")
    )
    check_folder(out, resume=resume)
    check_weights(chosen.network)
    sets, judge = _datasets(runs, val, split, mask_set=mask_set, reading=reading, naming=naming)
    from segmint.training.fit.train import train as run

    console = terminal()
    with watched(console, quiet=quiet or not leads()) as watcher:
        result = run(
            sets,
            judge,
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


def _datasets(
    runs: list[str],
    val: str | None,
    split: float | None,
    *,
    mask_set: str | None,
    reading: DataOptions,
    naming: opt.NameOptions,
) -> "tuple[list[LabelledSet], LabelledSet]":
    """What to learn from and what to judge on."""
    from segmint.training.data.holdout import hold_out
    from segmint.training.data.renaming import renamed

    if (val is None) == (split is None):
        raise ConfigError(
            "say what to judge on: --val DATASET, best of real images, or --split 0.1 to hold out a tenth"
        )
    names = opt.split_list(reading.dataset_classes)
    sets = [renamed(open_dataset(each, classes=names, mask_set=mask_set), naming.change) for each in runs]
    if split is not None:
        return hold_out(sets, split)
    judge = open_dataset(downloaded(str(val)) if reading.download else str(val), classes=names)
    return sets, renamed(judge, partial(naming.change, known_only=True))


def leads() -> bool:
    """Whether this process speaks, of those that train together."""
    return os.environ.get("RANK", "0") == "0"


def report(console: Console, result: "TrainingResult") -> None:
    """Print the result of a training."""
    kind = {"raw": "the weights", "ema": "their running mean"}[result.weights]
    console.print(f"best: mean IoU {percent(result.mean_iou)} of {kind} at iteration {result.iteration}")
    if result.shared:
        from segmint.training.data.inspection import shared_note

        console.print(shared_note(result.shared, result.judged), style="yellow", highlight=False)
    console.print(f"checkpoint: {result.best}", soft_wrap=True, highlight=False)
    console.print(f"sha256: {result.sha256}", soft_wrap=True, highlight=False)


class ViewOptions(Settings):
    """How an image is looked at."""

    flip: Annotated[bool, Flag("--flip")] = False
    """Predict by the mean of the image and its mirror image."""
    scales: Annotated[
        tuple[Annotated[float, Field(ge=0.1, le=8.0)], ...], Field(min_length=1), Flag("--scales")
    ] = (1.0,)
    """Predict by the mean of these scales: 0.75, 1, 1.25."""

    def to_views(self) -> "Views":
        """The views that flags ask for."""
        from segmint.training.judge.inference import Views

        return Views(flip=self.flip, scales=self.scales)


def evaluate(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint, or the folder of a training (then its best).")
    ],
    *,
    data: Val,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for metrics.json, .csv and evaluation.png; default: beside the checkpoint."
        ),
    ] = None,
    reading: DataOptions,
    naming: opt.NameOptions,
    views: ViewOptions,
    device: opt.Device = "auto",
    worst: Annotated[
        int,
        typer.Option(min=0, max=200, help="How many of the worst images to name and to draw in worst.png."),
    ] = 12,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read.")] = 2,
    quiet: opt.Quiet = False,
) -> None:
    """Score a checkpoint: IoU and accuracy by class, their means, and the confusion matrix.

    Every image is predicted whole and at its own size; pixels of 255 count nowhere.
    """
    from segmint.training.data.datasets import match
    from segmint.training.data.inspection import inspect
    from segmint.training.data.renaming import renamed
    from segmint.training.judge.evaluate import evaluate_model, ranked, write_evaluation
    from segmint.training.judge.inference import load_segmenter

    if reading.download:
        data = downloaded(data)
    segmenter = load_segmenter(checkpoint, device=device)
    console = terminal()
    found = renamed(open_dataset(data, classes=opt.split_list(reading.dataset_classes)), naming.change)
    with watched(console, quiet=quiet) as watcher:
        judged = inspect(
            match(found, segmenter.classes, subset=opt.split_list(reading.subset), others=reading.others),
            skip_broken=reading.skip_broken,
            workers=workers,
            listener=watcher,
        ).data
        evaluation = evaluate_model(
            segmenter.model, judged, device=segmenter.device, views=views.to_views(), listener=watcher
        )
    folder = out or beside(checkpoint, judged.name)
    write_evaluation(folder, evaluation, judged, segmenter, views=views.to_views(), worst=worst)
    console.print(table(evaluation.scores, title=f"{cell(judged.name)}, {len(evaluation.by_image)} images"))
    least = ", ".join(f"{cell(item_id)} {percent(value)}" for item_id, value in ranked(evaluation, worst)[1])
    if least:
        console.print(f"worst: {least}", highlight=False)
    console.print(
        f"written to {cell(str(folder))}: metrics.json, metrics.csv, confusion.csv, images.csv, "
        f"evaluation.png{', worst.png' if least else ''}"
    )


def table(scores: "Scores", *, title: str) -> Table:
    """Scores as a rich table; classes that were not judged are left out."""
    shown = Table(title=title)
    shown.add_column("class")
    shown.add_column("IoU", justify="right")
    shown.add_column("accuracy", justify="right")
    for label in scores.judged:
        row = (cell(scores.label_names[label]), percent(scores.iou[label]), percent(scores.accuracy[label]))
        shown.add_row(*row, end_section=label == scores.judged[-1])
    shown.add_row("mean", percent(scores.mean_iou), percent(scores.mean_accuracy), style="bold")
    shown.add_row("pixel accuracy", "", percent(scores.pixel_accuracy))
    return shown


def beside(checkpoint: Path, name: str) -> Path:
    """Where an evaluation goes if nothing else is asked: into the training's folder."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    safe = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)
    return folder / f"evaluation-{safe}"
