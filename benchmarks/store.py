"""Cost of the store alone, by the number of items: `python -m benchmarks.store`.

One run grows to 1 000, 10 000 and 100 000 items, as `segmint generate` with a larger --count makes it grow.
At each size: what an item cost (all since the last size, and the newest thousand), and what a resume costs:
from the command's first look at the run to its first batch. No model is loaded and images are tiny, so that
neither drawing nor a disk's bandwidth is measured. Every file is flushed as in any run, which costs what the
place at --folder takes for it: nothing on a memory file system.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from segmint.artifacts import PromptSpec
from segmint.backbone.base import ModelInfo
from segmint.backbone.fake import FakeBackbone
from segmint.config import Recipe
from segmint.jobs import start
from segmint.jobs.generate import Job, generate
from segmint.jobs.request import standing_request
from segmint.jobs.work import Work
from segmint.prompts.settings import VocabularySettings
from segmint.runs import codec
from segmint.runs.files import Files, LocalFiles
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft, commit, read_run
from segmint.runs.verify import item_problems
from segmint.vocabulary import Vocabulary

SIZES = (1_000, 10_000, 100_000)
BATCH = 4
TAIL = 1_000
"""Items whose cost is told apart, to see whether it grows with the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One size. Seconds are CPU; `wall_s` is what a clock on the wall said, on whatever else was running."""

    items: int
    item_ms: float
    """CPU milliseconds an item, since the size before."""
    tail_item_ms: float
    """The same over the newest thousand."""
    items_a_second: float
    """By CPU, on one core."""
    place: str
    """The file system that it was written to, as the machine names it."""
    wall_items_a_second: float
    resume_s: float
    """From the first look at the run to its first batch."""
    resume_wall_s: float
    finish_s: float
    """Lists brought up to date at the end."""
    verify_item_ms: float
    record_bytes: float
    """Mean size of a record on disk."""


class Clock:
    """CPU and wall seconds of a block."""

    cpu_s = wall_s = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu_s, self.wall_s = time.process_time() - cpu, time.perf_counter() - wall


class FirstBatch(Exception):  # noqa: N818 - the moment, not a fault
    """The work could begin now."""


class Idle:
    """An engine and listener for measuring: stops where the first batch would be drawn."""

    def __init__(self, info: ModelInfo) -> None:
        self.info, self.began_cpu, self.began_wall = info, 0.0, 0.0

    def prepare(self, recipe: Recipe, specs: Sequence[PromptSpec]) -> ModelInfo:
        return self.info

    def run(self, work: Work, listener: object) -> None:
        self.began_cpu, self.began_wall = time.process_time(), time.perf_counter()
        raise FirstBatch

    def starting(self, todo: int, planned: int) -> None: ...
    def stepped(self, done: int, total: int) -> None: ...
    def finished(self, record: ItemRecord) -> None: ...
    def noted(self, text: str) -> None: ...


def measure(files: Files, sizes: Sequence[int]) -> list[Row]:
    """Grow one run through the sizes."""
    vocabulary = Vocabulary.of(["boat", "tree"])
    recipe = Recipe().model_copy(update={"vocabulary": VocabularySettings.from_vocabulary(vocabulary)})
    info = FakeBackbone().info
    drafts = Drafts(vocabulary)
    rows, done = [], 0
    for size in sizes:
        plan = [spec(index) for index in range(size)]
        present = start.find(files)
        if present is None:
            start.create(files, recipe, plan, info)
        else:
            start.adopt(present, recipe, plan)
        first, tail = Clock(), Clock()
        last = max(done, size - 1 - TAIL)
        with first.running():
            write(files, drafts, plan[done:last])
        with tail.running():
            write(files, drafts, plan[last : size - 1])  # one item stays missing: there is work to resume
        rows.append(_row(files, Growth(size=size, before=done, last=last, first=first, tail=tail), info))
        done = size - 1
    return rows


def _row(files: Files, growth: "Growth", info: ModelInfo) -> Row:
    size, new = growth.size, growth.size - 1 - growth.before
    cpu = growth.first.cpu_s + growth.tail.cpu_s
    wall = growth.first.wall_s + growth.tail.wall_s
    idle, whole = Idle(info), Clock()
    at_cpu, at_wall = time.process_time(), time.perf_counter()
    try:
        with whole.running():
            recipe, plan = standing_request(read_run(files))
            generate(Job(files=files, recipe=recipe, plan=plan), idle, idle)
    except FirstBatch:
        pass
    run, checking = read_run(files), Clock()
    sample = [f"{index:06d}" for index in range(0, size - 1, max(1, size // 200))]
    with checking.running():
        problems = [each for item_id in sample for each in item_problems(run, item_id)]
    if problems:
        raise RuntimeError(f"the benchmark's own run is damaged: {problems[0]}")
    record_bytes = np.mean([len(files.read(start.layout.record(item_id))) for item_id in sample])
    resume_s = idle.began_cpu - at_cpu
    return Row(
        items=size,
        place=_place(files),
        item_ms=1000 * cpu / new,
        tail_item_ms=1000 * growth.tail.cpu_s / (size - 1 - growth.last),
        items_a_second=new / cpu,
        wall_items_a_second=new / wall,
        resume_s=resume_s,
        resume_wall_s=idle.began_wall - at_wall,
        finish_s=whole.cpu_s - resume_s,
        verify_item_ms=1000 * checking.cpu_s / len(sample),
        record_bytes=float(record_bytes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Items `before` to `last` in one stretch, `last` to the end but one in another."""

    size: int
    before: int
    last: int
    first: Clock
    tail: Clock


