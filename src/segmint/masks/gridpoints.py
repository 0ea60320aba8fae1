"""Grid positions as K-means samples, with each layer's columns kept at the layer's own resolution.

Nearest-upsampling a coarse layer to the grid repeats its values. Squared distances add up over columns, so a
coarse layer's share is computed once for each of its own cells and then repeated; and a cluster's sum over a
coarse layer needs only how many of the cluster's positions lie in each coarse cell. At Stable Diffusion 2.1's
shapes this is a quarter of the arithmetic on upsampled copies, with the same result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Float32, Float64, Int64

from segmint.artifacts import Grid, LayerComponents
from segmint.masks.kmeans import rounding_error, squared_norms, two_nearest, two_nearest_exactly
from segmint.masks.resample import nearest_index

FEW = 20
"""Sums are updated if fewer than one in this many positions changed, else made anew. Changes no result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """All columns of one resolution. `parent[i]` is the cell of this level that grid position i lies in."""

    values: Float64[np.ndarray, "layer_cell column"]
    values32: Float32[np.ndarray, "layer_cell column"]
    squared_norms: Float64[np.ndarray, "layer_cell"]
    parent: Int64[np.ndarray, "cell"]


def levels_of(components: Sequence[LayerComponents], grid: Grid, position_weight: float) -> tuple[Level, ...]:
    """Components gathered by resolution, with the relative positions x/(W−1), y/(H−1) as two more columns.

    Args:
        components: layers, each at its own grid.
        grid: (height, width) that all are seen on.
        position_weight: the positions' span; 0 leaves them out.
    """
    columns: dict[Grid, list[np.ndarray]] = {}
    for layer in components:
        columns.setdefault((layer.values.shape[1], layer.values.shape[2]), []).append(layer.values)
    if position_weight > 0:
        columns.setdefault(grid, []).append(position_weight * relative_positions(grid))
    return tuple(_level(np.concatenate(each), shape, grid) for shape, each in columns.items())


def relative_positions(grid: Grid) -> Float64[np.ndarray, "2 grid_h grid_w"]:
    """x/(W−1) and y/(H−1) of every grid position, 0 along an axis of length 1."""
    height, width = grid
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    return np.stack([x / max(width - 1, 1), y / max(height - 1, 1)])


def dense_points(levels: Sequence[Level]) -> Float64[np.ndarray, "cell column"]:
    """Every grid position's columns side by side: what any other K-means takes."""
    return np.concatenate([level.values[level.parent] for level in levels], axis=1)


class GridSamples:
    """Grid positions as `kmeans.Samples`."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self._levels = tuple(levels)
        self.count = len(levels[0].parent)
        self.labels: Int64[np.ndarray, "cell"] = np.full(self.count, -1)
        ends = np.cumsum([level.values.shape[1] for level in levels])
        self._columns = [
            slice(end - level.values.shape[1], end) for end, level in zip(ends, levels, strict=True)
        ]
        self.rounding_error = rounding_error(
            int(ends[-1]), sum(float(level.squared_norms.max()) for level in levels)
        )
        self._sums: Float64[np.ndarray, "centre column"] | None = None

    def rows(
        self, samples: Sequence[int] | Int64[np.ndarray, "picked"]
    ) -> Float64[np.ndarray, "picked column"]:
        """Coordinates of some positions."""
        return np.concatenate([level.values[level.parent[samples]] for level in self._levels], axis=1)

    def mean_variance(self) -> float:
        """Variance over the positions, averaged over columns."""
        columns = [self._column_variances(level) for level in self._levels]
        return float(np.concatenate(columns).mean())

    def squared_distances(
        self, centres: Float64[np.ndarray, "centre column"], window: slice
    ) -> Float64[np.ndarray, "centre member"]:
        """Squared distances of the positions in `window` to each centre."""
        total: Float64[np.ndarray, "centre member"] = squared_norms(centres)[:, None]
        for level, columns in zip(self._levels, self._columns, strict=True):
            own = level.squared_norms - 2 * centres[:, columns] @ level.values.T
            total = total + own.take(level.parent[window], axis=1)
        np.abs(total, out=total)
        return total

    def rough_squared_distances(
        self, centres: Float64[np.ndarray, "centre column"], window: slice
    ) -> Float32[np.ndarray, "centre member"]:
        """The same in float32."""
        doubled = (-2 * centres).astype(np.float32)
        total = squared_norms(centres).astype(np.float32)[:, None]
        for level, columns in zip(self._levels, self._columns, strict=True):
            own = doubled[:, columns] @ level.values32.T
            own += level.squared_norms.astype(np.float32)
            total = total + own.take(level.parent[window], axis=1)
        return total

    def assign(self, centres: Float64[np.ndarray, "centre column"]) -> int:
        """Give each position its nearest centre; returns how many changed."""
        labels, apart = two_nearest(self.rough_squared_distances(centres, slice(None)), self.rounding_error)
        doubtful = np.flatnonzero(apart <= 0)
        if len(doubtful):
            labels[doubtful] = two_nearest_exactly(self.rows(doubtful), centres)[0]
        changed = np.flatnonzero(labels != self.labels)
        before, self.labels = self.labels, labels
        self._sums = self._moved_sums(changed, before, len(centres))
        return len(changed)

    def totals(
        self, clusters: int
    ) -> tuple[Float64[np.ndarray, "centre column"], Float64[np.ndarray, "centre"]]:
        """Sum and number of the positions in each cluster."""
        sums = self._fresh_sums(clusters) if self._sums is None else self._sums
        return sums.copy(), np.bincount(self.labels, minlength=clusters).astype(np.float64)

    def _moved_sums(
        self, changed: Int64[np.ndarray, "moved"], before: Int64[np.ndarray, "cell"], clusters: int
    ) -> Float64[np.ndarray, "centre column"]:
        """The clusters' sums, from the last ones where few positions changed cluster."""
        if self._sums is None or len(self._sums) != clusters or len(changed) * FEW > self.count:
            return self._fresh_sums(clusters)
        ids = np.arange(clusters)[:, None]
        change = (ids == self.labels[changed]).astype(np.float64) - (ids == before[changed])
        sums: Float64[np.ndarray, "centre column"] = self._sums + change @ self.rows(changed)
        return sums

    def _fresh_sums(self, clusters: int) -> Float64[np.ndarray, "centre column"]:
        return np.concatenate([_level_sums(level, self.labels, clusters) for level in self._levels], axis=1)

    def _column_variances(self, level: Level) -> Float64[np.ndarray, "column"]:
        weights = np.bincount(level.parent, minlength=len(level.values)) / self.count
        mean = weights @ level.values
        variances: Float64[np.ndarray, "column"] = weights @ (level.values - mean) ** 2
        return variances


def _level_sums(
    level: Level, labels: Int64[np.ndarray, "cell"], clusters: int
) -> Float64[np.ndarray, "centre column"]:
    cells = len(level.values)
    counts = np.bincount(labels * cells + level.parent, minlength=clusters * cells).astype(np.float64)
    sums: Float64[np.ndarray, "centre column"] = counts.reshape(clusters, cells) @ level.values
    return sums


def _level(columns: np.ndarray, shape: Grid, grid: Grid) -> Level:
    values = np.ascontiguousarray(rearrange(columns, "column h w -> (h w) column"), dtype=np.float64)
    rows, places = nearest_index(shape[0], grid[0]), nearest_index(shape[1], grid[1])
    parent = (rows[:, None] * shape[1] + places[None, :]).ravel()
    return Level(
        values=values, values32=values.astype(np.float32), squared_norms=squared_norms(values), parent=parent
    )
