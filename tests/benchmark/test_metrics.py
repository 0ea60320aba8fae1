"""Scores against hand counts and against independent computations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from sklearn.metrics import jaccard_score

from segmint.benchmark.metrics import border, border_width_px, score, tally
from segmint.errors import ImageError

labels_3 = arrays(np.uint8, (6, 7), elements=st.sampled_from((0, 1, 2)))
labels_3_or_255 = arrays(np.uint8, (6, 7), elements=st.sampled_from((0, 1, 2, 255)))


def mask(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


def test_an_uncertain_pixel_is_a_miss_for_its_true_class_and_no_other() -> None:
    truth = mask([0, 0, 1, 1], [0, 0, 1, 1])
    labels = mask([0, 0, 1, 255], [0, 1, 1, 1])
    scores = score(tally(truth, labels, label_count=2))
    assert scores.class_iou.tolist() == pytest.approx([75.0, 60.0])  # 3 of 4; 3 of 4 true + 1 wrong
    assert scores.miou == pytest.approx(67.5)
    assert scores.miou_labelled == pytest.approx((75 + 75) / 2)
    assert scores.uncertain == pytest.approx(1 / 8)


def test_labels_that_never_occur_are_left_out_of_the_mean() -> None:
    truth = mask([0, 0], [0, 0])
    scores = score(tally(truth, truth, label_count=5))
    assert scores.miou == 100
    assert np.isnan(scores.class_iou[1:]).all()


def test_a_true_255_counts_nowhere() -> None:
    scores = score(tally(mask([0, 255, 1]), mask([0, 1, 1]), label_count=2))
    assert scores.miou == scores.miou_labelled == 100
    assert scores.uncertain == 0


@given(labels_3, labels_3)
def test_iou_agrees_with_scikit_learn(truth: np.ndarray, labels: np.ndarray) -> None:
    present = np.union1d(truth, labels)
    expected = jaccard_score(truth.ravel(), labels.ravel(), labels=present, average="macro")
    assert score(tally(truth, labels, label_count=3)).miou == pytest.approx(100 * expected)


@given(labels_3, labels_3_or_255)
def test_miou_labelled_is_miou_of_the_labelled_part(truth: np.ndarray, labels: np.ndarray) -> None:
    known = labels != 255
    if known.any():
        part = score(tally(truth[known][None], labels[known][None], label_count=3))
        whole = score(tally(truth, labels, label_count=3))
        present = np.unique(truth[~known])
        if set(present) <= set(np.union1d(truth[known], labels[known])):
            assert whole.miou_labelled == pytest.approx(part.miou)
        assert whole.uncertain == pytest.approx(1 - known.mean())


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
    same, shifted = (score(tally(truth, each, label_count=2)) for each in (truth, moved))
    assert same.boundary_iou == 100
    assert shifted.miou > 90
    assert shifted.boundary_iou < 65


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
