"""Segmint's own method: what stands out is told from what it is, and each is asked of the features that know.

    start-token map ─ regression on self-attention ─ Otsu's threshold ─> how far each position is foreground
    class maps ─ standardised in the foreground ─ regression ─ softmax ─> which class it would then be
    product ─ mean field on the image's colours ─ argmax, no specks ─> mask

Cross-attention says roughly where, and roughly what; self-attention features say exactly which positions
belong together. Regressing the one on the other keeps of a map what the image's own structure bears out.
"""

from collections.abc import Sequence

import numpy as np
from einops import rearrange
from jaxtyping import Float32, UInt8
from scipy.special import expit

from segmint.artifacts import AttentionSummary, RefinedMask, Trace
from segmint.masks.evidence import SOT_ROW, ClassQuery, class_map, maps_of, scaled_evidence
from segmint.masks.guided import guided_filter
from segmint.masks.meanfield import field_mask
from segmint.masks.resample import bilinear
from segmint.masks.ridge import Features, Positions, Scores, features_of, regressed
from segmint.masks.settings import CompetitionSettings, MaskSettings
from segmint.vocabulary import BACKGROUND, IGNORE

HISTOGRAM_BINS = 64
"""Bins of Otsu's histogram; more do not move its threshold noticeably."""


def segmint(
    attention: AttentionSummary,
    image: UInt8[np.ndarray, "image_h image_w 3"],
    classes: Sequence[ClassQuery],
    settings: MaskSettings,
) -> Trace:
    """A mask by foreground and class competition.

    Args:
        attention: components, and class maps of the grids that `settings.competition.texts` names.
        image: RGB, any size.
        classes: what to look for; everything else is background.
        settings: sections `competition` and `meanfield`.

    Returns:
        The mask; its agreement is the share that the winner holds of the pixel.

    Raises:
        ConfigError: maps were not captured, or lack a class's phrase.

    Source: our own; docs/log.md has the ablation.
    """
    rules = settings.competition
    size = image.shape[0], image.shape[1]
    ordered = sorted(classes, key=lambda each: each.label_id)
    if not ordered:
        sure = RefinedMask(labels=np.zeros(size, np.uint8), agreement=np.ones(size, np.float32))
        return Trace(method=settings.method, mask=sure)
    raw = summed_maps(attention, ordered, settings)
    soft = soft_labels(raw, attention, rules)
    label_ids = (BACKGROUND, *(each.label_id for each in ordered))
    return Trace(
        method=settings.method,
        mask=carried(soft, image, label_ids, settings),
        evidence=scaled_evidence(raw, label_ids),
        unrefined=drawn(soft, image, label_ids, rules, filtered=False).labels,
    )


def summed_maps(
    attention: AttentionSummary, classes: Sequence[ClassQuery], settings: MaskSettings
) -> Float32[np.ndarray, "label grid_h grid_w"]:
    """The start token's map and each class's, summed over the texts' grids at the largest grid."""
    total = np.zeros((1 + len(classes), *attention.grid), np.float32)
    for text in settings.competition.texts:
        maps = maps_of(attention, text, settings.method)
        rows = np.stack([maps.values[SOT_ROW], *(class_map(maps, each) for each in classes)])
        total += bilinear(rows, attention.grid)
    return total


def soft_labels(
    maps: Float32[np.ndarray, "label grid_h grid_w"], attention: AttentionSummary, rules: CompetitionSettings
) -> Float32[np.ndarray, "label grid_h grid_w"]:
    """Share of each label: the background's, and the foreground's parted among the classes."""
    cells = cells_of(maps)
    fine = features_of(attention.components, attention.grid, levels=rules.foreground_levels)
    wide = features_of(attention.components, attention.grid, levels=rules.class_levels)
    inside = foreground(cells[:, 0], fine, rules)
    shares = class_shares(cells[:, 1:], wide, inside, rules)
    found = np.concatenate([1 - inside[:, None], inside[:, None] * shares], axis=1)
    height, width = attention.grid
    return rearrange(found.astype(np.float32), "(row col) label -> label row col", row=height, col=width)


