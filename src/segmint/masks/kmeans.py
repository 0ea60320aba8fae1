"""K-means: greedy k-means++ seeding and Lloyd's iterations, over any representation of the samples.

Written so that a seed gives the labels that scikit-learn's `KMeans(k, random_state=seed)` gives in float64:
the same random stream drawn in the same order, the same greedy tries, stopping rule and relocation of empty
clusters. Nearest centres are found in float32 and, where its rounding could decide, once more in float64.

Source: Arthur & Vassilvitskii 2007 (seeding), Lloyd 1982; scikit-learn's documentation for what they leave
open.
"""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64

WINDOW = 8192
"""Samples handled at once, so that their distances stay in the processor's cache. Changes no result."""
FAR = np.float32(1e30)
"""Farther, squared, than any sample; finite, so that differences with it are numbers."""


@runtime_checkable
class Samples(Protocol):
    """Points to cluster, in whatever form makes distances cheap; keeps the present assignment."""

    @property
    def count(self) -> int:
        """Number of samples."""
        ...

    @property
    def labels(self) -> Int64[np.ndarray, "sample"]:
        """Cluster of each sample, by the last `assign`."""
        ...

    def rows(
        self, samples: Sequence[int] | Int64[np.ndarray, "picked"]
    ) -> Float64[np.ndarray, "picked column"]:
        """Coordinates of some samples."""
        ...

    def mean_variance(self) -> float:
        """Variance over the samples, averaged over columns."""
        ...

    def squared_distances(
        self, centres: Float64[np.ndarray, "centre column"], window: slice
    ) -> Float64[np.ndarray, "centre member"]:
        """Squared Euclidean distances of the samples in `window` to each centre."""
        ...

    def rough_squared_distances(
        self, centres: Float64[np.ndarray, "centre column"], window: slice
    ) -> Float32[np.ndarray, "centre member"]:
        """The same in float32, wrong by at most `rounding_error`."""
        ...

    @property
    def rounding_error(self) -> float:
        """Bound on the error of `rough_squared_distances`; see `rounding_error`."""
        ...

    def assign(self, centres: Float64[np.ndarray, "centre column"]) -> int:
        """Give each sample its nearest centre (lowest index on a tie); returns how many changed."""
        ...

    def totals(
        self, clusters: int
    ) -> tuple[Float64[np.ndarray, "centre column"], Float64[np.ndarray, "centre"]]:
        """Sum and number of the samples in each cluster, as arrays that the caller may change."""
        ...


def cluster(
    samples: Samples, clusters: int, *, seed: int, iterations: int, tolerance: float
) -> Int64[np.ndarray, "sample"]:
    """Partition samples into at most `clusters` clusters; each sample's cluster.

    Args:
        samples: the points; as many clusters as points are made at most.
        clusters: number of clusters wanted.
        seed: of the seeding; the same seed gives the same partition.
        iterations: most Lloyd iterations.
        tolerance: ends the iterations when the centres' squared movement, summed, is at most this times the
            samples' mean variance.
    """
    centres = plus_plus(samples, min(clusters, samples.count), seed)
    limit = tolerance * samples.mean_variance()
    for _ in range(iterations):
        if samples.assign(centres) == 0:
            return samples.labels
        moved = _means(samples, centres)
        movement = float(((moved - centres) ** 2).sum())
        centres = moved
        if movement <= limit:
            break
    samples.assign(centres)
    return samples.labels


def plus_plus(samples: Samples, clusters: int, seed: int) -> Float64[np.ndarray, "clusters column"]:
    """First centres: samples drawn in proportion to their squared distance to the nearest centre so far.

    Each is the best of 2 + ⌊ln k⌋ draws (greedy k-means++). Distances are kept window by window, with each
    window's sum, so that a draw looks into one window only.
    """
    random = np.random.RandomState(seed)
    windows = [slice(start, start + WINDOW) for start in range(0, samples.count, WINDOW)]
    chosen = [min(int(random.random_sample() * samples.count), samples.count - 1)]
    closest = [samples.squared_distances(samples.rows(chosen), window)[0] for window in windows]
    sums = np.array([each.sum() for each in closest])
    for _ in range(1, clusters):
        draws = random.random_sample(2 + int(math.log(clusters))) * sums.sum()
        candidates = _draw(draws, closest, sums)
        centres = samples.rows(candidates)
        best = _best_candidate(samples, centres, windows, closest)
        for index, (window, near) in enumerate(zip(windows, closest, strict=True)):
            np.minimum(samples.squared_distances(centres[best : best + 1], window)[0], near, out=near)
            sums[index] = near.sum()
        chosen.append(candidates[best])
    return samples.rows(chosen)


