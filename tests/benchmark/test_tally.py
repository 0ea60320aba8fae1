"""Counts and borders against hand counts and against independent computations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from segmint.benchmark.tally import border, border_width_px, specks_of, tally
from segmint.errors import ImageError
from segmint.scores import score

labels_3 = arrays(np.uint8, (6, 7), elements=st.sampled_from((0, 1, 2)))
labels_3_or_255 = arrays(np.uint8, (6, 7), elements=st.sampled_from((0, 1, 2, 255)))


def mask(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


@given(st.lists(st.tuples(labels_3, labels_3_or_255), min_size=2, max_size=3))
def test_tallies_add_up_like_one_large_image(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    first, *rest = [tally(truth, labels, label_count=3) for truth, labels in pairs]
    for each in rest:
        first = first + each
    joined = tally(np.vstack([t for t, _ in pairs]), np.vstack([p for _, p in pairs]), label_count=3)
    assert np.array_equal(first.confusion, joined.confusion)


@given(arrays(bool, (9, 8)), st.integers(1, 3))
def test_border_is_what_an_erosion_removes(region: np.ndarray, width_px: int) -> None:
    core = ndimage.binary_erosion(region, np.ones((3, 3)), iterations=width_px, border_value=0)
    assert np.array_equal(border(region, width_px=width_px), region & ~core)


def test_boundary_iou_sees_a_shift_that_iou_hardly_notices() -> None:
    truth = np.zeros((100, 100), np.uint8)
    truth[20:80, 20:80] = 1
    moved = np.roll(truth, 2, axis=1)
    assert border_width_px(truth.shape) == 3
    same, shifted = (tally(truth, each, label_count=2) for each in (truth, moved))
    assert same.boundary_iou == 1
    assert score(shifted.confusion, label_names=("background", "boat")).mean_iou > 0.9
    assert shifted.boundary_iou < 0.65


def test_the_border_of_a_label_without_a_true_pixel_has_no_score() -> None:
    counted = tally(mask([0, 0, 0, 0]), mask([0, 0, 0, 1]), label_count=3)
    assert counted.border_any.tolist()[1] == 1
    assert counted.boundary_iou == 3 / 4  # of the background alone


def test_foreground_right_classes_and_specks_by_hand() -> None:
    truth = mask([0, 0, 1, 1, 2, 2])
    counted = tally(truth, mask([0, 1, 1, 255, 2, 1]), label_count=3)
    assert counted.foreground_recall == 3 / 4
    assert counted.right_class == 2 / 3
    assert counted.specks == 5
    assert (counted + counted).specks == 10


def test_a_region_of_seventeen_pixels_is_no_speck() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[0, :16] = 1
    labels[5, :17] = 1
    labels[10:, 10:] = 255
    assert specks_of(labels) == 1


@pytest.mark.parametrize(
    ("truth", "labels", "reason"),
    [
        (mask([0, 1]), mask([0], [1]), "differ in size"),
        (mask([0, 7]), mask([0, 1]), "true mask holds label 7"),
        (mask([0, 1]), mask([0, 9]), "given mask holds label 9"),
    ],
)
def test_masks_that_do_not_fit_are_refused(truth: np.ndarray, labels: np.ndarray, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        tally(truth, labels, label_count=3)
