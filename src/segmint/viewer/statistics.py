"""What a run holds, in numbers: per class, per item, and where in the picture classes lie."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from segmint.artifacts import Mask
from segmint.runs.curation.decisions import STATES
from segmint.viewer.table import Table

BINS = 20
"""Bins of every histogram over [0, 1]: 5 % each."""
HEAT_CELLS = 24
"""Cells along each side of a centre-of-mass map."""
STRIDE = 4
"""Every fourth pixel each way is enough to find a centre of mass to within a pixel or two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStatistics:
    """One label over the items counted. Shares are of pixels; `area_counts` has BINS bins over [0, 1]."""

    name: str
    column: int
    named: int
    """Items whose prompt was to show the class."""
    shown: int
    """Items whose mask holds it."""
    missing: int
    """Items that were to show it and do not."""
    pixels: int
    pixel_share: float
    mean_area: float
    """Mean share of the image, over the items that show it."""
    area_counts: Int[np.ndarray, "bin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A mask set over the items counted."""

    items: int
    states: dict[str, int]
    classes: tuple[ClassStatistics, ...]
    cooccurrence: Int[np.ndarray, "label label"]
    """Items that show both of two labels; the diagonal has those that show one."""
    uncertain_counts: Int[np.ndarray, "bin"]
    agreement_counts: Int[np.ndarray, "bin"]
    uncertain_mean: float | None
    agreement_mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """Centre of mass of one label of one item: fractions of width and height, from the top left."""

    label_id: int
    x: float
    y: float


def measure(table: Table, *, with_rejected: bool) -> Statistics:
    """Statistics of a table's items, from their records alone; without the rejected unless asked for."""
    states = table.column("state")
    counted = np.ones(len(table), bool) if with_rejected else states != STATES.index("rejected")
    areas, named = table.areas[counted], table.named[counted]
    shown = areas > 0
    pixels = table.column("pixels")[counted]
    total = max(int(pixels.sum()), 1)
    per_label = (areas.astype(np.float64) * pixels[:, None]).sum(axis=0)
    return Statistics(
        items=int(counted.sum()),
        states=dict(zip(STATES, np.bincount(states, minlength=len(STATES)).tolist(), strict=True)),
        classes=tuple(
            _class(name, i, areas[:, i], named[:, i], pixels=float(per_label[i]), total=total)
            for i, name in enumerate(table.names)
        ),
        cooccurrence=shown.astype(np.int64).T @ shown.astype(np.int64),
        uncertain_counts=_histogram(table.column("uncertain")[counted]),
        agreement_counts=_histogram(table.column("agreement")[counted]),
        uncertain_mean=_mean(table.column("uncertain")[counted]),
        agreement_mean=_mean(table.column("agreement")[counted]),
    )


def centres(labels: Mask) -> list[Centre]:
    """Centre of mass of every label of a mask but the background and the uncertain."""
    sparse = labels[::STRIDE, ::STRIDE]
    height, width = sparse.shape
    flat = sparse.ravel()
    counts = np.bincount(flat, minlength=256)
    rows, columns = np.indices(sparse.shape)
    sum_y = np.bincount(flat, weights=rows.ravel() + 0.5, minlength=256)
    sum_x = np.bincount(flat, weights=columns.ravel() + 0.5, minlength=256)
    return [
        Centre(label_id=int(i), x=float(sum_x[i] / counts[i] / width), y=float(sum_y[i] / counts[i] / height))
        for i in np.flatnonzero(counts[1:255]) + 1
    ]


def heat_maps(found: Iterable[Centre]) -> dict[int, Float[np.ndarray, "y x"]]:
    """For each label id, how often its centre of mass falls in each cell, 1 at the most frequent one."""
    maps: dict[int, Float[np.ndarray, "y x"]] = {}
    for centre in found:
        cells = maps.setdefault(centre.label_id, np.zeros((HEAT_CELLS, HEAT_CELLS)))
        cells[
            min(int(centre.y * HEAT_CELLS), HEAT_CELLS - 1), min(int(centre.x * HEAT_CELLS), HEAT_CELLS - 1)
        ] += 1
    return {label_id: cells / cells.max() for label_id, cells in maps.items()}


def _class(
    name: str,
    column: int,
    areas: Float[np.ndarray, "item"],
    named: Bool[np.ndarray, "item"],
    *,
    pixels: float,
    total: int,
) -> ClassStatistics:
    shown = areas > 0
    return ClassStatistics(
        name=name,
        column=column,
        named=int(named.sum()),
        shown=int(shown.sum()),
        missing=int((named & ~shown).sum()),
        pixels=round(pixels),
        pixel_share=pixels / total,
        mean_area=float(areas[shown].mean()) if shown.any() else 0.0,
        area_counts=_histogram(areas[shown]),
    )


def _histogram(values: Float[np.ndarray, "item"]) -> Int[np.ndarray, "bin"]:
    counts, _ = np.histogram(values[np.isfinite(values)], bins=BINS, range=(0, 1))
    return counts.astype(np.int64)


def _mean(values: Float[np.ndarray, "item"]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None
