"""Grid positions as K-means samples, with each layer's columns kept at the layer's own resolution.

Nearest-upsampling a coarse layer to the grid repeats its values. Squared distances add up over columns, so a coarse
layer's share is computed once for each of its own cells and then repeated; and a cluster's sum over a coarse layer
needs only how many of the cluster's positions lie in each coarse cell. At Stable Diffusion 2.1's shapes this is a
quarter of the arithmetic on upsampled copies, with the same result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Float64, Int64

from segmint.artifacts import Grid, LayerComponents
from segmint.masks.resample import nearest_index


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """All columns that share one resolution. `parent[i]` is the cell of this level that grid position i lies in."""

    values: Float64[np.ndarray, "layer_cell column"]
    squared_norms: Float64[np.ndarray, "layer_cell"]
    parent: Int64[np.ndarray, "cell"]


def levels_of(
    components: Sequence[LayerComponents], grid: Grid, position_weight: float
) -> tuple[Level, ...]:
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
        self._columns = [slice(end - level.values.shape[1], end) for end, level in zip(ends, levels, strict=True)]

    def rows(self, samples: Sequence[int] | Int64[np.ndarray, "picked"]) -> Float64[np.ndarray, "picked column"]:
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
        total = sum(
            self._level_distances(level, centres[:, columns])[:, level.parent[window]]
            for level, columns in zip(self._levels, self._columns, strict=True)
        )
        return np.maximum(total, 0)

    def assign(self, centres: Float64[np.ndarray, "centre column"]) -> int:
        """Give each position its nearest centre; returns how many changed."""
        labels = self.squared_distances(centres, slice(None)).argmin(axis=0)
        changed = int(np.count_nonzero(labels != self.labels))
        self.labels = labels
        return changed

    def totals(
        self, clusters: int
    ) -> tuple[Float64[np.ndarray, "centre column"], Float64[np.ndarray, "centre"]]:
        """Sum and number of the positions in each cluster."""
        sums = [self._level_sums(level, clusters) for level in self._levels]
        return np.concatenate(sums, axis=1), np.bincount(self.labels, minlength=clusters).astype(np.float64)

    def _level_sums(self, level: Level, clusters: int) -> Float64[np.ndarray, "centre column"]:
        cells = len(level.values)
        counts = np.bincount(self.labels * cells + level.parent, minlength=clusters * cells)
        return counts.reshape(clusters, cells).astype(np.float64) @ level.values

    @staticmethod
    def _level_distances(
        level: Level, centres: Float64[np.ndarray, "centre column"]
    ) -> Float64[np.ndarray, "centre layer_cell"]:
        distances = (-2 * centres) @ level.values.T
        distances += level.squared_norms
        distances += np.einsum("ij,ij->i", centres, centres)[:, None]
        return distances

    def _column_variances(self, level: Level) -> Float64[np.ndarray, "column"]:
        weights = np.bincount(level.parent, minlength=len(level.values)) / self.count
        mean = weights @ level.values
        return weights @ (level.values - mean) ** 2


def _level(columns: np.ndarray, shape: Grid, grid: Grid) -> Level:
    values = np.ascontiguousarray(rearrange(columns, "column h w -> (h w) column"), dtype=np.float64)
    rows, places = nearest_index(shape[0], grid[0]), nearest_index(shape[1], grid[1])
    parent = (rows[:, None] * shape[1] + places[None, :]).ravel()
    return Level(values=values, squared_norms=np.einsum("ij,ij->i", values, values), parent=parent)
