"""`python -m lab.bench`: what segmint costs on this machine."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lab import bench_tables as tables
from segmint.cli.main import run
from segmint.cli.options import one_of, parts, whole_numbers
from segmint.cli.watching import counter

if TYPE_CHECKING:
    from segmint.backbone.diffusion import DiffusersBackbone

app = typer.Typer(
    no_args_is_help=True,
    help="Measure what segmint costs on this machine: time, memory, the run store, training.",
)

DTYPES = ("auto", "float32", "float16", "bfloat16")
BATCHES_ON_GPU = 4
"""Of one turn: the masks of the last batch overlap no other, which counts less among several."""
Seen = Callable[[int, int], None]

JsonOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the figures here too, as JSON.")
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="ID",
        help="toybox, a hub id, a local folder; or, of full size with random weights, sd21-random, "
        "sdxl-random, sd35-medium-random.",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, mps.")]
DtypeOption = Annotated[str, typer.Option("--dtype", help="auto, float32, float16, bfloat16.")]
ShapesOption = Annotated[str, typer.Option("--shapes", help="Of which models: sd21, sdxl, toybox.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the table.")]


@app.command()
def overhead(
    *,
    model: ModelOption = "toybox",
    method: Annotated[str, typer.Option(help="Whose capture and masks.")] = "segmint",
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps; default: the model's.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", min=1, help="Images together.")] = 4,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Batches of a turn. [default: 1; on a GPU 4]")
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    out: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Time of capture and masks beside plain diffusers: same prompts, seeds, batch, steps, dtype, by turns.

    CPU seconds on one thread; on a GPU, seconds of the clock, masks of one batch beside the next.
    """
    from lab.cost.overhead import measure
    from segmint.recipe import Recipe

    changes = {"sampling.steps": steps, "masks.method": method}
    recipe = Recipe().merged({name: value for name, value in changes.items() if value is not None})
    with _one_thread(), _bar(quiet, "turns") as seen:
        backbone = _backbone(model, device, dtype)
        several = BATCHES_ON_GPU if backbone.info.device.startswith("cuda") else 1
        found = measure(
            backbone, recipe, turns=turns, batch=batch_size, batches=batches or several, seen=seen
        )
    _tell(tables.overhead_table(found), [found], out)


