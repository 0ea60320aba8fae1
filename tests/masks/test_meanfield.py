"""The mean field from grid to pixels: on pictures that an eye can check, and by its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float32, UInt8

from segmint.masks import meanfield
from segmint.masks.meanfield import colour_strength, crispness, field_mask, honest_shares, to_pixels
from segmint.masks.resample import bilinear, block_means
from segmint.masks.settings import MeanFieldSettings

RULES = MeanFieldSettings()
CELL_PX = 4


def disc(side_px: int, radius_px: float) -> np.ndarray:
    row, col = np.mgrid[0:side_px, 0:side_px] - side_px / 2 + 0.5
    return (row**2 + col**2 < radius_px**2).astype(np.uint8)


def painted(mask: np.ndarray) -> UInt8[np.ndarray, "image_h image_w 3"]:
    return np.array([(60, 90, 200), (220, 60, 40), (40, 180, 60)], np.uint8)[mask]


def shares_of(mask: np.ndarray, blur: float = 0.0) -> Float32[np.ndarray, "label grid_h grid_w"]:
    from scipy import ndimage

    exact = np.stack([mask == label for label in range(int(mask.max()) + 1)]).astype(np.float32)
    coarse = block_means(exact, (mask.shape[0] // CELL_PX, mask.shape[1] // CELL_PX))
    return np.asarray(ndimage.gaussian_filter(coarse, (0, blur, blur), mode="nearest"))


def random_shares(rng: np.random.Generator, labels: int, shape: tuple[int, int]) -> np.ndarray:
    odds = rng.random((labels, *shape)).astype(np.float32) + np.float32(0.01)
    return np.asarray(odds / odds.sum(axis=0))


def test_blurred_shares_find_the_border_of_colours_again() -> None:
    mask = disc(96, 30.0)
    shares = shares_of(mask, blur=2.0)
    found = field_mask(shares, painted(mask), RULES)
    rough = bilinear(shares, mask.shape).argmax(axis=0)
    wrong, before = (found.winner != mask).mean(), (rough != mask).mean()
    assert wrong < 0.005 < before


def test_an_overconfident_mask_that_is_off_by_a_position_is_put_right() -> None:
    mask = disc(96, 30.0)
    shifted = np.roll(mask, CELL_PX, axis=1)
    shares = np.eye(2, dtype=np.float32)[shifted[2::CELL_PX, 2::CELL_PX]].transpose(2, 0, 1)
    found = field_mask(np.ascontiguousarray(shares), painted(mask), RULES)
    assert (found.winner != mask).mean() < 0.01 < (shifted != mask).mean()


def test_a_small_thing_is_kept() -> None:
    mask = disc(128, 10.0)  # 2 % of the picture
    for shares in (shares_of(mask), shares_of(mask, blur=1.5)):
        found = field_mask(shares, painted(mask), RULES)
        assert (found.winner * mask).sum() > 0.9 * (found.winner | mask).sum()


def test_without_contrast_the_shares_are_the_grids() -> None:
    mask = disc(96, 30.0)
    shares = shares_of(mask, blur=1.0)
    plain = np.full((96, 96, 3), 128, np.uint8)
    winner = to_pixels(shares, plain, RULES).argmax(axis=0)
    assert (winner != bilinear(shares, (96, 96)).argmax(axis=0)).mean() < 0.05


@settings(max_examples=15)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
)
def test_shares_sum_to_one_at_any_size(
    seed: int, labels: int, grid: tuple[int, int], size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    found = to_pixels(random_shares(rng, labels, grid), image, RULES)
    assert found.shape == (labels, *size)
    assert found.dtype == np.float32
    assert np.abs(found.sum(axis=0) - 1).max() < 1e-5
    assert found.min() >= 0


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.permutations(range(4)))
def test_the_order_of_labels_does_not_matter(seed: int, order: list[int]) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (40, 56, 3)).astype(np.uint8)
    shares = random_shares(rng, 4, (10, 14))
    assert (
        np.abs(to_pixels(shares, image, RULES)[order] - to_pixels(shares[order], image, RULES)).max() < 1e-3
    )


def test_one_label_holds_everything() -> None:
    found = field_mask(np.ones((1, 4, 4), np.float32), np.zeros((16, 16, 3), np.uint8), RULES)
    assert not found.winner.any()
    assert (found.agreement == 1).all()
    assert found.specks == 0


def test_the_same_twice_to_the_bit() -> None:
    rng = np.random.default_rng(3)
    image, shares = rng.integers(0, 256, (64, 48, 3)).astype(np.uint8), random_shares(rng, 3, (16, 12))
    assert (to_pixels(shares, image, RULES) == to_pixels(shares, image, RULES)).all()


@pytest.mark.parametrize("size", [(64, 48), (61, 53)])
def test_strips_of_rows_are_the_whole(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    image, shares = rng.integers(0, 256, (*size, 3)).astype(np.uint8), random_shares(rng, 3, (9, 7))
    whole = to_pixels(shares, image, RULES)
    monkeypatch.setattr(meanfield, "STRIP_VALUES", 1)
    np.testing.assert_allclose(to_pixels(shares, image, RULES), whole, atol=1e-6)


def test_no_speck_is_left_and_all_are_counted() -> None:
    rng = np.random.default_rng(1)
    mask = disc(96, 30.0)
    image = np.clip(painted(mask) + rng.normal(0, 60, (96, 96, 3)), 0, 255).astype(np.uint8)
    from scipy import ndimage

    found = field_mask(shares_of(mask, blur=2.5), image, RULES)
    for label in (0, 1):
        regions, _ = ndimage.label(found.winner == label)
        assert np.bincount(regions.ravel())[1:].min() >= RULES.speck_cells * CELL_PX**2
    raw = to_pixels(shares_of(mask, blur=2.5), image, RULES).argmax(axis=0)
    assert (found.specks > 0) == bool((raw != found.winner).any())


def test_gentle_evidence_leaves_more_to_the_colours() -> None:
    mask = disc(128, 40.0)
    strengths = [colour_strength(shares_of(mask, blur), RULES) for blur in (0.7, 1.5, 2.5)]
    assert strengths == sorted(strengths)
    assert strengths[0] < strengths[-1]


@pytest.mark.parametrize(("blur", "spread"), [(0.0, True), (0.7, False), (2.0, False)])
def test_only_evidence_crisper_than_an_average_is_spread(blur: float, spread: bool) -> None:
    shares = shares_of(disc(128, 40.0), blur)
    honest = honest_shares(shares, RULES)
    assert bool((honest != shares).any()) is spread
    assert crispness(honest) <= crispness(shares)
    assert np.abs(honest.sum(axis=0) - 1).max() < 1e-5
