import numpy as np
import pytest

from segmint.benchmark.cases import CASES, Case, case_samples
from segmint.benchmark.samples import Sample
from segmint.errors import DatasetError
from segmint.toybox.worlds import WORLDS

TOYBOX = WORLDS["toybox"]


def taken(case: str, world: str = "toybox", *, seed: int = 3, count: int = 4) -> list[Sample]:
    return list(case_samples(case, WORLDS[world], "val", seed=seed, count=count))


def shown(sample: Sample) -> set[str]:
    return {TOYBOX.classes[label - 1] for label in np.unique(sample.truth) if label}


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_decided_by_split_and_seed(case: str) -> None:
    first, again = taken(case), taken(case)
    for one, other in zip(first, again, strict=True):
        assert (one.classes, one.item_id) == (other.classes, other.item_id)
        np.testing.assert_array_equal(one.image, other.image)
        assert one.image.dtype == np.uint8
        assert one.truth.shape == one.image.shape[:2]
        assert one.truth.any()
    assert len({each.image.tobytes() for each in (*first, *taken(case, seed=4))}) == 8


@pytest.mark.parametrize(
    ("case", "least", "most"),
    [("small", 0.004, 0.02), ("medium-small", 0.02, 0.05), ("half", 0.4, 0.55), ("large", 0.7, 1.0)],
)
@pytest.mark.parametrize("world", WORLDS)
def test_one_thing_covers_what_the_case_says(case: str, least: float, most: float, world: str) -> None:
    for sample in taken(case, world, count=2):
        assert len(sample.classes) == 1
        assert least <= (sample.truth > 0).mean() <= most


@pytest.mark.parametrize("world", WORLDS)
def test_unequal_things_are_unequal(world: str) -> None:
    for sample in taken("unequal", world, count=2):
        small, large = sorted(np.bincount(sample.truth.ravel())[1:][np.unique(sample.truth)[1:] - 1])
        assert 0 < 3 * small <= large


def test_names_are_more_than_what_is_shown() -> None:
    for sample in taken("over-named", count=8):
        assert len(sample.classes) == 3
        assert shown(sample) < set(sample.classes)
    for sample in taken("misnamed", count=8):
        assert len(sample.classes) == 3
        assert 1 <= len(shown(sample) & set(sample.classes)) <= min(2, len(shown(sample)))
    assert all(sample.classes == TOYBOX.classes for sample in taken("all-named"))
    assert {name for name, case in CASES.items() if taken(name, count=1)[0].doubted} == {
        "exact-doubted",
        "over-named",
        "misnamed",
        "all-named",
    }


def test_pictures_change_and_masks_stay() -> None:
    for usual, grey, dim in zip(taken("exact"), taken("grey"), taken("uneven-light"), strict=True):
        assert (grey.image == grey.image[..., :1]).all()
        light = dim.image.sum() / usual.image.sum()
        assert 0.5 < light < 1.1
        for other in (grey, dim):
            np.testing.assert_array_equal(other.truth, usual.truth)
            assert other.classes == usual.classes


def test_an_oblong_is_the_fullest_strip_of_its_scene() -> None:
    shapes = set()
    for usual, strip in zip(taken("exact", count=8), taken("oblong", count=8), strict=True):
        shapes.add(strip.truth.shape)
        assert (strip.truth > 0).sum() >= 2 / 3 * (usual.truth > 0).sum()
        assert set(strip.classes) == shown(strip)
    assert shapes == {(85, 128), (128, 85)}


def test_a_case_that_the_world_does_not_hold_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segmint.benchmark.cases.SEED_STRIDE", 3)
    monkeypatch.setitem(CASES, "never", Case(about="nothing", fits=lambda scene: False))
    with pytest.raises(DatasetError, match="holds 0 pictures of the case 'never'; expected 2"):
        taken("never", count=2)
