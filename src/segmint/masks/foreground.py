"""What stands out of an image, whatever it is: the foreground that classes then part among themselves.

The start token is attended to where nothing named is; texts of classes change the predicted noise where a
thing is. Both are regressed on the self-attention features, and their sum is parted by a threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import ndimage
from scipy.special import expit

from segmint.artifacts import Grid
from segmint.errors import ConfigError
from segmint.masks.ridge import Features, Positions, regressed
from segmint.masks.settings import CompetitionSettings

HISTOGRAM_BINS = 64
"""Bins of Otsu's histogram; more do not move its threshold noticeably."""
ROUNDS = 4
"""Thresholds found one after the other; later ones hardly move."""
NEAREST = 8
"""Positions of the larger group that are looked at beside the smaller one, at least."""
FEWEST = 4
"""Positions of a small thing, at least."""
HIGH_STARTS = (0.92, 0.97, 0.985, 0.993)
"""Quantiles from which a small thing is sought."""
PREFERENCE = 0.06
"""By so much better must a small thing be parted than what Otsu's own threshold leads to."""
OUTSTANDING = 3.5
"""Deviations of the whole picture above which a small thing's mean speaks for it …"""
OUTSTANDING_GAIN = 0.1
"""… by so much a deviation: few positions that far out are no part of a larger thing."""


