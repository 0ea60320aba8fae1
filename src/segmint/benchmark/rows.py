"""What a benchmark finds: one row for each method, mode and seed, and means with their spread over seeds."""

from collections.abc import Sequence
from math import nan
from statistics import fmean, pstdev
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from segmint.benchmark.tally import Tally
from segmint.scores import score

Mode = Literal["label", "generate"]
SCHEMA_VERSION = 1

UNITS = {
    "miou": "percent, mean over labels with true pixels, background too; uncertain pixels are misses",
    "miou_labelled": "percent, uncertain pixels left out",
    "uncertain": "share of the pixels left uncertain, 0 to 1",
    "boundary_iou": "percent, mean over the same labels, borders 2 % of the diagonal wide",
    "miou_believed": "percent, mIoU where no class asked for is found absent",
    "presence_auc": "area under the ROC curve of the scores of classes asked for, shown against not shown",
    "foreground_recall": "share of the classes' true pixels that were given some class, 0 to 1",
    "right_class": "share of these that were given the right one, 0 to 1",
    "specks": "regions of 16 pixels or fewer for each image",
    "class_iou": "percent, by label name",
    "cpu_s_per_image": "CPU seconds from raw attention to mask",
    "capture_cpu_s_per_image": "CPU seconds to make or look at the image, with all that any method captures",
    "peak_memory_mb": "largest MB (10^6 bytes) held by arrays while one mask is made, inputs not counted",
}
"""What the numbers of a row mean; kept beside them in benchmark.json."""


class Row(BaseModel):
    """Scores of one method in one mode on the images of one seed; see UNITS."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    mode: Mode
    case: str | None = None
    """One of `cases.CASES`; None for the usual scenes where no cases were asked for, and for folders."""
    seed: int
    images: int
    miou: float
    miou_labelled: float
    uncertain: float
    boundary_iou: float
    miou_believed: float
    presence_auc: float | None
    """None where all classes asked for are shown, or the method does not judge."""
    foreground_recall: float | None
    right_class: float | None
    specks: float
    class_iou: dict[str, float | None]
    cpu_s_per_image: float
    capture_cpu_s_per_image: float
    peak_memory_mb: float


class Mean(BaseModel):
    """Mean and population standard deviation, over its seeds, of one method in one mode."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    mode: Mode
    case: str | None = None
    seeds: int
    images: int
    mean: dict[str, float | None]
    spread: dict[str, float | None]


class Report(BaseModel):
    """`benchmark.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    segmint_version: str
    dataset: str
    """`toybox val`, `yard test`, or the folder of images."""
    model: str
    settings: dict[str, Any]
    units: dict[str, str] = UNITS
    rows: tuple[Row, ...]
    means: tuple[Mean, ...]


AVERAGED = (
    "miou",
    "miou_labelled",
    "uncertain",
    "boundary_iou",
    "miou_believed",
    "presence_auc",
    "foreground_recall",
    "right_class",
    "specks",
    "cpu_s_per_image",
    "peak_memory_mb",
)


def make_row(
    counted: Tally,
    label_names: Sequence[str],
    *,
    believed: Tally | None = None,
    presence_auc: float | None = None,
    method: str,
    mode: Mode,
    case: str | None = None,
    seed: int,
    images: int,
    cpu_s: float,
    capture_cpu_s: float,
    peak_memory_mb: float,
) -> Row:
    """The row of a tally; `cpu_s` and `capture_cpu_s` are sums over the images.

    `believed` is the tally of the masks for which no class was found absent, where that is another.
    """
    scores = score(counted.confusion, label_names=label_names)
    labelled = score(counted.confusion[:, :-1], label_names=label_names)
    trusting = score((believed or counted).confusion, label_names=label_names)
    return Row(
        method=method,
        mode=mode,
        case=case,
        seed=seed,
        images=images,
        miou=_percent(scores.mean_iou),
        miou_labelled=_percent(labelled.mean_iou),
        uncertain=nan if counted.uncertain is None else counted.uncertain,
        boundary_iou=_percent(counted.boundary_iou),
        miou_believed=_percent(trusting.mean_iou),
        presence_auc=presence_auc,
        foreground_recall=counted.foreground_recall,
        right_class=counted.right_class,
        specks=counted.specks / images,
        class_iou={
            name: None if value is None else 100 * value
            for name, value in zip(label_names, scores.iou, strict=True)
        },
        cpu_s_per_image=cpu_s / images,
        capture_cpu_s_per_image=capture_cpu_s / images,
        peak_memory_mb=peak_memory_mb,
    )


def _percent(value: float | None) -> float:
    return nan if value is None else 100 * value


def means(rows: Sequence[Row]) -> tuple[Mean, ...]:
    """Rows of one method, mode and case drawn together, in the order of their first appearance."""
    groups: dict[tuple[Mode, str | None, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.mode, row.case, row.method), []).append(row)
    return tuple(_mean(*names, each) for names, each in groups.items())


def _mean(mode: Mode, case: str | None, method: str, rows: Sequence[Row]) -> Mean:
    values = {key: [value for row in rows if (value := getattr(row, key)) is not None] for key in AVERAGED}
    return Mean(
        method=method,
        mode=mode,
        case=case,
        seeds=len(rows),
        images=sum(row.images for row in rows),
        mean={key: fmean(each) if each else None for key, each in values.items()},
        spread={key: pstdev(each) if each else None for key, each in values.items()},
    )