def foreground(start_token: Positions, features: Features, rules: CompetitionSettings) -> Positions:
    """How far each position is foreground, in (0, 1): low where the start token is attended to.

    The regressed map is parted by Otsu's threshold; around it a logistic curve turns distance, in standard
    deviations of the map, into a share.
    """
    smooth = regressed(start_token[:, None], features, np.ones(len(start_token)), rules.ridge)[:, 0]
    spread = max(float(smooth.std()), 1e-12)
    return np.asarray(expit((otsu(smooth) - smooth) / (rules.edge * spread)))


def class_shares(maps: Scores, features: Features, inside: Positions, rules: CompetitionSettings) -> Scores:
    """How the classes part each position among themselves.

    Each map is standardised by its mean and deviation in the foreground, so that a loud class does not win
    everywhere, regressed there, and the classes compete by softmax.
    """
    weight = np.maximum(inside, 1e-9)  # where nothing stands out, every position counts alike
    weight = weight / weight.sum()
    centred = maps - weight @ maps
    deviation = np.sqrt(weight @ centred**2)
    scores = centred / np.where(deviation > 0, deviation, 1)
    scores = regressed(scores, features, weight, rules.ridge)
    return parted(scores, rules.temperature)


def parted(scores: Scores, temperature: float) -> Scores:
    """Softmax over the labels."""
    odds = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def cells_of(maps: Float32[np.ndarray, "label grid_h grid_w"]) -> Scores:
    """Maps as one row a position."""
    return rearrange(maps, "label row col -> (row col) label").astype(np.float64)


def otsu(values: Positions) -> float:
    """The threshold that parts values into the two groups of least inner variance. Source: Otsu 1979."""
    counts, edges = np.histogram(values, HISTOGRAM_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, mass = np.cumsum(counts)[:-1].astype(np.float64), np.cumsum(counts * centres)
    above = len(values) - below
    gap = mass[-1] / len(values) * below - mass[:-1]
    between = gap**2 / np.maximum(below * above, 1)
    return float(edges[1:-1][between.argmax()])


def carried(
    soft: Float32[np.ndarray, "label grid_h grid_w"],
    image: UInt8[np.ndarray, "image_h image_w 3"],
    label_ids: Sequence[int],
    settings: MaskSettings,
) -> RefinedMask:
    """Soft labels as a mask that follows the image's colours, by the step that the settings name."""
    rules = settings.competition
    if rules.to_pixels == "guided":
        return drawn(soft, image, label_ids, rules)
    found = field_mask(soft, image, settings.meanfield)
    labels = np.array(label_ids, np.uint8)[found.winner]
    labels = np.where(found.agreement < rules.uncertain_below, np.uint8(IGNORE), labels)
    return RefinedMask(labels=labels, agreement=found.agreement, specks=found.specks)


def drawn(
    soft: Float32[np.ndarray, "label grid_h grid_w"],
    image: UInt8[np.ndarray, "image_h image_w 3"],
    label_ids: Sequence[int],
    rules: CompetitionSettings,
    *,
    filtered: bool = True,
) -> RefinedMask:
    """Soft labels as a mask: background where it holds half or more, else the best class."""
    size = image.shape[0], image.shape[1]
    shares = bilinear(soft, size)
    if filtered:
        cell_px = max(size[0] / soft.shape[1], size[1] / soft.shape[2])
        radius_px = max(1, round(rules.radius_cells * cell_px))
        shares = guided_filter(shares, image, radius_px=radius_px, smoothness=rules.smoothness)
    best = 1 + shares[1:].argmax(axis=0)
    winner = np.where(shares[0] >= 0.5, 0, best)
    labels = np.array(label_ids, np.uint8)[winner]
    agreement = np.clip(np.take_along_axis(shares, winner[None], axis=0)[0], 0, 1)
    labels = np.where(agreement < rules.uncertain_below, np.uint8(IGNORE), labels)
    return RefinedMask(labels=labels, agreement=agreement.astype(np.float32))