def _best_candidate(
    samples: Samples,
    centres: Float64[np.ndarray, "draw column"],
    windows: list[slice],
    closest: list[np.ndarray],
) -> int:
    """The candidate that leaves the smallest sum of distances; in float64 where float32 cannot tell."""
    rough = [
        np.minimum(samples.rough_squared_distances(centres, window), near.astype(np.float32)).sum(axis=1)
        for window, near in zip(windows, closest, strict=True)
    ]
    sums = np.sum(rough, axis=0, dtype=np.float64)
    error = samples.count * samples.rounding_error + WINDOW * float(np.finfo(np.float32).eps) * sums.max()
    if np.count_nonzero(sums <= sums.min() + 2 * error) == 1:
        return int(sums.argmin())
    exact = [
        np.minimum(samples.squared_distances(centres, window), near).sum(axis=1)
        for window, near in zip(windows, closest, strict=True)
    ]
    return int(np.sum(exact, axis=0).argmin())


def two_nearest(
    squared: Float32[np.ndarray, "centre sample"], error: float
) -> tuple[Int64[np.ndarray, "sample"], Float64[np.ndarray, "sample"]]:
    """Nearest centre of each sample, and at least how much farther the second is. Destroys its argument.

    The centre's index is written into the lowest bits of its distance, so that one minimum over whole rows
    yields both, several times faster than `argmin` over short columns. The sign, which only rounding can set,
    is cleared with them.

    Args:
        squared: squared distances.
        error: largest rounding error of `squared`.

    Returns:
        Labels, and the slack; where that is not positive, float32 cannot tell which centre is nearest.
    """
    centres, samples = squared.shape
    mask = (1 << max(centres - 1, 1).bit_length()) - 1
    bits = squared.view(np.int32)
    bits &= np.iinfo(np.int32).max - mask
    bits |= np.arange(centres, dtype=np.int32)[:, None]
    first = squared.min(axis=0)
    nearest = (first.view(np.int32) & mask).astype(np.int64)
    squared[nearest, np.arange(samples)] = FAR
    second = squared.min(axis=0)
    error_each = error + second * (mask * np.finfo(np.float32).eps)
    apart = second - first - 2 * error_each
    return nearest, (apart / (np.sqrt(second + error_each) + np.sqrt(first + error_each))).astype(np.float64)


def two_nearest_exactly(
    rows: Float64[np.ndarray, "sample column"], centres: Float64[np.ndarray, "centre column"]
) -> tuple[Int64[np.ndarray, "sample"], Float64[np.ndarray, "sample"]]:
    """The same in float64: the lowest index wins a tie."""
    squared = squared_norms(rows)[:, None] - 2 * rows @ centres.T + squared_norms(centres)
    distances = np.sqrt(np.abs(squared))
    nearest = squared.argmin(axis=1)
    first = distances.min(axis=1)
    distances[np.arange(len(rows)), nearest] = np.inf
    return nearest, distances.min(axis=1) - first


def rounding_error(columns: int, largest_squared_norm: float) -> float:
    """Bound on the float32 rounding error of squared distances between points of at most this norm."""
    return (columns + 2) * float(np.finfo(np.float32).eps) / 2 * 4 * largest_squared_norm


def squared_norms(rows: Float64[np.ndarray, "sample column"]) -> Float64[np.ndarray, "sample"]:
    """Squared length of each row."""
    norms: Float64[np.ndarray, "sample"] = np.einsum("ij,ij->i", rows, rows)
    return norms


def _draw(draws: Float64[np.ndarray, "draw"], closest: list[np.ndarray], sums: np.ndarray) -> list[int]:
    """Samples at which the running sum of `closest` first reaches each draw."""
    ends = sums.cumsum()
    found = []
    for draw in draws:
        window = min(int(ends.searchsorted(draw)), len(sums) - 1)
        rest = draw - (ends[window] - sums[window])
        place = min(int(closest[window].cumsum().searchsorted(rest)), len(closest[window]) - 1)
        found.append(window * WINDOW + place)
    return found


def _means(
    samples: Samples, centres: Float64[np.ndarray, "centre column"]
) -> Float64[np.ndarray, "centre column"]:
    sums, members = samples.totals(len(centres))
    empty = np.flatnonzero(members == 0)
    if len(empty):
        _relocate(samples, centres, sums, members, empty)
    filled = members > 0
    moved = centres.copy()
    moved[filled] = sums[filled] / members[filled, None]
    return moved


def _relocate(
    samples: Samples, centres: np.ndarray, sums: np.ndarray, members: np.ndarray, empty: np.ndarray
) -> None:
    """Give each empty cluster one of the samples farthest from their own centres, out of its old cluster."""
    windows = [slice(start, start + WINDOW) for start in range(0, samples.count, WINDOW)]
    own = np.concatenate(
        [
            np.take_along_axis(
                samples.squared_distances(centres, window), samples.labels[None, window], axis=0
            )[0]
            for window in windows
        ]
    )
    if own.max() <= 0:
        return
    farthest = np.argpartition(own, -len(empty))[: -len(empty) - 1 : -1]
    rows = samples.rows(farthest)
    for target, source, row in zip(empty, samples.labels[farthest], rows, strict=True):
        sums[source] -= row
        members[source] -= 1
        sums[target] = row
        members[target] = 1
