"""`segmint selftrain`: the segmenter labels its training images anew, and the next one learns from that."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from segmint.cli import options as opt
from segmint.cli.datasets import DataOptions, Val, open_dataset
from segmint.cli.flags import Changes, Flags
from segmint.cli.train import ViewOptions, leads, report
from segmint.cli.watching import Watcher, watched
from segmint.training.settings import TrainSettings

if TYPE_CHECKING:
    from segmint.training.data.datasets import LabelledSet
    from segmint.training.selftrain import Relabelling


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
    workers: opt.TrainWorkers = 2,
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
    console = Console()
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