GROWS = 2.5
"""As many times its area may what stands out take when it is looked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreground:
    """What stands out of an image."""

    inside: Positions
    """How far each position is, in (0, 1); around the threshold a logistic curve of the distance."""
    separability: float
    """Share of the variance that lies between foreground and background, in [0, 1]: 0.64 where values are
    scattered like a bell, near 1 where there are two groups. Source: Otsu 1979."""


def foreground(
    start_token: Positions,
    change: Positions | None,
    features: Features,
    grid: Grid,
    rules: CompetitionSettings,
) -> Foreground:
    """The foreground of an image, and how well it is parted from the rest.

    Args:
        start_token: attention to it, or to what stands for the background.
        change: by the prompt while drawing (`Generation.guidance`), or by texts of classes
            (`DenoisingEvidence.change`), where either was captured.
        features: of the layers that know what stands out.
        grid: (height, width) of the positions.
        rules: `foreground_ridge`, `stands_out`, `change`, `balance`, `edge`.

    Raises:
        ConfigError: the rules want the change alone, and it was not captured.
    """
    signs = _signs(start_token, change, rules)
    stacked = np.stack([each for _, each in signs], axis=1)
    smooth = regressed(stacked, features, np.ones(len(start_token)), rules.foreground_ridge)
    height = _standard(smooth[:, 0])
    for (weight, _), values in zip(signs[1:], smooth.T[1:], strict=True):
        height = _standard(height + weight * _standard(values))
    threshold = balanced_threshold(height.reshape(grid), rules.balance) if rules.balance else otsu(height)
    return Foreground(
        inside=np.asarray(expit((height - threshold) / rules.edge)),
        separability=round(_between(height, threshold), 4),
    )


def confirmed(found: Foreground, again: Callable[[], Foreground], rules: CompetitionSettings) -> Foreground:
    """The foreground, or a second one that is parted better and holds somewhat more.

    Parts of a large thing that look like the ground behind it (a white sail before snow) are lost to features
    that see patches alone. Such a foreground is badly parted from the rest, and coarser features may tell. Of
    small things they do not.

    Args:
        found: by the finest features.
        again: by coarser ones as well; asked for only in doubt.
        rules: `doubted`, `doubted_from`.
    """
    area = float(np.mean(found.inside > 0.5))
    if found.separability >= rules.doubted or area < rules.doubted_from:
        return found
    other = again()
    grown = float(np.mean(other.inside > 0.5)) / area
    return other if other.separability > found.separability and 1 <= grown <= GROWS else found


def _signs(
    start_token: Positions, change: Positions | None, rules: CompetitionSettings
) -> list[tuple[float, Positions]]:
    """What tells of the foreground, high where it is, with its weight beside the first."""
    signs = [] if rules.stands_out == "change" else [(1.0, -start_token)]
    if change is not None and rules.change and rules.stands_out != "background":
        signs.append((rules.change, change))
    if not signs:
        raise ConfigError(
            "masks.competition.stands_out is 'change', but neither guidance nor denoising evidence is known "
            "to take it from; set masks.denoising.use, or take 'both'"
        )
    return signs


def otsu(values: Positions) -> float:
    """The threshold that parts values into the two groups of least inner variance. Source: Otsu 1979."""
    return _parting(values)[0]


def balanced_threshold(values: Float64[np.ndarray, "grid_h grid_w"], balance: float) -> float:
    """Otsu's threshold where both of its groups are of like size, as it wants them.

    A thing that fills little of the picture, or nearly all of it, drowns in the other group's variance. So
    the smaller group is held against those of the other that lie nearest to it alone, and again with the
    groups that come of that. What is sought from Otsu's own threshold may be lost to a small thing already;
    so it is sought from high ones too, and the better parted is taken.

    Args:
        values: high where it is foreground, with mean 0 and deviation 1.
        balance: how many of the nearer positions are taken, in sizes of the smaller group.
    """
    start = otsu(values.ravel())
    best, most = _settled(values, start, balance)
    most += PREFERENCE
    for high in np.quantile(values, HIGH_STARTS):
        threshold, parted = _settled(values, float(high), balance)
        above = values[values > threshold]
        if above.size < FEWEST:
            continue
        parted += OUTSTANDING_GAIN * max(0.0, float(above.mean()) - OUTSTANDING)
        if parted > most:
            best, most = threshold, parted
    return best


def _settled(
    values: Float64[np.ndarray, "grid_h grid_w"], threshold: float, balance: float
) -> tuple[float, float]:
    """The balanced threshold that is reached from another, and how well it parts its two groups."""
    flat = values.ravel()
    parted = 0.0
    for _ in range(ROUNDS):
        above = values > threshold
        smaller = above if 2 * above.sum() <= above.size else ~above
        near = int(max(NEAREST, balance * smaller.sum()))
        if not smaller.any() or near >= smaller.size - smaller.sum():
            break
        away = np.where(smaller, np.inf, ndimage.distance_transform_edt(~smaller)).ravel()
        beside = np.argpartition(away, near - 1)[:near]
        before = threshold
        threshold, parted = _parting(np.concatenate([values[smaller], flat[beside]]))
        if threshold == before:
            break
    return threshold, parted


def _parting(values: Positions) -> tuple[float, float]:
    """Otsu's threshold, and the share of the variance that lies between its groups, in [0, 1].

    Across a gap all thresholds are as good as one another; the middle one is taken.
    """
    counts, edges = np.histogram(values, HISTOGRAM_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, mass = np.cumsum(counts)[:-1].astype(np.float64), np.cumsum(counts * centres)
    above = len(values) - below
    gap = mass[-1] / len(values) * below - mass[:-1]
    between = len(values) * gap**2 / np.maximum(below * above, 1)
    whole = float((counts * (centres - mass[-1] / len(values)) ** 2).sum())
    best = edges[1:-1][between >= between.max() * (1 - 1e-9)]
    return float(best.mean()), float(between.max()) / max(whole, 1e-12)


def _between(values: Positions, threshold: float) -> float:
    """Share of the variance that lies between the groups of a threshold; 0 where there is but one group."""
    above = values > threshold
    if above.all() or not above.any() or not values.var():
        return 0.0
    gap = values[above].mean() - values[~above].mean()
    return float(above.mean() * (1 - above.mean()) * gap**2 / values.var())


def _standard(values: Positions) -> Positions:
    """With mean 0 and deviation 1; constant values become 0."""
    centred = values - values.mean()
    return np.asarray(centred / max(float(centred.std()), 1e-12))
