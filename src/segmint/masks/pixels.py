"""Image pixels as K-means samples that are compared again only when their cluster could have changed.

Each pixel keeps the slack between its nearest and second nearest centre. Centres that move use slack up; a pixel whose
slack lasts cannot have changed, and is skipped. The result is that of the plain iterations.

Source: Hamerly 2010, "Making k-means even faster", with one bound a pixel.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from segmint.masks.kmeans import WINDOW


def colour_position_points(
    image: UInt8[np.ndarray, "image_h image_w 3"], position_span: float
) -> Float64[np.ndarray, "pixel 5"]:
    """(R, G, B, x·span/W, y·span/H) of every pixel, row by row; colours are 0–255.

    Source: report 2.3; METHOD.md step 9.
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
        self._mean = points.mean(axis=0)
        centred = points - self._mean
        self._variance = float((centred**2).mean())
        ones = np.ones((len(points), 1))
        norms = np.einsum("ij,ij->i", centred, centred)[:, None]
        # [x, 1, |x|²] · [−2c, |c|², 1] is the squared distance: one matrix product, no pass after it
        self._rows = np.concatenate([centred, ones, norms], axis=1)
        self._columns = points.shape[1]
        self.count = len(points)
        self.labels: Int64[np.ndarray, "pixel"] = np.full(self.count, -1)
        self._expiry = np.full(self.count, -np.inf)
        self._drift = np.zeros(0)
        self._centres = np.zeros((0, self._columns))
        self._sums = np.zeros((0, self._columns))
        self._members = np.zeros(0)

    def rows(self, samples: Sequence[int] | Int64[np.ndarray, "picked"]) -> Float64[np.ndarray, "picked column"]:
        """Coordinates of some pixels, relative to the mean of all."""
        return self._rows[samples, : self._columns]

    def mean_variance(self) -> float:
        """Variance over the pixels, averaged over columns."""
        return self._variance

    def squared_distances(
        self, centres: Float64[np.ndarray, "centre column"], window: slice
    ) -> Float64[np.ndarray, "centre member"]:
        """Squared distances of the pixels in `window` to each centre."""
        return np.maximum(_against(centres) @ self._rows[window].T, 0)

    def assign(self, centres: Float64[np.ndarray, "centre column"]) -> int:
        """Give each pixel its nearest centre, looking only at those whose slack is used up."""
        if len(self._centres) == len(centres):
            self._drift += _slack_used(centres - self._centres)
            stale = np.flatnonzero(self._expiry <= self._drift.take(self.labels))
        else:
            self._drift = np.zeros(len(centres))
            self._sums, self._members = np.zeros((len(centres), self._columns)), np.zeros(len(centres))
            stale = np.arange(self.count)
        self._centres = centres.copy()
        against = _against(centres)
        windows = (stale[start : start + WINDOW] for start in range(0, len(stale), WINDOW))
        return sum(self._reassign(each, against) for each in windows)

    def totals(
        self, clusters: int
    ) -> tuple[Float64[np.ndarray, "centre column"], Float64[np.ndarray, "centre"]]:
        """Sum and number of the pixels in each cluster, kept up to date by `assign`."""
        return self._sums.copy(), self._members.copy()

    def _reassign(self, pixels: Int64[np.ndarray, "stale"], against: Float64[np.ndarray, "centre lifted"]) -> int:
        rows = self._rows.take(pixels, axis=0)
        nearest, slack = _two_nearest(against @ rows.T)
        before = self.labels.take(pixels)
        self.labels[pixels] = nearest
        self._expiry[pixels] = self._drift.take(nearest) + slack
        changed = np.flatnonzero(before != nearest)
        self._move(rows.take(changed, axis=0), before.take(changed), nearest.take(changed))
        return len(changed)

    def _move(self, rows: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
        clusters = len(self._members)
        ids = np.arange(clusters)[:, None]
        change = (ids == target).astype(np.float64) - (ids == source)
        moved = change @ rows
        self._sums += moved[:, : self._columns]
        self._members += np.rint(moved[:, self._columns])


def _against(centres: Float64[np.ndarray, "centre column"]) -> Float64[np.ndarray, "centre lifted"]:
    norms = np.einsum("ij,ij->i", centres, centres)[:, None]
    return np.concatenate([-2 * centres, norms, np.ones_like(norms)], axis=1)


def _two_nearest(
    squared: Float64[np.ndarray, "centre stale"],
) -> tuple[Int64[np.ndarray, "stale"], Float64[np.ndarray, "stale"]]:
    """Nearest centre of each pixel, and by how much the second nearest is farther. Destroys its argument.

    The centre's index is written into the lowest bits of its distance, so that one minimum over whole rows yields
    both. That costs the last few of 52 bits and is several times faster than `argmin` over short columns.
    """
    centres, pixels = squared.shape
    mask = (1 << max(centres - 1, 1).bit_length()) - 1
    np.maximum(squared, 0, out=squared)
    bits = squared.view(np.int64)
    bits &= ~mask
    bits |= np.arange(centres)[:, None]
    first = squared.min(axis=0)
    nearest = first.view(np.int64) & mask
    squared[nearest, np.arange(pixels)] = np.inf
    return nearest, np.sqrt(squared.min(axis=0)) - np.sqrt(first)


def _slack_used(movement: Float64[np.ndarray, "centre column"]) -> Float64[np.ndarray, "centre"]:
    """For each cluster: its own centre's movement and the largest of the others', which is how far slack can shrink."""
    moved = np.sqrt((movement**2).sum(axis=1))
    if len(moved) < 2:
        return np.zeros(len(moved))
    order = np.argsort(moved)
    others = np.where(np.arange(len(moved)) == order[-1], moved[order[-2]], moved[order[-1]])
    return moved + others
