"""Pictures of a training and of an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segmint.errors import StorageError
from segmint.pictures import paint
from segmint.scores import Confusion, Scores

DPI = 120
SMOOTHING = 0.02
"""Share of the curve's points that the smoothed loss is a mean of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One prediction beside its truth."""

    item_id: str
    mean_iou: float
    image: UInt8[np.ndarray, "image_h image_w 3"]
    truth: UInt8[np.ndarray, "image_h image_w"]
    predicted: UInt8[np.ndarray, "image_h image_w"]


def draw_loss(
    path: Path,
    losses: Sequence[tuple[int, float]],
    validations: Sequence[tuple[int, float | None, float | None]],
) -> None:
    """The loss over the iterations, and where there were validations their mean IoU.

    Args:
        path: the PNG.
        losses: iteration and loss.
        validations: iteration, mean IoU of the weights, and of their running mean.
    """
    figure = Figure(figsize=(8, 4.5), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    if losses:
        steps, values = (np.asarray(each) for each in zip(*losses, strict=True))
        axes.plot(steps, values, color="#9db7d5", linewidth=0.7, label="loss")
        width = max(round(len(values) * SMOOTHING), 1)
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        axes.plot(steps[width - 1 :], smooth, color="#1f4e8c", label="loss, smoothed")
    axes.set_xlabel("iteration")
    axes.set_ylabel("loss")
    axes.legend(loc="upper right")
    if validations:
        _draw_validations(axes, validations)
    _save(figure, path)


def draw_evaluation(
    path: Path, scores: Scores, matrix: Confusion, *, best: Sequence[Example], worst: Sequence[Example]
) -> None:
    """The confusion matrix, and the best and worst predictions side by side with the truth."""
    rows = max(len(best), len(worst), 1)
    side = max(5.0, 0.32 * len(scores.label_names) + 2.0)
    figure = Figure(figsize=(side + 11, max(side, 2.1 * rows)), dpi=DPI, layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=[side, 11])
    _draw_matrix(figure.add_subfigure(grid[0, 0]).add_subplot(), scores, matrix)
    axes = figure.add_subfigure(grid[0, 1]).subplots(rows, 6, squeeze=False)
    for first, name, examples in ((0, "best", best), (3, "worst", worst)):
        for row, example in zip(axes, examples, strict=False):
            _draw_example(list(row[first : first + 3]), example, name)
    for row in axes:
        for each in row:
            each.set_axis_off()
    _save(figure, path)


def _draw_validations(axes: Axes, validations: Sequence[tuple[int, float | None, float | None]]) -> None:
    twin = axes.twinx()
    twin.set_ylabel("mean IoU on the validation set")
    twin.set_ylim(0, 1)
    for place, (name, style) in enumerate((("weights", "o-"), ("running mean", "s--")), start=1):
        points = [(each[0], each[place]) for each in validations if each[place] is not None]
        if points:
            twin.plot(
                *zip(*points, strict=True), style, color="#c2571a", markersize=4, label=f"mean IoU, {name}"
            )
    twin.legend(loc="lower right")


def _draw_matrix(axes: Axes, scores: Scores, matrix: Confusion) -> None:
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(scores.label_names)), scores.label_names, rotation=90)
    axes.set_yticks(range(len(scores.label_names)), scores.label_names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    if len(scores.label_names) <= 24:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                shade = "white" if share > 0.5 else "black"
                axes.text(
                    column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6, color=shade
                )
    known = f"{100 * scores.mean_iou:.1f} %" if scores.mean_iou is not None else "–"
    axes.set_title(f"share of each class's pixels (%), mean IoU {known}")


def _draw_example(row: Sequence[Axes], example: Example, rank: str) -> None:
    palette = paint.file_palette()
    row[0].imshow(example.image)
    row[0].set_title(f"{rank}: {example.item_id[:24]}", fontsize=8)
    row[1].imshow(paint.colourise(example.truth, palette))
    row[1].set_title("truth", fontsize=8)
    row[2].imshow(paint.colourise(example.predicted, palette))
    row[2].set_title(f"predicted, IoU {100 * example.mean_iou:.1f} %", fontsize=8)


def _save(figure: Figure, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from None
