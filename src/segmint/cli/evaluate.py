"""`segmint evaluate`: how good a segmenter is on a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field
from rich.console import Console
from rich.table import Table

from segmint.cli import options as opt
from segmint.cli.datasets import DataOptions, Val, downloaded, open_dataset
from segmint.cli.watching import percent, watched
from segmint.settings import Flag, Settings

if TYPE_CHECKING:
    from segmint.scores import Scores
    from segmint.training.judge.inference import Views


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
    views: ViewOptions,
    device: opt.Device = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Threads that read.")] = 2,
    quiet: opt.Quiet = False,
) -> None:
    """Score a checkpoint: IoU and accuracy by class, their means, and the confusion matrix.

    Every image is predicted whole and at its own size; pixels of 255 count nowhere.
    """
    from segmint.training.data.datasets import match
    from segmint.training.data.inspection import inspect
    from segmint.training.judge.evaluate import evaluate_model, write_evaluation
    from segmint.training.judge.inference import load_segmenter

    if reading.download:
        data = downloaded(data)
    segmenter = load_segmenter(checkpoint, device=device)
    console = Console()
    found = open_dataset(data, classes=opt.split_list(reading.dataset_classes))
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
    write_evaluation(folder, evaluation, judged, segmenter, views=views.to_views())
    console.print(table(evaluation.scores, title=f"{judged.name}, {len(evaluation.by_image)} images"))
    console.print(
        f"written to {folder}: metrics.json, metrics.csv, confusion.csv, images.csv, evaluation.png"
    )


def table(scores: "Scores", *, title: str) -> Table:
    """Scores as a rich table; classes that were not judged are left out."""
    shown = Table(title=title)
    shown.add_column("class")
    shown.add_column("IoU", justify="right")
    shown.add_column("accuracy", justify="right")
    for label in scores.judged:
        row = (scores.label_names[label], percent(scores.iou[label]), percent(scores.accuracy[label]))
        shown.add_row(*row, end_section=label == scores.judged[-1])
    shown.add_row("mean", percent(scores.mean_iou), percent(scores.mean_accuracy), style="bold")
    shown.add_row("pixel accuracy", "", percent(scores.pixel_accuracy))
    return shown


def beside(checkpoint: Path, name: str) -> Path:
    """Where an evaluation goes if nothing else is asked: into the training's folder."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    safe = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)
    return folder / f"evaluation-{safe}"
