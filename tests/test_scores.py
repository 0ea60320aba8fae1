import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, jaccard_score, recall_score
from torchmetrics.classification import MulticlassJaccardIndex

from segmint.scores import area_under_curve, confusion, score

TRUTH = np.array([[0, 0, 1, 1], [0, 255, 1, 1], [2, 2, 0, 0], [2, 255, 0, 0]], np.uint8)
PREDICTED = np.array([[0, 1, 1, 1], [0, 2, 1, 0], [2, 2, 0, 0], [0, 1, 0, 0]], np.uint8)
NAMES = ("background", "boat", "tree")


def test_counts_checkable_by_eye():
    matrix = confusion(TRUTH, PREDICTED, count=3)
    assert matrix.tolist() == [[6, 1, 0, 0], [1, 3, 0, 0], [1, 0, 2, 0]]
    assert matrix.dtype == np.int64
    scores = score(matrix, label_names=NAMES)
    assert scores.iou == (6 / 9, 3 / 5, 2 / 3)
    assert scores.accuracy == (6 / 7, 3 / 4, 2 / 3)
    assert scores.mean_iou == pytest.approx((6 / 9 + 3 / 5 + 2 / 3) / 3)
    assert scores.pixel_accuracy == 11 / 14


def test_agrees_with_sklearn_and_torchmetrics_over_a_dataset():
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 2, 3, 255], (12, 16, 20), p=[0.4, 0.3, 0.15, 0.05, 0.1]).astype(np.uint8)
    predicted = rng.integers(0, 4, (12, 16, 20)).astype(np.uint8)
    matrix = sum(confusion(t, p, count=4) for t, p in zip(truth, predicted, strict=True))
    scores = score(matrix, label_names=("a", "b", "c", "d"))
    valid = truth != 255
    assert (matrix[:, :-1] == confusion_matrix(truth[valid], predicted[valid], labels=range(4))).all()
    assert scores.iou == pytest.approx(jaccard_score(truth[valid], predicted[valid], average=None))
    assert scores.accuracy == pytest.approx(recall_score(truth[valid], predicted[valid], average=None))
    other = MulticlassJaccardIndex(4, average="macro", ignore_index=255)
    for t, p in zip(truth, predicted, strict=True):
        other.update(torch.from_numpy(p)[None], torch.from_numpy(t)[None])
    assert scores.mean_iou == pytest.approx(other.compute().item(), abs=1e-6)


def test_a_mean_of_images_would_be_something_else():
    first = confusion(np.array([[0, 0]], np.uint8), np.array([[0, 0]], np.uint8), count=2)
    second = confusion(np.array([[1, 0]], np.uint8), np.array([[0, 0]], np.uint8), count=2)
    whole = score(first + second, label_names=("background", "boat"))
    assert whole.iou == (3 / 4, 0.0)


def test_a_class_that_no_image_contains_has_no_score():
    scores = score(np.array([[5, 0, 2], [0, 3, 0], [0, 0, 0]]), label_names=NAMES)
    assert scores.iou[2] is None
    assert scores.accuracy[2] is None
    assert scores.iou[0] == 5 / 7  # wrong predictions of the absent class still cost
    assert scores.mean_iou == pytest.approx((5 / 7 + 1) / 2)


def test_one_definition_for_masks_and_for_segmenters():
    """A wrong pixel of an absent class costs the class it was taken from; it is no class of its own."""
    truth = np.array([[0, 0, 0, 0], [1, 1, 1, 1]], np.uint8)
    given = np.array([[0, 0, 0, 2], [1, 1, 1, 1]], np.uint8)
    scores = score(confusion(truth, given, count=4), label_names=("background", "boat", "tree", "car"))
    assert scores.iou == (3 / 4, 1.0, None, None)
    assert scores.mean_iou == (3 / 4 + 1) / 2


def test_an_uncertain_pixel_is_a_miss_for_its_true_class_and_no_other():
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
    given = np.array([[0, 0, 1, 255], [0, 1, 1, 1]], np.uint8)
    matrix = confusion(truth, given, count=2)
    assert matrix.tolist() == [[3, 1, 0], [0, 3, 1]]
    names = ("background", "boat")
    assert score(matrix, label_names=names).iou == (3 / 4, 3 / 5)  # 3 of 4; 3 of 4 true and 1 wrong
    assert score(matrix, label_names=names).pixel_accuracy == 6 / 8
    assert score(matrix[:, :-1], label_names=names).iou == (3 / 4, 3 / 4)  # of the labelled part


def test_a_true_255_counts_nowhere():
    matrix = confusion(np.array([0, 255, 1], np.uint8), np.array([0, 1, 255], np.uint8), count=2)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_only_judged_labels_count_in_the_mean():
    scores = score(confusion(TRUTH, PREDICTED, count=3), label_names=NAMES, judged=(0, 2))
    assert scores.mean_iou == pytest.approx((6 / 9 + 2 / 3) / 2)


def test_nothing_to_judge():
    scores = score(np.zeros((2, 2), np.int64), label_names=("background", "boat"))
    assert (scores.mean_iou, scores.mean_accuracy, scores.pixel_accuracy) == (None, None, None)


@given(arrays(np.uint8, (4, 5), elements=st.integers(0, 3)), st.permutations(range(4)))
def test_renaming_the_labels_renames_the_scores(predicted, order):
    truth = np.arange(20, dtype=np.uint8).reshape(4, 5) % 4
    names, table = ("a", "b", "c", "d"), np.array(order, np.uint8)
    plain = score(confusion(truth, predicted, count=4), label_names=names)
    renamed = score(confusion(table[truth], table[predicted], count=4), label_names=names)
    assert [renamed.iou[label] for label in order] == list(plain.iou)


@given(
    arrays(np.uint8, (6, 7), elements=st.sampled_from((0, 1, 2, 255))),
    arrays(np.uint8, (6, 7), elements=st.sampled_from((0, 1, 2, 255))),
)
def test_scores_of_the_labelled_part_are_those_without_the_uncertain_pixels(truth, given):
    matrix, sure = confusion(truth, given, count=3), given != 255
    part = confusion(truth[sure], given[sure], count=3)
    names = ("background", "boat", "tree")
    assert score(matrix[:, :-1], label_names=names) == score(part, label_names=names)
    assert matrix.sum() == (truth != 255).sum()


def test_area_under_curve_by_hand() -> None:
    truth = np.array([[True, False], [False, True]])
    rising = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    assert area_under_curve(rising, truth) == 1.0
    assert area_under_curve(-rising, truth) == 0.0
    assert area_under_curve(np.ones((2, 2), np.float32), truth) == 0.5
    # One of the four pairs (0.5 against 0.6) is the wrong way round.
    mixed = np.array([[0.5, 0.6], [0.1, 0.8]], np.float32)
    assert area_under_curve(mixed, truth) == 0.75
    assert area_under_curve(rising, np.ones((2, 2), bool)) is None
