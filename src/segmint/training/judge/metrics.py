"""Scores of a segmentation, exact over a dataset: one confusion matrix of integers over all pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Integer

from segmint.vocabulary import IGNORE

Confusion = Int64[np.ndarray, "truth predicted"]
"""Pixels by true label (row) and predicted label (column)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores in [0, 1] by label, and their means; None where nothing can be said."""

    label_names: tuple[str, ...]
    judged: tuple[int, ...]
    """Labels that count in the means."""
    iou: tuple[float | None, ...]
    """Intersection over union by label; None for a label that no image contains."""
    accuracy: tuple[float | None, ...]
    """Share of a label's true pixels that were found; None likewise."""
    mean_iou: float | None
    mean_accuracy: float | None
    pixel_accuracy: float | None


def confusion(
    truth: Integer[np.ndarray, "image_h image_w"],
    predicted: Integer[np.ndarray, "image_h image_w"],
    *,
    count: int,
) -> Confusion:
    """Pixels by true and predicted label; truly ignored pixels (255) are left out.

    Args:
        truth: label ids below `count`, or 255.
        predicted: label ids below `count`.
        count: how many labels there are.
    """
    valid = truth != IGNORE
    pairs = truth[valid].astype(np.int64) * count + predicted[valid]
    return np.bincount(pairs, minlength=count * count).reshape(count, count).astype(np.int64)


def score(matrix: Confusion, *, label_names: Sequence[str], judged: Sequence[int] | None = None) -> Scores:
    """Scores of a confusion matrix.

    A label without a true pixel has no IoU, even where it was predicted: the mean is over what can be found.
    Such predictions still cost the labels that they were taken from.

    Args:
        matrix: pixels by true (row) and predicted (column) label.
        label_names: names of the labels.
        judged: labels that count in the means; all without it.

    Source: VOC's definition of the segmentation score, TP / (TP + FP + FN) by class over the whole set.
    """
    judged = tuple(judged) if judged is not None else tuple(range(len(label_names)))
    hits, true, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    iou = [_ratio(h, t + p - h) if t else None for h, t, p in zip(hits, true, predicted, strict=True)]
    accuracy = [_ratio(h, t) for h, t in zip(hits, true, strict=True)]
    return Scores(
        label_names=tuple(label_names),
        judged=judged,
        iou=tuple(iou),
        accuracy=tuple(accuracy),
        mean_iou=_mean([iou[label] for label in judged]),
        mean_accuracy=_mean([accuracy[label] for label in judged]),
        pixel_accuracy=_ratio(hits.sum(), matrix.sum()),
    )


def _ratio(part: np.integer, whole: np.integer) -> float | None:
    return int(part) / int(whole) if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