@app.command()
def masks(
    *,
    shapes: ShapesOption = "sd21, sdxl, toybox",
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of each shape.")] = 8,
    out: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """CPU time of each stage of mask-making, beside a plain scikit-learn statement of the same profile.

    Made-up scenes of each model's sizes; no model is loaded. Needs the extra `dev`.
    """
    with _one_thread():
        from lab.cost.masks import measure
        from lab.cost.synthetic_scene import SHAPES

        found = []
        for name in parts(shapes, "--shapes", tuple(SHAPES)):
            with _bar(quiet, SHAPES[name].name) as seen:
                found.append(measure(SHAPES[name], scenes, seen))
    _tell(tables.masks_table(found), found, out)


@app.command()
def methods(
    *,
    shapes: Annotated[
        str, typer.Option("--shapes", help="Of which models: sd21, sdxl, flux, toybox.")
    ] = "sd21, sdxl, flux",
    only: Annotated[str | None, typer.Option(help="Methods; default: all.")] = None,
    classes: Annotated[str, typer.Option(help="Numbers of classes.")] = "1, 2, 5, 20, 80, 254",
    repeats: Annotated[int, typer.Option(min=1, help="Of each.")] = 3,
    out: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """CPU time and peak memory of every mask method by the number of classes; no model is loaded."""
    with _one_thread():
        from lab.cost.methods import measure
        from lab.cost.synthetic_scene import SHAPES
        from segmint.masks.methods import METHODS

        names = parts(only, "--only", tuple(METHODS)) if only else list(METHODS)
        counts, found = whole_numbers(classes, "--classes", least=1), []
        for name in parts(shapes, "--shapes", tuple(SHAPES)):
            with _bar(quiet, SHAPES[name].name) as seen:
                found += measure(SHAPES[name], names, counts, repeats=repeats, seen=seen)
    _tell(tables.methods_table(found), found, out)


@app.command()
def transformers(
    *,
    shapes: Annotated[str, typer.Option("--shapes", help="Of which models.")] = "flux1-schnell, sd3.5-medium",
    side: Annotated[int, typer.Option(min=4, help="Of the grid of image tokens; 64 is 1024 px.")] = 64,
    turns: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 3,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    out: JsonOption = None,
) -> None:
    """CPU time of one call of a transformer of full width and few blocks, plain and read.

    And of an image of the true model, composed of it: capture and masks, with and without denoising evidence.
    """
    import torch

    from lab.cost.transformers import MODELS, measure

    names = parts(shapes, "--shapes", tuple(MODELS))
    precision = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    one_of(dtype, "--dtype", tuple(precision))
    with _one_thread():
        found = [measure(each, side=side, turns=turns, dtype=precision[dtype]) for each in names]
    Console().print(tables.transformers_table(found))
    _tell(tables.images_table(found), found, out)


@app.command()
def export(
    *,
    formats: Annotated[str, typer.Option(help="Formats of `segmint export`.")] = "coco, coco-rle, yolo, voc",
    items: Annotated[int, typer.Option(min=1, help="Of the run that is exported.")] = 200,
    out: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Images a second that an export writes, from a run to the finished folder; no model is loaded."""
    import tempfile

    from lab.cost.export import measure
    from segmint.export.formats import FORMATS

    names = parts(formats, "--formats", tuple(FORMATS))
    with tempfile.TemporaryDirectory(prefix="segmint-export-") as place, _bar(quiet, "formats") as seen:
        found = measure(Path(place), names, items=items, seen=seen)
    _tell(tables.export_table(found), found, out)


@app.command()
def memory(
    *,
    model: ModelOption = "toybox",
    steps: Annotated[str, typer.Option(help="Numbers of denoising steps.")] = "2, 10, 20",
    batches: Annotated[str, typer.Option(help="Numbers of images together.")] = "1, 2, 4",
    shapes: ShapesOption = "sd21, sdxl, toybox",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    out: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Peak memory beyond the weights with and without capture, by number of steps and by batch.

    Whole images of --model; UNet calls and decoding of SD 2.1 and SDXL at full size by their shapes alone;
    one mask of each. Needs the extra `dev`.
    """
    from lab.cost.random_models import FULL_SIZE
    from lab.cost.synthetic_scene import SHAPES

    names = parts(shapes, "--shapes", tuple(SHAPES))
    step_counts = whole_numbers(steps, "--steps", least=1)
    batch_sizes = whole_numbers(batches, "--batches", least=1)
    calls = [(batch, 1) for batch in batch_sizes] + [(batch_sizes[0], 3)]
    found: dict[str, list[Any]] = {"called": [], "masks": [], "drawn": []}
    with _one_thread(), _bar(quiet, "models") as seen:
        from lab.cost import memory as cost

        backbone = _backbone(model, device, dtype)
        for done, name in enumerate(names):
            seen(done, len(names) + 1)
            if (full_size := f"{name}-random") in FULL_SIZE:
                found["called"] += cost.called(full_size, calls)
            found["masks"].append(cost.masks(SHAPES[name]))
        seen(len(names), len(names) + 1)
        found["drawn"] += cost.drawn(backbone, step_counts, batch_sizes)
    for kind, rows in found.items():
        if rows:
            Console().print(tables.memory_table(kind, rows))
    _save({kind: [asdict(row) for row in rows] for kind, rows in found.items()}, out)


@app.command()
def store(
    *,
    sizes: Annotated[str, typer.Option(help="Growing numbers of items.")] = "1000, 10000, 100000",
    folder: Annotated[
        Path | None, typer.Option(help="Where the run is made, and deleted. [default: a temporary place]")
    ] = None,
    out: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Cost of an item in a run, and of resuming it, by the number of items; no model is loaded."""
    import tempfile

    from lab.cost.store import measure
    from segmint.errors import ConfigError, StorageError

    counts = whole_numbers(sizes, "--sizes", least=2)
    if counts != sorted(counts):
        raise ConfigError(f"--sizes {sizes!r}; expected growing numbers, for example 1000,10000")
    if folder is not None and not folder.is_dir():
        raise StorageError(f"--folder {folder} is no folder; make it, or name another")
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="segmint-store-") as place,
        _bar(quiet, "items") as seen,
    ):
        found = list(measure(Path(place) / "run", counts, seen))
    _tell(tables.store_table(found), found, out)


@app.command()
def training(
    *,
    only: Annotated[str | None, typer.Option(help="Networks; default: all that segmint trains.")] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Loader processes; on a CPU 0, so that their time is counted.")
    ] = 0,
    iterations: Annotated[int, typer.Option(min=1, help="Updates that are measured.")] = 6,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps.")] = "cpu",
    out: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Images a second of the loader alone, of the network alone, and of training: does loading limit it?

    On a CPU only the toybox's small network is trained; of DeepLabv3 the loader is measured.
    """
    import tempfile

    import torch

    from lab.cost.training import CASES, measure
    from segmint.devices import find_device

    chosen = parts(only, "--only", tuple(CASES)) if only else list(CASES)
    place = str(find_device(device))
    if place == "cpu":
        torch.set_num_threads(1)
    found = []
    with tempfile.TemporaryDirectory() as folder, _bar(quiet, "networks") as seen:
        for name in chosen:
            case = CASES[name]
            found.append(measure(case, Path(folder), device=place, workers=workers, iterations=iterations))
            seen(len(found), len(chosen))
    _tell(tables.training_table(found), found, out)


def _backbone(model: str, device: str, dtype: str) -> "DiffusersBackbone":
    from lab.cost.random_models import FULL_SIZE, random_backbone
    from segmint.backbone.loading import load
    from segmint.backbone.settings import ModelSettings
    from segmint.devices import find_device

    chosen: Any = one_of(dtype, "--dtype", DTYPES)
    if model not in FULL_SIZE:
        return load(ModelSettings(id=model, dtype=chosen), device)
    place = str(find_device(device))
    usual = "float32" if place == "cpu" else "float16"
    return random_backbone(model, place, usual if chosen == "auto" else chosen)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One numeric thread, so that CPU seconds are those of one core."""
    import torch

    from segmint.errors import MissingDependency

    try:
        import sklearn  # noqa: F401 - what the masks are measured against
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise MissingDependency("this benchmark needs scikit-learn: pip install 'segmint[dev]'") from None
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@contextmanager
def _bar(quiet: bool, name: str) -> Iterator[Seen]:
    with counter(quiet=quiet) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _tell(table: Table, rows: Sequence[Any], out: Path | None) -> None:
    Console().print(table)
    _save([asdict(row) for row in rows], out)


def _save(figures: Any, out: Path | None) -> None:
    from segmint.errors import StorageError

    if out is None:
        return
    try:
        out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}") from None


if __name__ == "__main__":
    run(commands=app, name="python -m lab.bench")
