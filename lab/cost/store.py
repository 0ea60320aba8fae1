"""Cost of the store alone, by the number of items.

One run grows to 1 000, 10 000 and 100 000 items, as `segmint generate` with a larger --count makes it grow.
At each size: what an item cost (all since the last size, and the newest thousand), and what a resume costs:
from the command's first look at the run to its first batch. No model is loaded and images are tiny, so that
neither drawing nor a disk's bandwidth is measured. Every file is flushed as in any run, which costs what the
place takes for it: nothing on a memory file system.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from segmint.artifacts import PromptSpec
from segmint.backbone.base import ModelInfo
from segmint.backbone.fake import FakeBackbone
from segmint.jobs.additions import standing_request
from segmint.jobs.job import Job, run_job
from segmint.jobs.request import Request
from segmint.jobs.resume import adopt, create, find
from segmint.jobs.work import Work
from segmint.listening import Listener, Silent
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe
from segmint.runs import codec, layout
from segmint.runs.files.local import LocalFiles
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft, Role, commit, open_run
from segmint.runs.verify import item_problems
from segmint.vocabulary import Vocabulary

SIZES = (1_000, 10_000, 100_000)
BATCH = 4
TAIL = 1_000
"""Items whose cost is told apart, to see whether it grows with the run."""
CHECKED = 200
"""Items that are verified at each size."""
Seen = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCost:
    """One size. Seconds are CPU; `wall_…` is what a clock on the wall said, on whatever else was running."""

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


def measure(folder: Path, sizes: Sequence[int], seen: Seen = lambda done, total: None) -> Iterator[StoreCost]:
    """Grow one run through the sizes.

    Args:
        folder: where the run is made; must not hold one.
        sizes: numbers of items, growing, 2 at least.
        seen: told now and then how many items are in place, of how many.
    """
    files, vocabulary = LocalFiles(folder), Vocabulary.of(["boat", "tree"])
    recipe = Recipe().model_copy(update={"vocabulary": VocabularySettings.from_vocabulary(vocabulary)})
    info, blobs, done = FakeBackbone().info, _blobs(vocabulary), 0
    for size in sizes:
        plan = [spec_of(index) for index in range(size)]
        present = find(files)
        if present is None:
            create(files, Request(recipe=recipe, plan=plan), info)
        else:
            adopt(present, Request(recipe=recipe, plan=plan))
        first, tail = _Clock(), _Clock()
        end = size - 1  # one item stays missing: there is work to resume
        last = max(done, end - TAIL)
        with first.running():
            _write(files, blobs, plan[done:last], seen, sizes[-1])
        with tail.running():
            _write(files, blobs, plan[last:end], seen, sizes[-1])
        growth = _Growth(
            size=size,
            new=end - done,
            newest=end - last,
            cpu_s=first.cpu_s + tail.cpu_s,
            tail_cpu_s=tail.cpu_s,
            wall_s=first.wall_s + tail.wall_s,
        )
        yield _cost(files, growth, info)
        done = end


class _Clock:
    """CPU and wall seconds of a block."""

    cpu_s = wall_s = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu_s, self.wall_s = time.process_time() - cpu, time.perf_counter() - wall


class _FirstBatch(Exception):  # noqa: N818 - the moment, not a fault
    """The work could begin now."""


class _Idle(Silent):
    """An engine and listener for measuring: stops where the first batch would be drawn."""

    def __init__(self, info: ModelInfo) -> None:
        self.info, self.began_cpu, self.began_wall = info, 0.0, 0.0

    def prepare(self, recipe: Recipe, specs: Sequence[PromptSpec]) -> ModelInfo:
        return self.info

    def run(self, work: Work, listener: Listener) -> None:
        self.began_cpu, self.began_wall = time.process_time(), time.perf_counter()
        raise _FirstBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Growth:
    """A run grown by `new` items to `size` less one, and what that took; `tail` is of the `newest`."""

    size: int
    new: int
    newest: int
    cpu_s: float
    tail_cpu_s: float
    wall_s: float


def _cost(files: LocalFiles, growth: _Growth, info: ModelInfo) -> StoreCost:
    idle, whole = _Idle(info), _Clock()
    at_cpu, at_wall = time.process_time(), time.perf_counter()
    with suppress(_FirstBatch), whole.running():
        run_job(Job(files=files, request=standing_request(open_run(files))), idle, idle)
    run, checking = open_run(files), _Clock()
    sample = [f"{index:06d}" for index in range(0, growth.size - 1, max(1, growth.size // CHECKED))]
    with checking.running():
        problems = [each for item_id in sample for each in item_problems(run, item_id)]
    if problems:
        raise RuntimeError(f"the benchmark's own run is damaged: {problems[0]}")
    resume_s = idle.began_cpu - at_cpu
    return StoreCost(
        items=growth.size,
        place=_place(files),
        item_ms=1000 * growth.cpu_s / growth.new,
        tail_item_ms=1000 * growth.tail_cpu_s / growth.newest,
        items_a_second=growth.new / growth.cpu_s,
        wall_items_a_second=growth.new / growth.wall_s,
        resume_s=resume_s,
        resume_wall_s=idle.began_wall - at_wall,
        finish_s=whole.cpu_s - resume_s,
        verify_item_ms=1000 * checking.cpu_s / len(sample),
        record_bytes=fmean(len(files.read(layout.record(item_id))) for item_id in sample),
    )


def _place(files: LocalFiles) -> str:
    """Kind of file system, such as `ext4` or `tmpfs`."""
    mounts = Path("/proc/mounts")
    if not mounts.is_file():
        return "unknown"
    root, found = files.root.resolve(), ("", "unknown")
    for line in mounts.read_text("utf-8").splitlines():
        mount, kind = line.split()[1:3]
        if root.is_relative_to(mount) and len(mount) > len(found[0]):
            found = (mount, kind)
    return found[1]


def _blobs(vocabulary: Vocabulary) -> Mapping[Role, bytes]:
    """An item's files, which are the same for all."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.repeat(rng.integers(0, 3, (4, 4), dtype=np.uint8), 8, 0), 8, 1)
    return {
        "image": codec.encode_image(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), "jpg"),
        "mask": codec.encode_mask(labels, vocabulary.palette()),
        "agreement": codec.encode_agreement(np.full((32, 32), 2 / 3, np.float32)),
    }


def _write(
    files: LocalFiles, blobs: Mapping[Role, bytes], plan: Sequence[PromptSpec], seen: Seen, total: int
) -> None:
    for at in range(0, len(plan), BATCH):
        drafts = [Draft(record=record_of(each), blobs=blobs) for each in plan[at : at + BATCH]]
        commit(files, drafts)
        if at % (25 * BATCH) == 0:
            seen(drafts[-1].record.index + 1, total)


def record_of(item: PromptSpec, side_px: int = 32) -> ItemRecord:
    """A record of an item that was never made."""
    return ItemRecord(
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
        width_px=side_px,
        height_px=side_px,
        areas={"background": 1 / 3, "boat": 1 / 3, "tree": 1 / 3},
        uncertain_fraction=0.0,
        agreement=2 / 3,
        timings_s={"sampling": 1.0, "capture": 0.1, "masks": 0.3, "writing": 0.01},
    )


def spec_of(index: int) -> PromptSpec:
    """An item of a plan."""
    return PromptSpec(
        item_id=f"{index:06d}",
        index=index,
        prompt=f"a photo of a boat and a tree, number {index}",
        classes=("boat", "tree"),
        label_ids=(1, 2),
        phrases=(("boat",), ("tree",)),
        seed=2024 + index,
    )
