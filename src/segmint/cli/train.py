"""`segmint train`: a segmenter from minted images."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from segmint.cli.datasets import HELP, downloaded, open_dataset
from segmint.cli.lists import split_list
from segmint.cli.options import parse_settings
from segmint.cli.watching import percent, watched

if TYPE_CHECKING:
    from segmint.training.fit.train import TrainingResult
    from segmint.training.settings import TrainSettings


class Arch(StrEnum):
    """Networks that can be trained."""

    r50 = "deeplabv3_resnet50"
    r101 = "deeplabv3_resnet101"
    mobilenet = "deeplabv3_mobilenet_v3_large"
    toynet = "toynet"


class Optimiser(StrEnum):
    """Optimisers."""

    adamw = "adamw"
    sgd = "sgd"


class Precision(StrEnum):
    """Mixed precision."""

    auto = "auto"
    no = "no"
    fp16 = "fp16"
    bf16 = "bf16"


class Others(StrEnum):
    """What true pixels outside a subset of classes count as."""

    ignore = "ignore"
    background = "background"


def train(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs to learn from, or other datasets.")
    ],
    *,
    val: Annotated[str, typer.Option(metavar="DATASET", help=f"What to judge on: {HELP}.")],
    out: Annotated[Path, typer.Option(help="Folder of this training.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    settings: Annotated[Path | None, typer.Option(help="TOML file of settings; flags go over it.")] = None,
    arch: Annotated[Arch | None, typer.Option(help="The network. [default: deeplabv3_resnet50]")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="imagenet, none, or a .safetensors file. [default: imagenet]")
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Updates of the weights. [default: 10000]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images behind one update. [default: 8]")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Passes for one update. [default: 1]")] = None,
    optimiser: Annotated[Optimiser | None, typer.Option(help="[default: adamw]")] = None,
    lr: Annotated[
        float | None, typer.Option(help="First learning rate of the heads. [default: 1e-4]")
    ] = None,
    clip: Annotated[float | None, typer.Option(help="Longest gradient. [default: no clipping]")] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the training crop in px. [default: 512]")] = None,
    scale: Annotated[bool | None, typer.Option(help="Random scale 0.5–2. [default: on]")] = None,
    flip: Annotated[bool | None, typer.Option(help="Random mirroring. [default: on]")] = None,
    photometric: Annotated[bool | None, typer.Option(help="Random colours. [default: on]")] = None,
    ema: Annotated[
        bool | None, typer.Option(help="Running mean of the weights, judged too. [default: on]")
    ] = None,
    balanced: Annotated[bool | None, typer.Option(help="Show every class as often. [default: off]")] = None,
    validate_every: Annotated[int | None, typer.Option(help="Iterations. [default: 1000]")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Mixed precision. [default: auto]")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides everything random. [default: 2024]")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Any other setting, see docs/training.md."),
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
    download: Annotated[
        bool, typer.Option("--download", help="Fetch PASCAL VOC 2012 (2 GB) to the folder of --val first.")
    ] = False,
    mask_set: Annotated[str, typer.Option(help="Mask set of the runs, made by `segmint remask`.")] = "",
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out files that cannot be read.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that read and augment.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
) -> None:
    """Train a segmenter on minted images alone, and keep the checkpoint that is best on real ones.

    Writes best.safetensors with its checksum, last.safetensors, log.jsonl, TensorBoard logs and loss.png.
    For several GPUs: accelerate launch --no_python segmint train …
    """
    from segmint.training.fit.train import train as run

    flags = {
        "network.architecture": arch and arch.value,
        "network.backbone": backbone,
        "schedule.iterations": iterations,
        "schedule.batch_size": batch_size,
        "schedule.accumulate": accumulate,
        "optimiser.name": optimiser and optimiser.value,
        "optimiser.learning_rate": lr,
        "optimiser.clip_norm": clip,
        "augment.crop_px": crop,
        "augment.scale": scale,
        "augment.flip": flip,
        "augment.photometric": photometric,
        "schedule.ema": ema,
        "schedule.balanced": balanced,
        "schedule.validate_every": validate_every,
        "schedule.precision": precision and precision.value,
        "schedule.seed": seed,
    }
    chosen = compose(_settings(settings), flags, set_ or [])
    names = split_list(dataset_classes)
    console = Console()
    with watched(console, quiet=quiet or not leads()) as watcher:
        result = run(
            [open_dataset(each, classes=names, mask_set=mask_set) for each in runs],
            open_dataset(downloaded(val) if download else val, classes=names),
            out,
            chosen,
            subset=split_list(subset),
            others=others.value,
            resume=resume,
            skip_broken=skip_broken,
            device=device,
            workers=workers,
            listener=watcher,
            stopping=watcher.stop_asked,
        )
    if leads():
        report(console, result)


def _settings(path: Path | None) -> "TrainSettings":
    from segmint.training.settings import TrainSettings

    return TrainSettings.load(path) if path else TrainSettings()


def compose(base: "TrainSettings", flags: dict[str, Any], assignments: list[str]) -> "TrainSettings":
    """Settings with flags that were given, and then `field=value` assignments, laid over them.

    Raises:
        ConfigError: an assignment has no `=`, a field is unknown, or a value cannot be used.
    """
    changes = {field: value for field, value in flags.items() if value is not None}
    return base.merged(changes | parse_settings(assignments))


def leads() -> bool:
    """Whether this process speaks, of those that train together."""
    return os.environ.get("RANK", "0") == "0"


def report(console: Console, result: "TrainingResult") -> None:
    """Print the result of a training."""
    kind = {"raw": "the weights", "ema": "their running mean"}[result.weights]
    console.print(f"best: mean IoU {percent(result.mean_iou)} of {kind} at iteration {result.iteration}")
    console.print(f"checkpoint: {result.best}", soft_wrap=True, highlight=False)
    console.print(f"sha256: {result.sha256}", soft_wrap=True, highlight=False)
