"""The foreground holds whether a thing fills little of the picture or most of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from segmint.errors import ConfigError
from segmint.masks.foreground import Foreground, balanced_threshold, confirmed, foreground, otsu
from segmint.masks.ridge import Features
from segmint.masks.settings import CompetitionSettings

RULES = CompetitionSettings()
GRID = (32, 32)


def picture(side: int) -> np.ndarray:
    """True where a square thing of this side is, in the middle."""
    truth = np.zeros(GRID, bool)
    low = (32 - side) // 2
    truth[low : low + side, low : low + side] = True
    return truth


@given(st.floats(0.5, 20), st.floats(-5, 5), st.floats(0.01, 0.3))
def test_otsu_parts_two_groups_wherever_they_lie(gap: float, low: float, width: float) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([low + width * gap * rng.random(50), low + gap + width * gap * rng.random(20)])
    assert ((values > otsu(values)) == (np.arange(70) >= 50)).all()


@pytest.mark.parametrize("side", [4, 6, 12, 22, 29])
def test_a_threshold_finds_things_of_any_size(side: int) -> None:
    truth = picture(side)
    rng = np.random.default_rng(side)
    noise = 0.3 * rng.normal(size=GRID) + 4 * ndimage.gaussian_filter(rng.normal(size=GRID), 3)
    values = np.where(truth, 3.0, 0.0) + noise
    found = values > balanced_threshold(values, RULES.balance)
    assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_a_small_thing_on_uneven_ground_is_found_where_otsu_alone_takes_the_ground_apart() -> None:
    truth = picture(4)
    rows = np.linspace(0, 2, 32)[:, None].repeat(32, axis=1)
    values = np.where(truth, 4.0, rows)

    def overlap(threshold: float) -> float:
        found = values > threshold
        return float((found & truth).sum() / (found | truth).sum())

    assert overlap(otsu(values.ravel())) < 0.1
    assert overlap(balanced_threshold(values, RULES.balance)) > 0.9


def test_a_thing_of_few_positions_that_stands_far_out_wins_over_ground_that_parts_as_well() -> None:
    truth = np.zeros(GRID, bool)
    truth[10:12, 20:23] = True
    rng = np.random.default_rng(0)
    ground = np.where(np.arange(32)[:, None] < 14, 1.0, -1.0) + 0.4 * rng.normal(size=GRID)
    values = np.where(truth, 8.0, ground)
    values = (values - values.mean()) / values.std()
    found = values > balanced_threshold(values, RULES.balance)
    assert (found == truth).all()


def test_constant_values_are_parted_somewhere_and_not_refused() -> None:
    assert np.isfinite(balanced_threshold(np.ones(GRID), RULES.balance))


def test_change_by_texts_corrects_a_start_token_that_misses_half_of_a_thing() -> None:
    truth = picture(12)
    half = truth.copy()
    half[:, :16] = False
    features = Features(
        values=np.stack([truth.ravel(), half.ravel(), (truth & ~half).ravel()], axis=1).astype(float), count=3
    )
    start_token, change = 1.0 - half.ravel(), truth.ravel().astype(float)
    alone = foreground(start_token, None, features, GRID, RULES)
    both = foreground(start_token, change, features, GRID, RULES.model_copy(update={"change": 2.0}))
    inside = truth.ravel()
    assert ((alone.inside > 0.5) == half.ravel()).all()
    assert ((both.inside > 0.5) == inside).all()
    assert both.inside.min() >= 0
    assert both.inside.max() <= 1


@pytest.mark.parametrize(("stands_out", "side"), [("background", 6), ("change", 14)])
def test_the_foreground_is_of_what_the_rules_take_it_from(stands_out: str, side: int) -> None:
    token, change = (np.where(picture(each), 1.0, 0.0).ravel() for each in (6, 14))
    features = Features(values=np.stack([token, change], axis=1), count=2)
    rules = CompetitionSettings.model_validate({"stands_out": stands_out, "foreground_ridge": 0.0})
    found = foreground(1 - token, change, features, GRID, rules).inside
    assert ((found > 0.5).reshape(GRID) == picture(side)).all()


def test_separability_tells_two_groups_from_one_that_is_cut() -> None:
    rng, rules = np.random.default_rng(3), CompetitionSettings(foreground_ridge=0.0, balance=0.0)
    noise = rng.normal(size=GRID[0] * GRID[1])
    scattered = foreground(noise, None, Features(values=noise[:, None], count=1), GRID, rules)
    token = np.where(picture(14).ravel(), 0.0, 1.0) + 0.05 * noise
    parted = foreground(token, None, Features(values=token[:, None], count=1), GRID, rules)
    assert scattered.separability == pytest.approx(2 / np.pi, abs=0.05)
    assert parted.separability > 0.95


def test_nothing_is_parted_where_all_is_alike() -> None:
    flat = Features(values=np.ones((1024, 1)), count=1)
    assert foreground(np.ones(1024), None, flat, GRID, CompetitionSettings()).separability == 0


def standing(side: int, separability: float) -> Foreground:
    return Foreground(inside=np.where(picture(side), 1.0, 0.0).ravel(), separability=separability)


@pytest.mark.parametrize(
    ("first", "again", "taken"),
    [
        ((14, 0.80), (18, 0.90), True),
        ((14, 0.90), (18, 0.95), False),  # not in doubt
        ((6, 0.80), (8, 0.90), False),  # a small thing
        ((14, 0.80), (18, 0.75), False),  # parted no better
        ((14, 0.80), (12, 0.90), False),  # less than before
        ((14, 0.80), (26, 0.90), False),  # too much of the picture
    ],
)
def test_a_doubtful_foreground_is_looked_for_again(
    first: tuple[int, float], again: tuple[int, float], taken: bool
) -> None:
    found = confirmed(standing(*first), lambda: standing(*again), CompetitionSettings())
    assert found.separability == (again if taken else first)[1]


def test_a_foreground_without_doubt_is_not_looked_for_again() -> None:
    def never() -> Foreground:
        raise AssertionError

    assert confirmed(standing(14, 0.9), never, CompetitionSettings()).separability == 0.9


def test_change_alone_has_to_be_captured() -> None:
    rules = CompetitionSettings(stands_out="change")
    with pytest.raises(
        ConfigError,
        match=r"neither guidance nor denoising evidence is known to take it from; set masks.denoising.use",
    ):
        foreground(np.ones(1024), None, Features(values=np.ones((1024, 1)), count=1), GRID, rules)
