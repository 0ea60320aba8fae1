"""Specks given to what surrounds them, on masks drawn by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from segmint.masks.specks import regions_of, without_specks


def drawn(*rows: str) -> np.ndarray:
    return np.array([[int(each) for each in row] for row in rows], np.int64)


def test_a_speck_goes_whole_to_the_label_around_it() -> None:
    mask = drawn("0000", "0120", "0000")
    cleaned, count = without_specks(mask, least_px=2)
    assert (cleaned == 0).all()
    assert count == 2


def test_most_of_the_border_decides() -> None:
    mask = drawn("0000111", "0002111", "0000111")  # the 2 touches 0 three times, 1 once
    cleaned, count = without_specks(mask, least_px=2)
    assert (cleaned == drawn("0000111", "0000111", "0000111")).all()
    assert count == 1


def test_specks_among_specks_wait_for_them() -> None:
    mask = drawn("00000", "01110", "01210", "01110", "00000")
    cleaned, count = without_specks(mask, least_px=9)
    assert (cleaned == 0).all()
    assert count == 2


def test_corners_do_not_connect() -> None:
    assert regions_of(drawn("01", "10"))[1] == 4


def test_nothing_large_leaves_the_largest() -> None:
    cleaned, _ = without_specks(drawn("0012"), least_px=100)
    assert (cleaned == 0).all()


def test_a_mask_of_one_region_and_no_least_size_stay() -> None:
    assert without_specks(drawn("11", "11"), least_px=100)[1] == 0
    mask = drawn("0000", "0100", "0000")
    assert (without_specks(mask, least_px=0)[0] == mask).all()


@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_nothing_small_is_left_and_cleaning_again_changes_nothing(seed: int, least_px: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 3, (9, 13))
    cleaned, _ = without_specks(mask, least_px=least_px)
    for label in np.unique(cleaned):
        regions, _ = ndimage.label(cleaned == label)
        assert np.bincount(regions.ravel())[1:].min() >= least_px
    assert without_specks(cleaned, least_px=least_px)[1] == 0
