"""`segmint evaluate`: how good a segmenter is on a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from segmint.cli.datasets import HELP, downloaded, open_dataset
from segmint.cli.lists import split_list
from segmint.cli.train import Others
from segmint.cli.watching import percent, watched

if TYPE_CHECKING:
    from segmint.scores import Scores
    from segmint.training.judge.inference import Views


def evaluate(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint, or the folder of a training (then its best).")
    ],
    *,
    data: Annotated[str, typer.Option(metavar="DATASET", help=f"What to judge on: {HELP}.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for metrics.json, .csv and evaluation.png. [default: beside it]"),
    ] = None,
    subset: Annotated[
        str | None, typer.Option(help='Judge on these classes only: "boat, tree". Else the lists must agree.')
    ] = None,
    others: Annotated[
        Others, typer.Option(help="With --subset: true pixels of other classes are left out, or background.")
    ] = Others.ignore,
    dataset_classes: Annotated[
        str | None, typer.Option(help="Names of the ids 1, 2, … of a VOC folder that does not say.")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
    scales: Annotated[str, typer.Option(help='Average over these scales: "0.75, 1, 1.25".')] = "1",
    download: Annotated[
        bool, typer.Option("--download", help="Fetch PASCAL VOC 2012 (2 GB) to the folder of --data first.")
    ] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out files that cannot be read.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Threads that read.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the table.")] = False,
) -> None:
    """Score a checkpoint: IoU and accuracy by class, their means, and the confusion matrix.

    Every image is predicted whole and at its own size; pixels of 255 count nowhere.
    """
    from segmint.training.data.datasets import match
    from segmint.training.data.inspection import inspect
    from segmint.training.judge.evaluate import evaluate_model, write_evaluation
    from segmint.training.judge.inference import load_segmenter

    views = parse_views(flip, scales)
    if download:
        data = downloaded(data)
    segmenter = load_segmenter(checkpoint, device=device)
    console = Console()
    found = open_dataset(data, classes=split_list(dataset_classes))
    with watched(console, quiet=quiet) as watcher:
        judged = inspect(
            match(found, segmenter.classes, subset=split_list(subset), others=others.value),
            skip_broken=skip_broken,
            workers=workers,
            listener=watcher,
        ).data
        evaluation = evaluate_model(
            segmenter.model, judged, device=segmenter.device, views=views, listener=watcher
        )
    folder = out or beside(checkpoint, judged.name)
    write_evaluation(folder, evaluation, judged, segmenter, views=views)
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


def parse_views(flip: bool, scales: str) -> "Views":
    """The views that flags ask for.

    Raises:
        ConfigError: a scale is no number between 0.1 and 8.
    """
    from segmint.errors import ConfigError
    from segmint.training.judge.inference import Views

    try:
        factors = tuple(float(each) for each in scales.split(","))
    except ValueError:
        factors = ()
    if not factors or not all(0.1 <= each <= 8 for each in factors):
        raise ConfigError(f"--scales {scales!r}: expected numbers from 0.1 to 8, for example 0.75,1,1.25")
    return Views(flip=flip, scales=factors)


def beside(checkpoint: Path, name: str) -> Path:
    """Where an evaluation goes if nothing else is asked: into the training's folder."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    safe = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)
    return folder / f"evaluation-{safe}"
