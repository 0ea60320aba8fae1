"""`python -m lab.throughput`: how fast every engine mints, and how long drawing waits for masks.

The model is a stand-in that sleeps for as long as one chooses; masks, encoding and writing are real, of the
attention and the image of SD 2.1. `--simulate` takes what an item costs and tells what larger machines make.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from lab.simulator import Item, simulate
from lab.stand_in import CLASSES, StandIn, stand_in
from segmint.cli.main import run
from segmint.listening import Pace, Silent

if TYPE_CHECKING:
    from segmint.jobs.job import Engine
    from segmint.jobs.work import Work
    from segmint.runs.records import ItemRecord

app = typer.Typer(help="How fast every engine mints, and how long drawing waits for masks.")

BATCH = 2
BUSY = 0.9
"""Share of their time up to which mask workers are enough: drawing is not even enough for more."""
GPUS, CORES = (1, 2, 4, 8), (4, 8, 16, 32, 64)
SPARE = 3.0
"""Drawing takes so many times as long as a lone mask does here, unless `--drawing-s` says otherwise: then one
mask worker is enough, and what still waits is the engine's own doing.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One engine at work."""

    engine: str
    """local, devices (two workers) or ray (two workers)."""
    mask_workers: int
    """Beside each worker's model."""
    images_per_s: float
    """While batches were drawn or put in place, whichever took longer; without loading and starting."""
    waiting: float
    """Share of the drawing's time that it stood still for masks."""
    enough_mask_workers: bool
    """Whether the mask workers could make masks as fast as images were drawn."""
    drawing_s: float
    """Of one image, as it was chosen."""
    mask_s: float
    """Seconds by the clock that one mask worker took for an item."""


@dataclass(slots=True)
class Watch(Silent):
    """Notes when items were in place, and what the engine says of its stages."""

    moments: list[float]
    pace: Pace | None = None

    def finished(self, what: "ItemRecord") -> None:
        """A moment."""
        self.moments.append(time.perf_counter())

    def paced(self, pace: Pace) -> None:
        """The stages."""
        self.pace = pace


@app.command()
def measure(
    *,
    shape: Annotated[str, typer.Option(help="Whose sizes: sd21, sdxl, toybox.")] = "sd21",
    drawing_s: Annotated[
        float | None, typer.Option(min=0.0, help="Of an image. [default: three times what its mask takes]")
    ] = None,
    engines: Annotated[str, typer.Option(help="Of local, devices, ray.")] = "local, devices, ray",
    mask_workers: Annotated[str, typer.Option(help="Beside each model.")] = "1, 2",
    images: Annotated[int, typer.Option(min=4, help="For each worker.")] = 12,
    simulated: Annotated[
        bool, typer.Option("--simulate", help="Larger machines too, by what an item costs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Mint by every engine with every number of mask workers."""
    from segmint.cli.options import parts, whole_numbers

    cost_s = mask_cost_s(shape)
    chosen = SPARE * cost_s["clock"] if drawing_s is None else drawing_s
    names = parts(engines, "--engines", ("local", "devices", "ray"))
    rows = [
        one(name, count, shape=shape, drawing_s=chosen, images=images)
        for name in names
        for count in whole_numbers(mask_workers, "--mask-workers", least=1)
    ]
    item = Item(drawing_s=max(chosen, 1e-3), mask_s=cost_s["cpu"])
    machines = [asdict(simulate(item, gpus=g, cores=c)) for g in GPUS for c in CORES if c > g]
    if as_json:
        found = {"rows": [asdict(row) for row in rows], "mask_cpu_s": cost_s["cpu"]}
        typer.echo(json.dumps({**found, "simulated": machines} if simulated else found, indent=1))
        return
    _show(f"{SHAPE_TITLE[shape]}, drawing {chosen:.2f} s an image", [asdict(row) for row in rows])
    if simulated:
        _show(f"Simulated: {item.drawing_s:.2f} s of a GPU, {item.mask_s:.2f} s of a core an image", machines)


def mask_cost_s(shape: str) -> dict[str, float]:
    """CPU seconds and seconds by the clock of one item's second stage, after one that warms up."""
    from segmint.jobs.work import draw, make

    work, backbone = _work(Path(), 2, 2), StandIn(shape=shape, drawing_s=0.0)
    for seen in draw(work.batches[0], work, backbone, Silent()):
        start = time.process_time(), time.perf_counter()
        make(seen, work, backbone.info)
    return {"cpu": time.process_time() - start[0], "clock": time.perf_counter() - start[1]}


def one(name: str, mask_workers: int, *, shape: str, drawing_s: float, images: int) -> Row:
    """One engine at work on a run of its own, which is deleted."""
    engine, workers = _engine(name, mask_workers, shape, drawing_s)
    watch = Watch(moments=[])
    with tempfile.TemporaryDirectory(prefix="segmint-throughput-") as folder:
        engine.run(_work(Path(folder), images * workers, BATCH), watch)
    pace = watch.pace or Pace()
    drawn_s = (pace.drawing_s + pace.waiting_s) / workers
    placed_s = watch.moments[-1] - watch.moments[0]
    return Row(
        engine=name,
        mask_workers=mask_workers,
        images_per_s=len(watch.moments) / max(drawn_s, placed_s),
        waiting=pace.waiting,
        enough_mask_workers=pace.masks_s <= BUSY * mask_workers * pace.drawing_s,
        drawing_s=drawing_s,
        mask_s=pace.masks_s / len(watch.moments),
    )


def _engine(name: str, mask_workers: int, shape: str, drawing_s: float) -> "tuple[Engine, int]":
    from segmint.jobs.engines.local import LocalEngine

    load = partial(stand_in, shape=shape, drawing_s=drawing_s)
    if name == "local":
        return LocalEngine(load=load, mask_workers=mask_workers), 1
    if name == "devices":
        from segmint.jobs.engines.spawned import SpawnEngine

        return SpawnEngine(load=load, devices=["cpu", "cpu"], mask_workers=mask_workers), 2
    import ray

    from segmint.jobs.engines.ray import RayCluster, RayEngine

    if not ray.is_initialized():  # CPUs by name: workers here mostly sleep
        ray.init(num_cpus=16, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    return RayEngine(load=load, cluster=RayCluster(workers=2, mask_workers=mask_workers)), 2


def _work(folder: Path, count: int, batch: int) -> "Work":
    from segmint.jobs.request import request
    from segmint.jobs.work import Work, batches_to_do
    from segmint.runs.files.local import LocalFiles

    asked = request(classes=CLASSES, changes={"model.id": "fake"}, count=count)
    batches = batches_to_do(asked.plan, set(), batch)
    return Work(files=LocalFiles(folder), recipe=asked.recipe, batches=batches)


SHAPE_TITLE = {"sd21": "SD 2.1's sizes", "sdxl": "SDXL's sizes", "toybox": "the toybox's sizes"}


def _show(title: str, rows: list[dict[str, object]]) -> None:
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name.replace("_", " "))
    for row in rows:
        table.add_row(*_cells(row))
    Console().print(table)


def _cells(row: dict[str, object]) -> Iterator[str]:
    for name, value in row.items():
        if name == "waiting":
            yield f"{value:.1%}"
        else:
            yield f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    run(commands=app, name="python -m lab.throughput")
