"""Maps regressed on self-attention features: what the image's own structure bears out of them.

A ridge regression's prediction depends on its features through their inner products alone. So the many
columns of a coarse layer are exchanged for as many as it has positions, with the same inner products, before
they are enlarged to the grid: at SDXL's shapes 1,400 columns instead of 4,000.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Float64
from scipy import linalg

from segmint.artifacts import Grid, LayerComponents
from segmint.masks.resample import bilinear_in_double

Positions = Float64[np.ndarray, "cell"]
Columns = Float64[np.ndarray, "cell column"]
Scores = Float64[np.ndarray, "cell label"]

LEAST_RIDGE = 1e-8
"""In mean variances of a column: below it the equations of many alike columns cannot be solved in float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Columns whose inner products are those of a number of components."""

    values: Columns
    count: int
    """Of the components: what the penalty of a regression is counted in."""


def features_of(components: Sequence[LayerComponents], grid: Grid, *, levels: int) -> Features:
    """The components of the layers of the finest `levels` grids, enlarged to the largest."""
    sides = sorted({layer.values.shape[1] for layer in components}, reverse=True)[:levels]
    alike: dict[Grid, list[np.ndarray]] = {}
    for layer in components:
        if layer.values.shape[1] in sides:
            alike.setdefault((layer.values.shape[1], layer.values.shape[2]), []).append(layer.values)
    planes = [bilinear_in_double(_compact(np.concatenate(each)), grid) for each in alike.values()]
    stacked = np.concatenate(planes) if planes else np.zeros((0, *grid))
    return Features(
        values=rearrange(stacked, "column row col -> (row col) column"),
        count=sum(len(plane) for each in alike.values() for plane in each),
    )


def regressed(maps: Scores, features: Features, weight: Positions, ridge: float) -> Scores:
    """What a weighted ridge regression on the features explains of each map.

    Args:
        maps: one column each.
        features: of every position.
        weight: of every position, any sum.
        ridge: penalty, in mean variances of a feature column.
    """
    weight = weight / weight.sum()
    centred = features.values - weight @ features.values
    mean = weight @ maps
    if not features.count:
        return np.broadcast_to(mean, maps.shape).copy()
    root = np.sqrt(weight)[:, None]
    weighted = centred * root
    normal = linalg.blas.dsyrk(1.0, weighted.T)  # the upper triangle
    penalty = max(ridge, LEAST_RIDGE) * float(np.trace(normal)) / features.count
    normal[np.diag_indices(len(normal))] += max(penalty, 1e-12)
    factor = linalg.cho_factor(normal, overwrite_a=True, check_finite=False)
    slopes = linalg.cho_solve(factor, weighted.T @ (root * (maps - mean)), check_finite=False)
    return np.asarray(centred @ slopes + mean)


def _compact(planes: np.ndarray) -> np.ndarray:
    """As many planes as positions, with the inner products of all; fewer planes as they are."""
    count, height, width = planes.shape
    if count <= height * width:
        return planes
    flat = rearrange(planes, "column row col -> column (row col)").astype(np.float64)
    (triangle,) = linalg.qr(flat, mode="r", check_finite=False)
    return rearrange(triangle[: height * width], "column (row col) -> column row col", row=height, col=width)
