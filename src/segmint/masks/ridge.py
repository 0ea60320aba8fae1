"""Maps regressed on self-attention features: what the image's own structure bears out of them.

A ridge regression's prediction depends on its features through their inner products alone. So the many
columns of a coarse layer are exchanged for as many as it has positions, with the same inner products, before
they are enlarged to the grid: at SDXL's shapes 1,400 columns instead of 4,000.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Float, Float64
from scipy import linalg

from segmint.artifacts import Grid, LayerComponents
from segmint.masks.resample import bilinear

Positions = Float64[np.ndarray, "cell"]
Columns = Float[np.ndarray, "cell column"]
Scores = Float64[np.ndarray, "cell label"]

LEAST_RIDGE = 1e-8
"""In mean variances of a column: below it the equations of many alike columns cannot be solved in float64."""
SINGLE_RIDGE = 0.1
"""From this penalty on float32 does: the equations' condition is at most the number of columns over it."""
JITTER = 1e-10
"""Added to inner products, in their mean square, so that columns that depend on one another have a root."""


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
    planes = [bilinear(_compact(np.concatenate(each)), grid) for each in alike.values()]
    stacked = np.concatenate(planes) if planes else np.zeros((0, *grid), np.float32)
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
    mean = weight @ maps
    if not features.count:
        return np.broadcast_to(mean, maps.shape).copy()
    values = features.values.astype(np.float32 if ridge >= SINGLE_RIDGE else np.float64, copy=False)
    centred = values - weight.astype(values.dtype) @ values
    root = np.sqrt(weight)[:, None].astype(values.dtype)
    weighted = centred * root
    normal = linalg.get_blas_funcs("syrk", (weighted,))(1.0, weighted.T)  # the upper triangle
    penalty = max(ridge, LEAST_RIDGE) * float(np.trace(normal)) / features.count
    normal[np.diag_indices(len(normal))] += max(penalty, 1e-12)
    factor = linalg.cho_factor(normal, overwrite_a=True, check_finite=False)
    target = root * (maps - mean).astype(values.dtype)
    slopes = linalg.cho_solve(factor, weighted.T @ target, check_finite=False)
    return np.asarray(centred @ slopes + mean)


def _compact(planes: np.ndarray) -> np.ndarray:
    """As many planes as positions, with the inner products of all but for their means, which no regression
    sees; fewer planes as they are.
    """
    count, height, width = planes.shape
    if count <= height * width:
        return planes
    flat = rearrange(planes, "column row col -> column (row col)").astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    inner = linalg.blas.dsyrk(1.0, flat.T)  # the upper triangle
    inner[np.diag_indices(len(inner))] += max(JITTER * float(np.trace(inner)) / len(inner), 1e-12)
    triangle = linalg.cholesky(inner, overwrite_a=True, check_finite=False).astype(np.float32)
    return rearrange(triangle, "column (row col) -> column row col", row=height, col=width)
