"""The benchmark's course: one look an image, every method on it, the same again for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from segmint.artifacts import Mask, PromptSpec
from segmint.backbone.base import Outcome
from segmint.backbone.fake import FakeBackbone, draw
from segmint.benchmark import run, samples
from segmint.benchmark.cases import case_samples
from segmint.benchmark.rows import Row
from segmint.benchmark.samples import Sample
from segmint.benchmark.tally import tally
from segmint.errors import ConfigError
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe
from segmint.scores import score
from segmint.toybox.worlds import WORLDS
from segmint.vocabulary import Vocabulary

TOWN = Vocabulary.of(["boat", "tree"])
RECIPE = Recipe(vocabulary=VocabularySettings.from_vocabulary(TOWN))
METHODS = ["pcc", "pcc-published"]


@dataclass
class Counting:
    """A fake backbone that counts how often it is asked."""

    inner: FakeBackbone = field(default_factory=FakeBackbone)
    asked: int = 0

    @property
    def info(self) -> Any:
        return self.inner.info

    def check(self, *args: Any) -> None:
        self.inner.check(*args)

    def observe(self, *args: Any) -> list[Outcome]:
        self.asked += 1
        return self.inner.observe(*args)

    def generate(self, specs: Sequence[PromptSpec], *args: Any) -> list[Outcome]:
        self.asked += 1
        return self.inner.generate(specs, *args)


def spec(seed: int) -> PromptSpec:
    return PromptSpec(
        item_id=str(seed),
        index=seed,
        prompt="a boat and a tree",
        classes=TOWN.names,
        label_ids=(1, 2),
        phrases=(("boat",), ("tree",)),
        seed=seed,
    )


def sample(seed: int) -> Sample:
    image = draw(spec(seed), 64, 64)
    truth = (image.astype(int).sum(-1) > 380).astype(np.uint8)
    return Sample(item_id=str(seed), image=image, truth=truth, classes=TOWN.names)


def scored(backbone: Counting, seed: int = 0) -> tuple[list[Row], dict[str, list[Mask]]]:
    kept: dict[str, list[Mask]] = {}

    def keep(_: run.Looked, masks: dict[str, Mask]) -> None:
        for name, mask in masks.items():
            kept.setdefault(name, []).append(mask)

    capture = run.union_capture(METHODS, RECIPE)
    cases = run.look([sample(1), sample(2)], backbone, RECIPE, capture, seed=seed)
    return run.rows_of(cases, METHODS, RECIPE, mode="label", seed=seed, keep=keep), kept


def test_each_image_is_looked_at_once_and_each_method_scored() -> None:
    backbone = Counting()
    rows, kept = scored(backbone)
    assert backbone.asked == 2
    assert [(row.method, row.mode, row.images) for row in rows] == [(name, "label", 2) for name in METHODS]
    for row in rows:
        found = [tally(sample(n + 1).truth, mask, label_count=3) for n, mask in enumerate(kept[row.method])]
        scores = score((found[0] + found[1]).confusion, label_names=TOWN.label_names)
        assert row.miou == pytest.approx(100 * scores.mean_iou)
        assert row.cpu_s_per_image > 0
        assert row.peak_memory_mb > 0


def test_doubted_classes_may_be_found_absent_and_are_judged() -> None:
    """Two of four classes asked for are shown: their scores are held against the others'."""
    more = Vocabulary.of(["boat", "tree", "car", "sun"])
    recipe = Recipe(vocabulary=VocabularySettings.from_vocabulary(more))
    asked = [replace(sample(seed), classes=("boat", "tree", "car"), doubted=True) for seed in (1, 2)]
    capture = run.union_capture(["segmint", "pcc"], recipe, doubted=True)
    cases = run.look(asked, Counting(), recipe, capture, seed=0)
    ours, pcc = run.rows_of(cases, ["segmint", "pcc"], recipe, mode="label", seed=0, case="over-named")
    assert (ours.case, pcc.case) == ("over-named", "over-named")
    assert ours.presence_auc is not None
    assert 0 <= ours.presence_auc <= 1
    assert pcc.presence_auc is None
    assert pcc.miou == pcc.miou_believed
    assert ours.foreground_recall is not None
    assert capture.denoising is not None
    believed = run.union_capture(["segmint", "pcc"], recipe).denoising
    assert believed is not None
    assert len(capture.denoising.levels) > len(believed.levels)


def test_the_same_seed_gives_the_same_scores() -> None:
    costs = {"cpu_s_per_image", "capture_cpu_s_per_image", "peak_memory_mb"}
    first, again = ([row.model_dump(exclude=costs) for row in scored(Counting())[0]] for _ in range(2))
    assert first == again


def test_generated_images_are_judged() -> None:
    backbone = Counting()
    recipe = RECIPE.merged({"sampling.batch_size": 2})
    capture = run.union_capture(METHODS, recipe)
    cases = run.draw(
        [spec(1), spec(2), spec(3)],
        backbone,
        recipe,
        capture,
        judge=lambda image: np.zeros(image.shape[:2], np.uint8),
    )
    rows = run.rows_of(cases, METHODS, recipe, mode="generate", seed=0)
    assert backbone.asked == 2
    assert {row.images for row in rows} == {3}
    assert all(row.class_iou["background"] is not None for row in rows)


@pytest.mark.parametrize("world", ["toybox", "yard"])
def test_seeds_and_splits_share_no_image(world: str) -> None:
    first, second = (list(case_samples("exact", WORLDS[world], "val", seed=seed, count=2)) for seed in (0, 1))
    other = list(case_samples("exact", WORLDS[world], "test", seed=0, count=2))
    pictures = {each.image.tobytes() for each in (*first, *second, *other)}
    assert len(pictures) == 6
    assert first[0].classes
    seeds = [
        {each.seed for each in samples.planned_specs(WORLDS[world], split, seed=seed, count=3)}  # type: ignore[arg-type]
        for split, seed in (("val", 0), ("val", 1), ("test", 0))
    ]
    assert len(set.union(*seeds)) == 9


@pytest.mark.parametrize(("seed", "count"), [(-1, 5), (10**6, 5), (0, 0), (0, 10_001)])
def test_numbers_out_of_range_are_named(seed: int, count: int) -> None:
    with pytest.raises(ConfigError, match="expected"):
        samples.first_seed(seed, count)
