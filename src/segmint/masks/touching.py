"""Things of one class that touch, told apart by the model's own self-attention features.

    labels ─ regions ─ basins of their depth ─ joined, deepest passage first, unless ─> a point in each part
                                               a neck lies between and both sides look alike

A region's necks say where it may be cut. Whether it is to be cut, they do not say: a tree is narrow where
its crown meets the trunk, too. The features do: parts of one thing differ (a crown is no trunk), while two
things of a class repeat each other, so that their parts have the same mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import cc3d
import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from segmint.artifacts import AttentionSummary, Grid, Mask
from segmint.masks.instances import MIN_AREA_SHARE, Point
from segmint.masks.necks import Basins, Depth, basins_of, joined, passages
from segmint.vocabulary import BACKGROUND, IGNORE

SAMPLES = 4
"""Rows and columns of the mask that are looked at, for each position of the largest grid."""

Features = Float[np.ndarray, "column cell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRules:
    """When a region is two things; chosen on validation scenes by `python -m lab.instances`."""

    neck: float = 0.7
    """The passage is narrower than this share of the narrower part."""
    alike: float = 0.05
    """Of the features' variance in both parts, at most this share lies between their means."""
    even: float = 0.55
    """The smaller part has at least this share of the larger one's area."""


RULES = CutRules()


def touching_things(labels: Mask, summary: AttentionSummary, rules: CutRules = RULES) -> tuple[Point, ...]:
    """A point in each of the things that touch another of their class; none for those that stand alone.

    Args:
        labels: an image's mask.
        summary: its attention; without features of self-attention nothing is told apart.
        rules: when a region is cut.
    """
    found = middle_features(summary)
    if found is None:
        return ()
    features, grid = found
    rows, cols = (
        _sampled(side, min(side, SAMPLES * cells))
        for side, cells in zip(labels.shape, summary.grid, strict=True)
    )
    small = labels[np.ix_(rows, cols)]
    cells = (rows * grid[0] // labels.shape[0])[:, None] * grid[1] + cols * grid[1] // labels.shape[1]
    return tuple((int(rows[row]), int(cols[col])) for row, col in _points(small, features, cells, rules))


def middle_features(summary: AttentionSummary) -> tuple[Features, Grid] | None:
    """The principal components of the layers whose grid is nearest to half of the largest, and that grid.

    Coarser layers do not see parts, and finer ones see little else than where they are.
    """
    if not summary.components:
        return None
    half = summary.grid[0] / 2
    height, width = min(
        (each.values.shape[1:] for each in summary.components), key=lambda grid: abs(grid[0] - half)
    )
    middle = [each.values for each in summary.components if each.values.shape[1:] == (height, width)]
    return np.concatenate(middle).reshape(-1, height * width).astype(np.float64), (height, width)


def _sampled(side: int, count: int) -> Int[np.ndarray, "sample"]:
    return ((np.arange(count) + 0.5) * side / count).astype(np.int64)


def _points(
    labels: Mask, features: Features, cells: Int[np.ndarray, "row col"], rules: CutRules
) -> Iterator[Point]:
    classes = np.where((labels == BACKGROUND) | (labels == IGNORE), 0, labels)
    regions = cc3d.connected_components(classes, connectivity=4).astype(np.int32)
    for number, box in enumerate(ndimage.find_objects(regions), start=1):
        inside = regions[box] == number
        if inside.sum() < 2 * MIN_AREA_SHARE * labels.size:
            continue
        depth, basins = basins_of(inside)
        parts = _Parts(depth, basins, features, cells[box])
        owner = joined(len(parts.area), passages(depth, basins), partial(parts.joins, rules=rules))
        roots = np.unique(owner[1:])
        for root in roots if len(roots) > 1 else ():
            row, col = np.unravel_index(np.where(owner[basins] == root, depth, 0).argmax(), depth.shape)
            yield int(row) + box[0].start, int(col) + box[1].start


class _Parts:
    """Basins while they are joined: what is known of each, at the place of the one that stands for it."""

    def __init__(
        self, depth: Depth, basins: Basins, features: Features, cells: Int[np.ndarray, "row col"]
    ) -> None:
        count, places = int(basins.max()) + 1, features.shape[1]
        held = np.bincount((basins * places + cells).ravel(), minlength=count * places).reshape(count, -1)
        self.peak = np.asarray(ndimage.maximum(depth, basins, np.arange(count)))
        self.area = held.sum(axis=1).astype(np.float64)
        self.total, self.squares = held @ features.T, held @ (features**2).T

    def joins(self, passage: float, a: int, b: int, *, rules: CutRules) -> bool:
        """Whether two are one thing; what is known of `b` is then added to `a`."""
        least, most = sorted((self.area[a], self.area[b]))
        narrow = passage < rules.neck * min(self.peak[a], self.peak[b])
        if narrow and least >= rules.even * most and self._between(a, b) < rules.alike:
            return False
        self.peak[a] = max(self.peak[a], self.peak[b])
        for each in (self.area, self.total, self.squares):
            each[a] += each[b]
        return True

    def _between(self, a: int, b: int) -> float:
        """The share of the features' variance in two parts that lies between their means."""
        within = sum(self.squares[each] - self.total[each] ** 2 / self.area[each] for each in (a, b))
        both = self.area[a] + self.area[b]
        whole = self.squares[a] + self.squares[b] - (self.total[a] + self.total[b]) ** 2 / both
        return 1 - float(np.sum(within) / max(float(np.sum(whole)), 1e-12))
