"""`segmint selftrain`: the segmenter labels its training images anew, and the next one learns from that."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from segmint.cli.datasets import HELP, open_dataset
from segmint.cli.evaluate import parse_views
from segmint.cli.lists import split_list
from segmint.cli.train import Others, compose, leads, report
from segmint.cli.watching import Watcher, watched

if TYPE_CHECKING:
    from segmint.training.data.datasets import LabelledSet
    from segmint.training.selftrain import Relabelling


def selftrain(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint, or the folder of a training (its best).")],
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Runs to label anew; they stay as they are.")
    ],
    *,
    val: Annotated[str, typer.Option(metavar="DATASET", help=f"What to judge on: {HELP}.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the new runs (runs/) and the new training (training/).")
    ],
    confidence: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Pixels labelled with less than this probability become uncertain."
        ),
    ] = 0.8,
    flip: Annotated[
        bool, typer.Option("--flip", help="Label with the mean of image and mirrored image.")
    ] = False,
    scales: Annotated[str, typer.Option(help='Label with the mean of these scales: "0.75, 1, 1.25".')] = "1",
    backbone: Annotated[
        str | None, typer.Option(help="imagenet, none, or a .safetensors file. [default: as before]")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Train with this instead of as before."),
    ] = None,
    subset: Annotated[str | None, typer.Option(help="Judge on these classes only.")] = None,
    others: Annotated[Others, typer.Option(help="With --subset: other true pixels.")] = Others.ignore,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out files that cannot be read.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that read and augment.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
) -> None:
    """Label the training images anew with the trained segmenter, and train the next one on that.

    The new training has the settings of the first. Interrupted, the same command goes on.
    """
    from segmint.training.fit.train import train
    from segmint.training.judge.inference import find_checkpoint, load_segmenter
    from segmint.training.selftrain import Relabelling
    from segmint.training.settings import TrainSettings

    segmenter = load_segmenter(checkpoint, device=device)
    by = Relabelling(
        segmenter=segmenter,
        checkpoint=find_checkpoint(checkpoint),
        confidence=confidence,
        views=parse_views(flip, scales),
    )
    chosen = compose(
        TrainSettings.parse(segmenter.facts.settings), {"network.backbone": backbone}, settings or []
    )
    console = Console()
    with watched(console, quiet=quiet or not leads()) as watcher:
        result = train(
            _relabelled(runs, out / "runs", by, watcher),
            open_dataset(val),
            out / "training",
            chosen,
            subset=split_list(subset),
            others=others.value,
            resume=True,
            skip_broken=skip_broken,
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
