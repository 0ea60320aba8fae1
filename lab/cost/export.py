"""Images a second that each format's export writes: everything from reading a run to the finished folder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.cost.store import record_of, spec_of
from lab.cost.synthetic_scene import picture_of, shapes_of
from segmint.backbone.fake import FakeBackbone
from segmint.export.source import open_source
from segmint.export.write import export
from segmint.jobs.request import Request
from segmint.jobs.resume import create
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe
from segmint.runs import codec
from segmint.runs.files.local import LocalFiles
from segmint.runs.store import Draft, Role, commit, open_run
from segmint.vocabulary import Vocabulary

SIDE_PX = 512
SCENES = 8
"""Different pictures; the items of a run show them in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCost:
    """One format."""

    format: str
    items: int
    side_px: int
    images_a_cpu_second: float
    images_a_second: float
    """By the clock, disk included."""


def measure(
    folder: Path,
    formats: Sequence[str],
    *,
    items: int,
    seen: Callable[[int, int], None] = lambda done, total: None,
) -> list[ExportCost]:
    """Every format once, after a few items that only warm up, of 512 px images with a handful of regions.

    Args:
        folder: where run and exports are made; empty.
        formats: names.
        items: of the run.
        seen: told after each, of how many.
    """
    _mint(folder / "run", items)
    _mint(folder / "few", SCENES)
    found = []
    for name in formats:
        export(open_source(open_run(str(folder / "few"))), name, folder / f"few-{name}")
        source = open_source(open_run(str(folder / "run")))
        wall, cpu = time.perf_counter(), time.process_time()
        export(source, name, folder / name)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        found.append(
            ExportCost(
                format=name,
                items=items,
                side_px=SIDE_PX,
                images_a_cpu_second=items / cpu,
                images_a_second=items / wall,
            )
        )
        seen(len(found), len(formats))
    return found


def _mint(folder: Path, items: int) -> None:
    """A run as minting would have left it, of drawn scenes."""
    files, vocabulary = LocalFiles(folder), Vocabulary.of(["boat", "tree"])
    recipe = Recipe().model_copy(update={"vocabulary": VocabularySettings.from_vocabulary(vocabulary)})
    plan = [spec_of(index) for index in range(items)]
    create(files, Request(recipe=recipe, plan=plan), FakeBackbone().info)
    blobs = [_blobs(seed, vocabulary) for seed in range(min(items, SCENES))]
    drafts = [
        Draft(record=record_of(each, SIDE_PX), blobs=blobs[at % SCENES]) for at, each in enumerate(plan)
    ]
    commit(files, drafts)


def _blobs(seed: int, vocabulary: Vocabulary) -> dict[Role, bytes]:
    rng = np.random.default_rng(seed)
    shapes = shapes_of(rng, SIDE_PX, 5)
    labels = np.where(shapes < 2, 0, 1 + shapes // 2 % 2).astype(np.uint8)
    return {
        "image": codec.encode_image(picture_of(rng, shapes), "jpg"),
        "mask": codec.encode_mask(labels, vocabulary.palette()),
        "agreement": codec.encode_agreement(np.full(labels.shape, 2 / 3, np.float32)),
    }
