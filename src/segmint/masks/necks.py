"""Where a region is narrow: the basins of its depth, and the passages between them.

A pixel's depth is how far it is from the region's edge. From every pixel that is no peak of depth the
steepest way leads up to one; all that lead to one peak are its basin.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

Inside = Bool[np.ndarray, "row col"]
Depth = Float[np.ndarray, "row col"]
Basins = Int[np.ndarray, "row col"]
"""Numbered from 1; 0 lies outside."""
NEIGHBOURS = [(down, across) for down in (0, 1, 2) for across in (0, 1, 2)]


def basins_of(inside: Inside) -> tuple[Depth, Basins]:
    """The depth of a region's pixels, and the basin of each."""
    padded = np.asarray(ndimage.distance_transform_edt(np.pad(inside, 1)))
    depth = padded[1:-1, 1:-1]
    height, width = inside.shape
    around = np.stack([padded[down : down + height, across : across + width] for down, across in NEIGHBOURS])
    down, across = np.divmod(around.argmax(axis=0), 3)
    rows, cols = np.indices(inside.shape)
    peaks = (depth >= around.max(axis=0)) & inside
    uphill = np.where(peaks | ~inside, rows * width + cols, (rows + down - 1) * width + cols + across - 1)
    target = uphill.ravel()
    while not np.array_equal(further := target[target], target):
        target = further
    numbered = np.asarray(ndimage.label(peaks, structure=np.ones((3, 3)))[0])
    return depth, np.where(inside, numbered.ravel()[target].reshape(inside.shape), 0)


def passages(depth: Depth, basins: Basins) -> list[tuple[float, int, int]]:
    """For each two basins that touch, the depth of the deepest passage, deepest first."""
    found: dict[tuple[int, int], float] = {}
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        touch = (basins[here] != basins[there]) & (basins[here] > 0) & (basins[there] > 0)
        pairs = np.sort(np.stack([basins[here][touch], basins[there][touch]], axis=1), axis=1)
        lows = np.minimum(depth[here][touch], depth[there][touch])
        for (one, other), low in zip(pairs.tolist(), lows.tolist(), strict=True):
            found[one, other] = max(found.get((one, other), 0.0), low)
    return sorted(((low, one, other) for (one, other), low in found.items()), reverse=True)


def joined(
    count: int,
    ways: Sequence[tuple[float, int, int]],
    join: Callable[[float, int, int], bool],
) -> Int[np.ndarray, "basin"]:
    """For each of the basins from 0 the one that stands for all that it was joined with.

    Args:
        count: how many basins, with what lies outside.
        ways: their passages, deepest first.
        join: asked for each passage between two that are not joined yet; where it says yes, the first
            stands for both.
    """
    owner = np.arange(count)
    for depth, one, other in ways:
        a, b = _root(owner, one), _root(owner, other)
        if a != b and join(depth, a, b):
            owner[b] = a
    return np.array([_root(owner, each) for each in range(count)])


def _root(owner: Int[np.ndarray, "basin"], each: int) -> int:
    while owner[each] != each:
        each = int(owner[each])
    return each
