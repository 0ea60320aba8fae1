"""Scores of a segmentation, exact over a set of images: counts of all pixels first, shares of them last.

One definition for all of segmint. A label without a true pixel has no IoU, even where it was given, and does
not enter the mean: the mean is over what can be found. Pixels wrongly given such a label still cost the
labels that they were taken from. A pixel left uncertain (255) is a miss for its true label; a true 255 counts
nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Integer, Num

from segmint.vocabulary import IGNORE

Confusion = Int64[np.ndarray, "truth given"]
"""Pixels by true label (row) and given label (column); `confusion` adds a last column of uncertain ones."""


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
    truth: Integer[np.ndarray, "*pixels"], given: Integer[np.ndarray, "*pixels"], *, count: int
) -> Confusion:
    """Pixels by true and given label; the matrices of two sets add up to that of both.

    Args:
        truth: label ids below `count`, or 255 for what is left out.
        given: label ids below `count`, or 255 for uncertain pixels, which the last column counts.
        count: how many labels there are, the background among them.
    """
    known = truth != IGNORE
    columns = np.where(given == IGNORE, count, given)[known].astype(np.int64)
    cells = truth[known].astype(np.int64) * (count + 1) + columns
    return np.bincount(cells, minlength=count * (count + 1)).reshape(count, count + 1).astype(np.int64)


def score(matrix: Confusion, *, label_names: Sequence[str], judged: Sequence[int] | None = None) -> Scores:
    """Scores of a confusion matrix.

    Args:
        matrix: from `confusion`; without its last column the scores are those of the labelled part.
        label_names: names of the labels.
        judged: labels that count in the means; all without it.

    Source: VOC's definition of the segmentation score, TP / (TP + FP + FN) by class over the whole set.
    """
    judged = tuple(judged) if judged is not None else tuple(range(len(label_names)))
    hits, true, given = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)[: len(label_names)]
    iou = [share(h, t + g - h) if t else None for h, t, g in zip(hits, true, given, strict=True)]
    accuracy = [share(h, t) for h, t in zip(hits, true, strict=True)]
    return Scores(
        label_names=tuple(label_names),
        judged=judged,
        iou=tuple(iou),
        accuracy=tuple(accuracy),
        mean_iou=mean([iou[label] for label in judged]),
        mean_accuracy=mean([accuracy[label] for label in judged]),
        pixel_accuracy=share(hits.sum(), matrix.sum()),
    )


def share(part: np.integer, whole: np.integer) -> float | None:
    """A part of a count in [0, 1]; None of nothing."""
    return int(part) / int(whole) if whole else None


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that there are; None if there is none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def area_under_curve(scores: Num[np.ndarray, "*things"], truth: Bool[np.ndarray, "*things"]) -> float | None:
    """Area under the ROC curve: the chance that what is true scores higher than what is not; ties count half.

    None where all is true, or nothing.
    """
    inside, outside = scores[truth], np.sort(scores[~truth])
    if not (inside.size and outside.size):
        return None
    below, upto = (np.searchsorted(outside, inside, side) for side in ("left", "right"))
    return float((below + upto).sum() / (2 * inside.size * outside.size))