def _place(files: Files) -> str:
    """Kind of file system, such as `ext4` or `tmpfs`."""
    root = Path(files.address).resolve()
    found = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        mount, kind = line.split()[1:3]
        if root.is_relative_to(mount) and len(mount) > len(found[0]):
            found = (mount, kind)
    return found[1]


class Drafts:
    """Items as the masks' room hands them over, but for their content, which is the same for all."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        rng = np.random.default_rng(0)
        labels = np.repeat(np.repeat(rng.integers(0, 3, (4, 4), dtype=np.uint8), 8, 0), 8, 1)
        self.blobs = {
            "image": codec.encode_image(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), "jpg"),
            "mask": codec.encode_mask(labels, vocabulary.palette()),
            "agreement": codec.encode_agreement(np.full((32, 32), 2 / 3, np.float32)),
        }

    def of(self, item: PromptSpec) -> Draft:
        record = ItemRecord(
            segmint_version="0",
            id=item.item_id,
            index=item.index,
            prompt=item.prompt,
            classes=item.classes,
            label_ids=item.label_ids,
            phrases=item.phrases,
            seed=item.seed,
            model="fake",
            method="pcc",
            width_px=32,
            height_px=32,
            areas={"background": 1 / 3, "boat": 1 / 3, "tree": 1 / 3},
            uncertain_fraction=0.0,
            agreement=2 / 3,
            timings_s={"sampling": 1.0, "capture": 0.1, "masks": 0.3, "writing": 0.01},
        )
        return Draft(record=record, blobs=self.blobs)  # type: ignore[arg-type]


def write(files: Files, drafts: Drafts, plan: Sequence[PromptSpec]) -> None:
    """Put items in place, a batch at a time."""
    for at in range(0, len(plan), BATCH):
        commit(files, [drafts.of(each) for each in plan[at : at + BATCH]])


def spec(index: int) -> PromptSpec:
    return PromptSpec(
        item_id=f"{index:06d}",
        index=index,
        prompt=f"a photo of a boat and a tree, number {index}",
        classes=("boat", "tree"),
        label_ids=(1, 2),
        phrases=(("boat",), ("tree",)),
        seed=2024 + index,
    )


def table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    out = Table(title=f"The store on {rows[0].place}, CPU time on one core")
    columns = ("items", "ms an item", "newest 1 000", "items/s", "resume s", "lists s", "verify ms an item")
    for column in columns:
        out.add_column(column, justify="right")
    for row in rows:
        out.add_row(
            f"{row.items:,}",
            f"{row.item_ms:.2f}",
            f"{row.tail_item_ms:.2f}",
            f"{row.items_a_second:.0f}",
            f"{row.resume_s:.2f}",
            f"{row.finish_s:.2f}",
            f"{row.verify_item_ms:.2f}",
        )
    return out


def main() -> None:
    """Print the table, and write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="growing numbers of items")
    parser.add_argument("--folder", help="where to make the run, which is deleted (default: temporary)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="segmint-store-") as folder:
        rows = measure(LocalFiles(Path(folder) / "run"), arguments.sizes)
    Console(width=110).print(table(rows))
    text = json.dumps([asdict(row) for row in rows], indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
