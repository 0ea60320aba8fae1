"""The grid cut into clusters, and clusters into connected segments (method.md step 4)."""

from collections.abc import Callable, Sequence

import cc3d
import numpy as np
from jaxtyping import Int32, Integer

from segmint.artifacts import Clusters, Grid, LayerComponents
from segmint.errors import ConfigError
from segmint.masks import kmeans
from segmint.masks.gridpoints import GridSamples, Level, levels_of
from segmint.masks.settings import ClusterSettings, Connectivity

GridPartition = Callable[[Sequence[Level], int, ClusterSettings], Integer[np.ndarray, "cell"]]
"""A K-means for the grid: levels, number of clusters, settings → cluster of each position; see below."""


def segment_grid(
    components: Sequence[LayerComponents],
    grid: Grid,
    settings: ClusterSettings,
    partition: GridPartition | None = None,
) -> Clusters:
    """K-means trials of the grid by features and position, each split into connected segments.

    Args:
        components: principal components, each layer at its own grid.
        grid: (height, width) to cluster on.
        settings: cluster counts, seed, connectivity.
        partition: another K-means, for comparison; see `gridpoints.dense_points` for samples as one array.

    Raises:
        ConfigError: there are neither components nor positions to cluster by.

    Source: report 2.2.
    """
    levels = levels_of(components, grid, settings.position_weight)
    if not levels:
        raise ConfigError(
            "nothing to cluster by: no self-attention was captured and clusters.position_weight is 0"
        )
    cut = partition or own_partition
    trials = [np.asarray(cut(levels, count, settings)).reshape(grid) for count in settings.counts]
    clusters = np.stack(trials).astype(np.int32)
    segments = np.stack([connected(trial, settings.connectivity) for trial in clusters])
    counts = tuple(int(trial.max()) + 1 for trial in clusters)
    return Clusters(counts=counts, clusters=clusters, segments=segments)


def own_partition(
    levels: Sequence[Level], clusters: int, settings: ClusterSettings
) -> Integer[np.ndarray, "cell"]:
    """Segmint's K-means on the layers' own resolutions."""
    return kmeans.cluster(
        GridSamples(levels),
        clusters,
        seed=settings.seed,
        iterations=settings.iterations,
        tolerance=settings.tolerance,
    )


def connected(labels: Integer[np.ndarray, "h w"], connectivity: Connectivity) -> Int32[np.ndarray, "h w"]:
    """Connected regions of equal label, numbered from 0; all labels in one pass.

    Args:
        labels: non-negative.
        connectivity: 4 or 8 neighbours.
    """
    shifted = np.ascontiguousarray(labels, dtype=np.uint32) + np.uint32(1)  # cc3d takes 0 for "no region"
    regions = cc3d.connected_components(shifted, connectivity=connectivity)
    numbered: Int32[np.ndarray, "h w"] = regions.astype(np.int32) - 1
    return numbered
