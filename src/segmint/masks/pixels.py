"""Image pixels as K-means samples that are compared again only when their cluster could have changed.

Each pixel keeps the slack between its nearest and second nearest centre. Centres that move use slack up; a
pixel whose slack lasts cannot have changed, and is skipped. The result is that of the plain iterations.

Source: Hamerly 2010, "Making k-means even faster", with one bound a pixel.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from segmint.masks.kmeans import WINDOW, rounding_error, squared_norms, two_nearest, two_nearest_exactly


def colour_position_points(
    image: UInt8[np.ndarray, "image_h image_w 3"], position_span: float
) -> Float64[np.ndarray, "pixel 5"]:
    """(R, G, B, x·span/W, y·span/H) of every pixel, row by row; colours are 0–255.

    Source: report 2.3; method.md step 9.
    """
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    points = np.empty((height * width, 5))
    points[:, :3] = image.reshape(-1, 3)
    points[:, 3] = x.ravel() / width * position_span
    points[:, 4] = y.ravel() / height * position_span
    return points


class PixelSamples:
    """Points of few columns as `kmeans.Samples`, with Hamerly's bound."""

    def __init__(self, points: Float64[np.ndarray, "pixel column"]) -> None:
        self.count, self._columns = points.shape
        centred = points.T - points.mean(axis=0)[:, None]
        self._variance: float = float(np.einsum("ij,ij->", centred, centred)) / centred.size
        # [−2c, |c|², 1] · [x, 1, |x|²] is the squared distance: one matrix product, no pass after it
        self._lifted = np.empty((self._columns + 2, self.count))
        self._lifted[:-2] = centred
        self._lifted[-2] = 1
        np.einsum("ij,ij->j", centred, centred, out=self._lifted[-1])
        self._lifted32 = self._lifted.astype(np.float32)
        self.rounding_error = rounding_error(self._columns, float(self._lifted[-1].max()))
        self.labels: Int64[np.ndarray, "pixel"] = np.full(self.count, -1)
        self._expiry = np.full(self.count, -np.inf)
        self._drift = np.zeros(0)
        self._centres = np.zeros((0, self._columns))
        self._sums = np.zeros((0, self._columns))
        self._members = np.zeros(0)

    def rows(
        self, samples: Sequence[int] | Int64[np.ndarray, "picked"]
    ) -> Float64[np.ndarray, "picked column"]:
        """Coordinates of some pixels, relative to the mean of all."""
        return self._lifted[:-2, samples].T.copy()

    def mean_variance(self) -> float:
        """Variance over the pixels, averaged over columns."""
        return self._variance

    def squared_distances(
        self, centres: Float64[np.ndarray, "centre column"], window: slice
    ) -> Float64[np.ndarray, "centre member"]:
        """Squared distances of the pixels in `window` to each centre."""
        distances: Float64[np.ndarray, "centre member"] = _lifted_centres(centres) @ self._lifted[:, window]
        np.abs(distances, out=distances)
        return distances

    def rough_squared_distances(
        self, centres: Float64[np.ndarray, "centre column"], window: slice
    ) -> Float32[np.ndarray, "centre member"]:
        """The same in float32."""
        return _lifted_centres(centres).astype(np.float32) @ self._lifted32[:, window]

    def assign(self, centres: Float64[np.ndarray, "centre column"]) -> int:
        """Give each pixel its nearest centre, looking only at those whose slack is used up."""
        if len(self._centres) != len(centres):
            self._forget(len(centres))
            stale = np.arange(self.count)
        else:
            self._drift += _slack_used(centres - self._centres)
            stale = np.flatnonzero(self._expiry <= self._drift.take(self.labels))
        self._centres = centres.copy()
        nearest, slack = self._two_nearest(stale)
        before = self.labels.take(stale)
        self.labels[stale] = nearest
        self._expiry[stale] = self._drift.take(nearest) + slack
        changed = np.flatnonzero(before != nearest)
        self._move(stale.take(changed), before.take(changed), nearest.take(changed))
        return len(changed)

    def totals(
        self, clusters: int
    ) -> tuple[Float64[np.ndarray, "centre column"], Float64[np.ndarray, "centre"]]:
        """Sum and number of the pixels in each cluster, kept up to date by `assign`."""
        return self._sums.copy(), self._members.copy()

    def _forget(self, clusters: int) -> None:
        self.labels[:] = -1
        self._drift, self._members = np.zeros(clusters), np.zeros(clusters)
        self._sums = np.zeros((clusters, self._columns))

    def _two_nearest(
        self, stale: Int64[np.ndarray, "stale"]
    ) -> tuple[Int64[np.ndarray, "stale"], Float64[np.ndarray, "stale"]]:
        nearest, slack = np.empty(len(stale), dtype=np.int64), np.empty(len(stale))
        against = _lifted_centres(self._centres).astype(np.float32)
        buffer = np.empty(len(against) * min(WINDOW, len(stale)), dtype=np.float32)
        for start in range(0, len(stale), WINDOW):
            pixels = stale[start : start + WINDOW]
            lifted = self._lifted32.take(pixels, axis=1)
            squared = np.matmul(
                against, lifted, out=buffer[: len(against) * len(pixels)].reshape(len(against), -1)
            )
            nearest[start : start + WINDOW], slack[start : start + WINDOW] = two_nearest(
                squared, self.rounding_error
            )
        doubtful = np.flatnonzero(slack <= 0)
        rows = self.rows(stale[doubtful])
        nearest[doubtful], slack[doubtful] = two_nearest_exactly(rows, self._centres)
        return nearest, slack

    def _move(
        self,
        pixels: Int64[np.ndarray, "moved"],
        source: Int64[np.ndarray, "moved"],
        target: Int64[np.ndarray, "moved"],
    ) -> None:
        """Bring the clusters' totals up to date; a source of −1 is no cluster."""
        columns = self._lifted[:-1].take(pixels, axis=1)
        for ids, sign in ((target, 1), (source, -1)):
            if len(ids) and ids[0] >= 0:
                totals = np.stack([np.bincount(ids, each, minlength=len(self._members)) for each in columns])
                self._sums += sign * totals[:-1].T
                self._members += sign * np.rint(totals[-1])


def _lifted_centres(centres: Float64[np.ndarray, "centre column"]) -> Float64[np.ndarray, "centre lifted"]:
    norms = squared_norms(centres)[:, None]
    return np.concatenate([-2 * centres, norms, np.ones_like(norms)], axis=1)


def _slack_used(movement: Float64[np.ndarray, "centre column"]) -> Float64[np.ndarray, "centre"]:
    """How far each cluster's slack can shrink: its own centre's movement and the largest of the others'."""
    moved = np.sqrt((movement**2).sum(axis=1))
    if len(moved) < 2:
        return np.zeros(len(moved))
    order = np.argsort(moved)
    others = np.where(np.arange(len(moved)) == order[-1], moved[order[-2]], moved[order[-1]])
    used: Float64[np.ndarray, "centre"] = moved + others
    return used
