"""`segmint bench`: what segmint costs on this machine."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from segmint.cli.lists import one_of, parts, whole_numbers

if TYPE_CHECKING:
    from segmint.backbone.diffusion import DiffusersBackbone
    from segmint.cost.masks import MaskTime
    from segmint.cost.overhead import Overhead
    from segmint.cost.store import StoreCost
    from segmint.cost.training import Throughput

app = typer.Typer(
    no_args_is_help=True,
    help="Measure what segmint costs on this machine: time, memory, the run store, training.",
)

DTYPES = ("auto", "float32", "float16", "bfloat16")
BATCHES_ON_GPU = 4
"""Of one turn: the masks of the last batch overlap no other, which counts less among several."""
MEMORY_COLUMNS = {
    "called": (
        "UNet calls at full size, by shapes, float16",
        *("model", "batch", "calls", "plain_mb", "captured_mb", "extra_mb_an_image", "decode_mb"),
    ),
    "masks": ("Making one mask", "shape", "input_mb", "peak_mb"),
    "drawn": (
        "Whole images, beyond the weights",
        *("model", "steps", "batch", "plain_mb", "captured_mb", "extra_mb_an_image"),
    ),
}
"""Title and columns of the tables of `bench memory`."""
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
        help="toybox, a hub id, a local folder; or sd21-random, sdxl-random: full size, random weights.",
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
    from segmint.config import Recipe
    from segmint.cost.overhead import measure

    changes = {"sampling.steps": steps, "masks.method": method}
    recipe = Recipe().merged({name: value for name, value in changes.items() if value is not None})
    with _one_thread(), _bar(quiet, "turns") as seen:
        backbone = _backbone(model, device, dtype)
        several = BATCHES_ON_GPU if backbone.info.device.startswith("cuda") else 1
        found = measure(
            backbone, recipe, turns=turns, batch=batch_size, batches=batches or several, seen=seen
        )
    _tell(_overhead_table(found), [found], out)


@app.command()
def masks(
    *,
    shapes: ShapesOption = "sd21, sdxl, toybox",
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of each shape.")] = 8,
    out: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """CPU time of each stage of mask-making, beside a plain scikit-learn statement of the same profile.

    Made-up scenes of each model's sizes; no model is loaded. Needs the extra `bench`.
    """
    with _one_thread():
        from segmint.cost.masks import measure
        from segmint.cost.synthetic_scene import SHAPES

        found = []
        for name in parts(shapes, "--shapes", tuple(SHAPES)):
            with _bar(quiet, SHAPES[name].name) as seen:
                found.append(measure(SHAPES[name], scenes, seen))
    _tell(_masks_table(found), found, out)


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
    one mask of each. Needs the extra `bench`.
    """
    from segmint.cost import memory as cost
    from segmint.cost.random_models import FULL_SIZE
    from segmint.cost.synthetic_scene import SHAPES

    names = parts(shapes, "--shapes", tuple(SHAPES))
    step_counts = whole_numbers(steps, "--steps", least=1)
    batch_sizes = whole_numbers(batches, "--batches", least=1)
    calls = [(batch, 1) for batch in batch_sizes] + [(batch_sizes[0], 3)]
    found: dict[str, list[Any]] = {"called": [], "masks": [], "drawn": []}
    with _one_thread(), _bar(quiet, "models") as seen:
        for done, name in enumerate(names):
            seen(done, len(names) + 1)
            if (full_size := f"{name}-random") in FULL_SIZE:
                found["called"] += cost.called(full_size, calls)
            found["masks"].append(cost.masks(SHAPES[name]))
        seen(len(names), len(names) + 1)
        found["drawn"] += cost.drawn(_backbone(model, device, dtype), step_counts, batch_sizes)
    for kind, rows in found.items():
        if rows:
            Console().print(_memory_table(kind, rows))
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

    from segmint.cost.store import measure
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
    _tell(_store_table(found), found, out)


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

    from segmint.backbone.loading import find_device
    from segmint.cost.training import CASES, measure

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
    _tell(_training_table(found), found, out)


