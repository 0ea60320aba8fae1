"""K-means: greedy k-means++ seeding and Lloyd's iterations, over any representation of the samples.

Written so that a seed gives the labels that scikit-learn's `KMeans(k, random_state=seed)` gives in float64: the same
random stream drawn in the same order, the same greedy tries, stopping rule and relocation of empty clusters.

Source: Arthur & Vassilvitskii 2007 (seeding), Lloyd 1982; scikit-learn's documentation for the choices they leave open.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float64, Int64

WINDOW = 4096
"""Samples handled at once, so that their distances stay in the processor's cache. Changes no result."""


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

    def rows(self, samples: Sequence[int] | Int64[np.ndarray, "picked"]) -> Float64[np.ndarray, "picked column"]:
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
    """First centres: samples drawn with probability in proportion to their squared distance to the nearest so far.

    Each is the best of 2 + ⌊ln k⌋ draws (greedy k-means++). Distances are kept window by window, with each window's
    sum, so that a draw looks into one window only.
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
        tries = np.array(
            [
                np.minimum(samples.squared_distances(centres, window), near).sum(axis=1)
                for window, near in zip(windows, closest, strict=True)
            ]
        )
        best = int(tries.sum(axis=0).argmin())
        for window, near in zip(windows, closest, strict=True):
            np.minimum(samples.squared_distances(centres[best : best + 1], window)[0], near, out=near)
        sums = tries[:, best]
        chosen.append(candidates[best])
    return samples.rows(chosen)


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
    """Give each empty cluster the sample that lies farthest from its own centre, taken from its cluster's totals."""
    windows = [slice(start, start + WINDOW) for start in range(0, samples.count, WINDOW)]
    own = np.concatenate(
        [
            np.take_along_axis(samples.squared_distances(centres, window), samples.labels[None, window], axis=0)[0]
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
