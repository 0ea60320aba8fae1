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
    seed: int
    images: int
    miou: float
    miou_labelled: float
    uncertain: float
    boundary_iou: float
    class_iou: dict[str, float | None]
    cpu_s_per_image: float
    capture_cpu_s_per_image: float
    peak_memory_mb: float


class Mean(BaseModel):
    """Mean and population standard deviation, over its seeds, of one method in one mode."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    mode: Mode
    seeds: int
    images: int
    mean: dict[str, float]
    spread: dict[str, float]


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


AVERAGED = ("miou", "miou_labelled", "uncertain", "boundary_iou", "cpu_s_per_image", "peak_memory_mb")


def make_row(
    counted: Tally,
    label_names: Sequence[str],
    *,
    method: str,
    mode: Mode,
    seed: int,
    images: int,
    cpu_s: float,
    capture_cpu_s: float,
    peak_memory_mb: float,
) -> Row:
    """The row of a tally; `cpu_s` and `capture_cpu_s` are sums over the images."""
    scores = score(counted.confusion, label_names=label_names)
    labelled = score(counted.confusion[:, :-1], label_names=label_names)
    return Row(
        method=method,
        mode=mode,
        seed=seed,
        images=images,
        miou=_percent(scores.mean_iou),
        miou_labelled=_percent(labelled.mean_iou),
        uncertain=nan if counted.uncertain is None else counted.uncertain,
        boundary_iou=_percent(counted.boundary_iou),
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
    """Rows of one method and mode drawn together, in the order of their first appearance."""
    groups: dict[tuple[Mode, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.mode, row.method), []).append(row)
    return tuple(_mean(method, mode, each) for (mode, method), each in groups.items())


def _mean(method: str, mode: Mode, rows: Sequence[Row]) -> Mean:
    values = {key: [float(getattr(row, key)) for row in rows] for key in AVERAGED}
    return Mean(
        method=method,
        mode=mode,
        seeds=len(rows),
        images=sum(row.images for row in rows),
        mean={key: fmean(each) for key, each in values.items()},
        spread={key: pstdev(each) for key, each in values.items()},
    )
