"""Self-attention heads condensed to a few principal components each, and the grid cut by them into clusters.

Clusters are then cut into connected segments (method.md steps 2–4).
"""

from collections.abc import Callable, Sequence

import cc3d
import numpy as np
from einops import rearrange
from jaxtyping import Float32, Int32, Integer
from scipy.linalg import lapack

from segmint.artifacts import AttentionSummary, Clusters, Generation, Grid, HeadFeatures, LayerComponents
from segmint.errors import ConfigError, GenerationError
from segmint.masks import kmeans
from segmint.masks.gridpoints import GridSamples, Level, levels_of
from segmint.masks.settings import ClusterSettings, Connectivity, FeatureSettings, MaskSettings


def summarise(generation: Generation, settings: MaskSettings) -> AttentionSummary:
    """What mask methods need of a generation's attention: components of its heads, and its maps as they are.

    Raises:
        GenerationError: a layer's features hold NaN or infinity.
    """
    return AttentionSummary(
        grid=largest_grid(generation),
        components=condense(generation.heads, settings.features),
        maps=generation.maps,
        affinity=generation.affinity,
        denoising=generation.denoising,
        guidance=generation.guidance,
        refining=generation.refining,
    )


def largest_grid(generation: Generation) -> tuple[int, int]:
    """(height, width) of the largest grid among the captured layers and maps: where masks are voted on."""
    layers = [head.grid for head in generation.heads]
    maps = [
        (token_maps.values.shape[1], token_maps.values.shape[2]) for token_maps in generation.maps.values()
    ]
    return max(layers or maps, key=lambda grid: grid[0] * grid[1])


def condense(heads: Sequence[HeadFeatures], settings: FeatureSettings) -> tuple[LayerComponents, ...]:
    """Each layer's principal components, every column scaled to [0, 1] and passed once through float16.

    The detour through float16 makes the components equal to what a run stores, so that masks made again from
    a store are the masks made at once. A column without contrast becomes 0.

    Raises:
        GenerationError: a layer's features hold NaN or infinity.

    Source: report 2.1 and 2.2. Scaling before nearest-upsampling equals the report's scaling after it.
    """
    found = []
    for layer in heads:
        columns = scaled(principal_columns(layer, settings.components)).astype(np.float16).astype(np.float32)
        height, width = layer.grid
        values = rearrange(columns, "column (h w) -> column h w", h=height, w=width)
        found.append(LayerComponents(layer=layer.layer, values=values))
    if settings.most_place == 1:
        return tuple(found)
    shares = [place_share(each.values) for each in found]
    most = max(settings.most_place, min(shares, default=0.0))
    return tuple(each for each, share in zip(found, shares, strict=True) if share <= most)


def place_share(columns: Float32[np.ndarray, "column layer_h layer_w"]) -> float:
    """How much of the columns' variance a linear map of x and y explains, from 0 to 1.

    Many blocks of a transformer say where a position is rather than what is there, and clusters of their
    features are bands and corners. Nothing but the features is needed to tell.
    """
    height, width = columns.shape[1:]
    centred = columns - columns.mean(axis=(1, 2), keepdims=True)
    down, across = (np.linspace(-1, 1, side, dtype=np.float32) for side in (height, width))
    explained = (centred.mean(axis=2) @ down) ** 2 * (width / max(float(down @ down), 1e-12))
    explained = explained + (centred.mean(axis=1) @ across) ** 2 * (
        height / max(float(across @ across), 1e-12)
    )
    whole = (centred**2).sum(axis=(1, 2))
    return float(explained.sum() / max(float(whole.sum()), 1e-12))


def principal_columns(layer: HeadFeatures, components: int) -> Float32[np.ndarray, "column cell"]:
    """A layer's heads projected on their own leading principal axes, unscaled, centred on 0.

    Every head and half has its own axes: eigenvectors of its channel covariance, all heads of the layer in
    one batched call. Signs are fixed by making the loading of largest magnitude positive.

    Args:
        layer: per-head features of any float type that numpy casts to float32.
        components: axes kept of each head; fewer where a head has fewer channels.

    Raises:
        GenerationError: the features hold NaN or infinity.

    Source: report 2.1; equals scikit-learn's PCA up to its free signs.
    """
    features = rearrange(layer.values, "half head cell channel -> (half head) cell channel")
    features = features.astype(np.float32, copy=False)
    centred = features - features.mean(axis=1, keepdims=True)
    covariance = np.matmul(centred.transpose(0, 2, 1), centred)
    if not np.isfinite(covariance).all():
        raise GenerationError(
            f"self-attention of layer {layer.layer!r} holds NaN or infinity; try dtype float32"
        )
    axes = np.stack([_leading(each, components) for each in covariance])
    strongest = np.abs(axes).argmax(axis=1, keepdims=True)
    axes = axes * np.sign(np.take_along_axis(axes, strongest, axis=1))
    return rearrange(np.matmul(centred, axes), "head cell component -> (head component) cell")


def _leading(
    covariance: Float32[np.ndarray, "channel channel"], components: int
) -> Float32[np.ndarray, "channel component"]:
    """The eigenvectors of the largest eigenvalues, largest first; the others are not computed."""
    channels = len(covariance)
    first = max(1, channels - components + 1)
    vectors = lapack.ssyevr(covariance, range="I", il=first, iu=channels, lower=1)[1]
    found: Float32[np.ndarray, "channel component"] = vectors[:, channels - first :: -1]
    return found


def scaled(columns: Float32[np.ndarray, "column cell"]) -> Float32[np.ndarray, "column cell"]:
    """Each column scaled linearly to [0, 1]; a constant one becomes 0."""
    low = columns.min(axis=1, keepdims=True)
    span = columns.max(axis=1, keepdims=True) - low
    unit: Float32[np.ndarray, "column cell"] = (columns - low) / np.where(span > 0, span, np.float32(1))
    return unit


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
