"""`python -m lab.experiment toybox`: how much a segmenter loses by learning from minted images instead of
exact masks.

One small segmenter, one schedule, one seed; what differs is what it learns from. Each arm is a few of
segmint's own commands; a finished command is not repeated. All arms are judged on the same rendered test
scenes.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.figure import Figure
from rich.console import Console

from segmint.atomic import put_text
from segmint.cli.main import run as run_app
from segmint.cli.options import split_list
from segmint.cli.recipe import carry_out
from segmint.errors import DatasetError
from segmint.training.judge.figures import DPI
from segmint.training.settings import TrainSettings

RENDERED = "rendered"
PCC = "pcc"
DEFAULT_ARMS = (RENDERED, PCC, "segmint", "ovam", "dataset-diffusion", "rendered+pcc", "rendered+segmint")
"""Rendered scenes with exact masks; minted scenes with the masks of a method; both."""

RunCommand = Callable[[Sequence[str]], None]
"""Carries out the words after `segmint`; raises where the command fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the experiment is."""

    images: int
    """Training images of each kind: an arm of both has twice as many."""
    val_images: int
    """Rendered scenes on which the best checkpoint is chosen."""
    test_images: int
    """Rendered scenes on which the arms are judged; no training or validation sees them."""
    iterations: int
    batch_size: int = 16


FULL = Size(images=1000, val_images=200, test_images=500, iterations=1000)
"""About 5 minutes of CPU time an arm for training, and those of minting its images."""
QUICK = Size(images=12, val_images=8, test_images=8, iterations=6, batch_size=4)
"""Shows that everything runs; its figures mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """On what an experiment is made."""

    world: str = "toybox"
    split: str = "test"
    """Whose scenes judge."""
    model: str | None = None
    """What mints; by default the world's model."""
    runs: Path | None = None
    """Folder of the minted runs, where several experiments share them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one arm came to; scores in [0, 1]."""

    arm: str
    mean_iou: float
    iou: Mapping[str, float | None]
    pixel_accuracy: float
    relative: float | None = None
    """Mean IoU as a share of that of the rendered arm."""