def _backbone(model: str, device: str, dtype: str) -> "DiffusersBackbone":
    from segmint.backbone.loading import find_device, load
    from segmint.backbone.settings import ModelSettings
    from segmint.cost.random_models import FULL_SIZE, random_backbone

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
        raise MissingDependency("this benchmark needs scikit-learn: pip install 'segmint[bench]'") from None
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@contextmanager
def _bar(quiet: bool, name: str) -> Iterator[Seen]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True) as progress:
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


def _overhead_table(found: "Overhead") -> Table:
    title = (
        f"{found.model}, {found.device} {found.dtype}, {found.steps} steps, batches of {found.batch}; "
        f"images {'equal' if found.equal_images else 'NOT EQUAL'}"
    )
    table = Table("", "s an image", "× plain (range)", title=title)
    table.add_row("plain diffusers", f"{found.plain_s:.3f}", "1")
    table.add_row("segmint, images alone", f"{found.drawn_s:.3f}", f"{found.drawn_ratio:.3f}")
    spread = f"{found.minted_ratio_low:.3f}–{found.minted_ratio_high:.3f}"
    ratio = f"{found.minted_ratio:.3f} ({spread})"
    table.add_row(f"with masks ({found.method})", f"{found.minted_s:.3f}", ratio)
    return table


def _masks_table(rows: "Sequence[MaskTime]") -> Table:
    from segmint.cost.masks import METHOD, STAGES

    table = Table(title=f"Masks by {METHOD}, CPU seconds an image, one thread")
    for column in ("shape", "stage", "plain", "ours", "ratio (range)"):
        table.add_column(column, justify="left" if column in ("shape", "stage") else "right")
    for row in rows:
        for stage in STAGES:
            theirs, own = row.plain_s[stage], row.ours_s[stage]
            shown = row.shape if stage == STAGES[0] else ""
            table.add_row(shown, stage, f"{theirs:.3f}", f"{own:.3f}", f"{own / theirs:.2f}")
        sums = [f"{sum(each.values()):.3f}" for each in (row.plain_s, row.ours_s)]
        ratio = f"{row.ratio:.2f} ({row.ratio_low:.2f}–{row.ratio_high:.2f})"
        table.add_row("", "all", *sums, ratio, style="bold", end_section=True)
    same = (
        f"{row.identical_scenes} of {row.scenes} masks identical ({100 * row.equal_pixels:.3f} % of pixels)"
        for row in rows
    )
    table.caption = "\n".join(same)
    return table


def _store_table(rows: "Sequence[StoreCost]") -> Table:
    table = Table(title=f"The store on {rows[0].place}, CPU time on one core")
    columns = ("items", "ms an item", "newest 1 000", "items/s", "resume s", "lists s", "verify ms an item")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            f"{row.items:,}",
            f"{row.item_ms:.2f}",
            f"{row.tail_item_ms:.2f}",
            f"{row.items_a_second:.0f}",
            f"{row.resume_s:.2f}",
            f"{row.finish_s:.2f}",
            f"{row.verify_item_ms:.2f}",
        )
    return table


def _training_table(rows: "Sequence[Throughput]") -> Table:
    unit = "CPU second, one thread" if rows[0].device == "cpu" else f"second, {rows[0].device}"
    table = Table(title=f"images a {unit}")
    for heading in (
        "network",
        "px",
        "batch",
        "loader alone",
        "network alone",
        "training",
        "of network alone",
    ):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for row in rows:
        cells = [row.architecture, str(row.side_px), str(row.batch_size), f"{row.loader:.1f}"]
        if row.network is not None and row.fed is not None:
            cells += [f"{row.network:.2f}", f"{row.fed:.2f}", f"{row.fed / row.network:.2f}"]
        table.add_row(*cells)
    return table


def _memory_table(kind: str, rows: Sequence[Any]) -> Table:
    """The columns that are read; the file of --out has all."""
    title, *names = MEMORY_COLUMNS[kind]
    table = Table(title=title)
    for name in names:
        heading = name.replace("_mb_an_image", ", MB an image").replace("_mb", ", MB").replace("_", " ")
        table.add_column(heading, justify="left" if name in ("model", "shape") else "right")
    for row in rows:
        cells = [getattr(row, name) for name in names]
        table.add_row(*(f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells))
    return table
