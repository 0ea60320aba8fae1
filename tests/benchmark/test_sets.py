from collections.abc import Sequence

import numpy as np
import pytest

from segmint.backbone.fake import FakeBackbone
from segmint.benchmark.rows import Mode
from segmint.benchmark.sets import Bench, PictureSet
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe
from segmint.toybox.worlds import WORLDS
from segmint.vocabulary import Vocabulary

TOYBOX = WORLDS["toybox"]


def sets(monkeypatch: pytest.MonkeyPatch, cases: Sequence[str], modes: Sequence[Mode]) -> list[PictureSet]:
    nothing = lambda world, image: np.zeros(image.shape[:2], np.uint8)  # noqa: E731 - a judge in one line
    monkeypatch.setattr("segmint.benchmark.samples.judge", nothing)
    vocabulary = VocabularySettings.from_vocabulary(Vocabulary.of(list(TOYBOX.classes)))
    bench = Bench(
        world=TOYBOX,
        split="val",
        backbone=FakeBackbone(),
        recipe=Recipe(vocabulary=vocabulary),
        methods=["segmint"],
    )
    return list(bench.sets(cases, modes, [3, 4], count=2, generated=1))


def test_each_seed_has_each_case_in_each_mode_that_it_can_be_had_in(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sets(monkeypatch, ["grey", "oblong"], ["label", "generate"])
    assert [each.title for each in found[:3]] == [
        "grey, label, seed 3",
        "oblong, label, seed 3",
        "oblong, generate, seed 3",
    ]
    assert [each.count for each in found] == [2, 2, 1] * 2
    assert [len(list(each.pictures)) for each in found[:3]] == [2, 2, 1]


def test_without_cases_the_usual_scenes_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    [usual, _], [exact, _] = (sets(monkeypatch, cases, ["label"]) for cases in ([], ["exact"]))
    assert (usual.case, usual.title) == (None, "label, seed 3")
    for one, other in zip(usual.pictures, exact.pictures, strict=True):
        assert one.generation.spec == other.generation.spec


def test_an_oblong_is_drawn_wider_and_a_lone_class_named_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    oblong, lone = (sets(monkeypatch, [case], ["generate"])[0] for case in ("oblong", "one-class"))
    [wide] = oblong.pictures
    own = FakeBackbone().info
    assert wide.image.shape[:2] == (own.height_px, own.width_px * 3 // 2)
    assert [len(each.generation.spec.classes) for each in lone.pictures] == [1]