def settings_for(size: Size, *, seed: int) -> TrainSettings:
    """The schedule of every arm, chosen on rendered training and validation scenes alone."""
    return TrainSettings().merged(
        {
            "network.architecture": "toynet",
            "network.backbone": "none",
            "augment.crop_px": 128,
            "augment.scale_range": (0.7, 1.4),
            "optimiser.learning_rate": 3e-3,
            "optimiser.backbone_factor": 1.0,
            "optimiser.weight_decay": 1e-2,
            "optimiser.warmup_iterations": 50,
            "optimiser.clip_norm": 1.0,
            "schedule.iterations": size.iterations,
            "schedule.batch_size": size.batch_size,
            "schedule.validate_every": max(size.iterations // 5, 1),
            "schedule.checkpoint_every": max(size.iterations // 10, 1),
            "schedule.ema_decay": 0.99,
            "schedule.precision": "no",
            "schedule.seed": seed,
        }
    )


def run_experiment(
    out: Path,
    size: Size,
    arms: Sequence[str],
    run: RunCommand,
    *,
    seed: int = 2024,
    mint: Sequence[str] = (),
    where: Where = Where(),
) -> tuple[Outcome, ...]:
    """Carry out every arm that is not finished, and write `experiment.json`, `.md` and `.png`.

    Args:
        out: folder of the experiment.
        size: how large it is.
        arms: names: `rendered`, a mask method, or `rendered+METHOD`.
        run: carries out a command.
        seed: of the trainings.
        mint: further words for every `segmint generate`.
        where: on which world, and who judges.

    Raises:
        DatasetError: `out` holds an experiment of another size or seed.
    """
    facts = {"size": asdict(size), "seed": seed, "mint": list(mint)}
    elsewhere = {} if where == Where() else {"where": asdict(where)}
    _claim(out, {**facts, **elsewhere})
    put_text(out / "train.toml", settings_for(size, seed=seed).to_toml())
    outcomes: list[Outcome] = []
    for arm in arms:
        for words in commands(out, size, arm, mint=mint, where=where):
            run(words)
        outcomes.append(_outcome(out, arm, outcomes))
        write_results(out, size, outcomes)
    return tuple(outcomes)


def commands(
    out: Path,
    size: Size,
    arm: str,
    *,
    mint: Sequence[str] = (),
    where: Where = Where(),
) -> list[list[str]]:
    """What is left to do for an arm, as words after `segmint`."""
    if (_evaluation(out, arm) / "metrics.json").is_file():
        return []
    todo: list[list[str]] = []
    sources: list[str] = []
    for part in arm.split("+"):
        if part == RENDERED:
            sources.append(f"{where.world}:train@{size.images}")
        else:
            folder = str((where.runs or out / "runs") / part)
            sources.append(folder)
            minted = ["generate", "--out", folder, "--method", part]
            minted += ["--model", where.model or where.world, "--classes", where.world]
            todo.append([*minted, "--count", str(size.images), "--seed", "2024", "--device", "cpu", *mint])
    training = str(out / "arms" / arm)
    val, test = f"{where.world}:val@{size.val_images}", f"{where.world}:{where.split}@{size.test_images}"
    same = ["--settings", str(out / "train.toml"), "--device", "cpu", "--workers", "0"]
    todo.append(["train", *sources, "--val", val, "--out", training, "--resume", *same])
    todo.append(
        ["evaluate", training, "--data", test, "--out", str(_evaluation(out, arm)), "--device", "cpu"]
    )
    return todo


def write_results(out: Path, size: Size, outcomes: Sequence[Outcome]) -> None:
    """Write what is known so far as JSON, as a Markdown table and as a picture.

    Raises:
        StorageError: the folder cannot be written.
    """
    data = {"size": asdict(size), "arms": [asdict(each) for each in outcomes]}
    put_text(out / "experiment.json", json.dumps(data, indent=2) + "\n")
    put_text(out / "experiment.md", markdown(size, outcomes))
    _draw(out / "experiment.png", size, outcomes)


def markdown(size: Size, outcomes: Sequence[Outcome]) -> str:
    """The table of the arms; scores in percent."""
    classes = list(outcomes[0].iou)
    rows = [
        [each.arm, _percent(each.mean_iou), _ratio(each.relative), _percent(each.pixel_accuracy)]
        + [_percent(each.iou[name]) for name in classes]
        for each in outcomes
    ]
    head = ["learnt from", "mIoU", "of rendered", "pixel accuracy", *classes]
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    said = (
        f"{size.images} training images of each kind, {size.iterations} iterations of {size.batch_size}, "
        f"judged on {size.test_images} rendered scenes. IoU in %.\n\n"
    )
    return said + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _claim(out: Path, facts: Mapping[str, Any]) -> None:
    path = out / "facts.json"
    text = json.dumps(facts, indent=2, sort_keys=True, default=str) + "\n"
    if path.is_file() and path.read_text("utf-8") != text:
        raise DatasetError(
            f"{out} holds an experiment of another size, seed or minting; choose another --out"
        )
    put_text(path, text)


def _evaluation(out: Path, arm: str) -> Path:
    return out / "evaluations" / arm


def _outcome(out: Path, arm: str, before: Sequence[Outcome]) -> Outcome:
    found = json.loads((_evaluation(out, arm) / "metrics.json").read_text("utf-8"))
    base = next((each.mean_iou for each in before if each.arm == RENDERED), None)
    mean_iou = float(found["mean_iou"])
    if arm == RENDERED:
        base = mean_iou
    return Outcome(
        arm=arm,
        mean_iou=mean_iou,
        iou={name: each["iou"] for name, each in found["classes"].items()},
        pixel_accuracy=float(found["pixel_accuracy"]),
        relative=mean_iou / base if base else None,
    )


def _draw(path: Path, size: Size, outcomes: Sequence[Outcome]) -> None:
    figure = Figure(figsize=(7.5, 0.7 + 0.6 * len(outcomes)), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    values = [100 * each.mean_iou for each in outcomes]
    bars = axes.barh([each.arm for each in outcomes], values, color="#1f4e8c")
    said = [f"{value:.1f}   ({_ratio(each.relative)})" for value, each in zip(values, outcomes, strict=True)]
    axes.bar_label(bars, said, padding=3)
    axes.invert_yaxis()
    axes.set_xlim(0, 118)
    axes.set_xlabel(f"mean IoU (%) on {size.test_images} rendered scenes (share of the rendered arm)")
    figure.savefig(path)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


app = typer.Typer(no_args_is_help=True, help="Experiments of the project, each reproducible by one command.")


@app.callback()
def _experiments() -> None:
    """Keeps `toybox` a word of its own while it is the only experiment."""


@app.command()
def toybox(
    out: Annotated[Path, typer.Option(help="Folder of the experiment.")],
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A size that only shows that it runs.")] = False,
    arms: Annotated[
        str | None,
        typer.Option(
            help="Which: rendered, a mask method, or rendered+METHOD. "
            "[default: rendered, pcc, segmint, ovam, dataset-diffusion, rendered+pcc, rendered+segmint]"
        ),
    ] = None,
    images: Annotated[int | None, typer.Option(min=4, help="Training images of each kind.")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Updates of the weights.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the trainings.")] = 2024,
    mint: Annotated[
        str, typer.Option(help='Further flags of every generate: "--steps 20 --batch-size 8".')
    ] = "",
    plan: Annotated[bool, typer.Option("--plan", help="Print the commands that are left, and stop.")] = False,
) -> None:
    """Train one small segmenter on exact, minted and mixed data, and judge all on the same rendered scenes.

    Interrupted, the same command goes on. Writes experiment.json, experiment.md and experiment.png to --out.
    """
    size = QUICK if quick else FULL
    size = replace(size, images=images or size.images, iterations=iterations or size.iterations)
    chosen = tuple(split_list(arms) or DEFAULT_ARMS)
    console = Console()
    if plan:
        for arm in chosen:
            for words in commands(out, size, arm, mint=shlex.split(mint)):
                console.print(f"segmint {shlex.join(words)}", soft_wrap=True, highlight=False, markup=False)
        return
    outcomes = run_experiment(out, size, chosen, carry_out, seed=seed, mint=shlex.split(mint))
    console.print(markdown(size, outcomes), highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    run_app(commands=app, name="python -m lab.experiment")
