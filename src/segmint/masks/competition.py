"""Segmint's own method: what stands out is told from what it is, and each is asked of the features that know.

    start token, change by texts ─ regression ─ balanced threshold ─> how far each position is foreground
    class maps, denoising evidence ─ regression in the foreground ──> which classes there are (`presence`)
    the same of those that are there ─ standardised ─ softmax ──────> which class each position would be
    denoising evidence of each region's own class ──────────────────> which regions none of the names fits
    product ─ mean field on the image's colours ─ argmax, no specks ─> mask

Cross-attention says roughly where, and roughly what; denoising evidence says what, on one scale for all
classes; self-attention features say exactly which positions belong together. Regressing the ones on the other
keeps of a map what the image's own structure bears out.
"""

from collections.abc import Sequence

import numpy as np
from einops import rearrange
from jaxtyping import Float32, Int64, UInt8
from scipy import ndimage

from segmint.artifacts import AttentionSummary, Grid, RefinedMask, Trace
from segmint.masks.contest import Contest, contest, parted, summed_maps
from segmint.masks.evidence import ClassQuery, scaled_evidence
from segmint.masks.guided import guided_filter
from segmint.masks.meanfield import field_mask
from segmint.masks.presence import judged
from segmint.masks.resample import bilinear, nearest
from segmint.masks.ridge import Positions, Scores
from segmint.masks.settings import CompetitionSettings, MaskSettings
from segmint.vocabulary import BACKGROUND, IGNORE


def segmint(
    attention: AttentionSummary,
    image: UInt8[np.ndarray, "image_h image_w 3"],
    classes: Sequence[ClassQuery],
    settings: MaskSettings,
) -> Trace:
    """A mask by foreground and class competition.

    Args:
        attention: components, class maps of the grids that `settings.competition.texts` names, and denoising
            evidence where it was captured.
        image: RGB, any size.
        classes: what to look for, each with the share that it has to hold to be there; everything else is
            background.
        settings: sections `competition`, `denoising`, `presence` and `meanfield`.

    Returns:
        The mask; its agreement is the share that the winner holds of the pixel.

    Raises:
        ConfigError: maps were not captured, or lack a class's phrase.

    Source: our own; docs/log.md has the ablation.
    """
    size = image.shape[0], image.shape[1]
    ordered = sorted(classes, key=lambda each: each.label_id)
    if not ordered:
        sure = RefinedMask(labels=np.zeros(size, np.uint8), agreement=np.ones(size, np.float32))
        return Trace(method=settings.method, mask=sure)
    raw = summed_maps(attention, ordered, settings)
    found = contest(attention, ordered, raw, settings)
    presence = judged(found, ordered, settings.presence)
    there = [place for place, each in enumerate(ordered) if each.name not in presence.absent]
    shares = class_shares(found, there, settings.competition)
    inside = named(found, shares, there, attention.grid, settings.competition)[:, None]
    soft = np.concatenate([1 - inside, inside * shares], axis=1)
    height, width = attention.grid
    soft = rearrange(soft.astype(np.float32), "(row col) label -> label row col", row=height, col=width)
    leading = _leading(soft, settings.competition)
    soft = soft[leading]
    label_ids = tuple((BACKGROUND, *(ordered[place].label_id for place in there))[each] for each in leading)
    return Trace(
        method=settings.method,
        mask=carried(soft, image, label_ids, settings),
        presence=presence,
        separability=found.separability,
        evidence=scaled_evidence(raw, (BACKGROUND, *(each.label_id for each in ordered))),
        unrefined=nearest(_best(soft, label_ids), size),
    )


def class_shares(found: Contest, there: Sequence[int], rules: CompetitionSettings) -> Scores:
    """How the classes that are there part each position among themselves, by softmax.

    Each map counts in its own deviations within the foreground, so that a loud class does not win everywhere;
    denoising evidence counts in one deviation for all, and tells one class from another on one scale.
    """
    scores = found.standard[:, there]
    if found.gains is not None and len(there) > 1:
        scores = scores + rules.gain * found.gains[:, there]
    return parted(scores, rules.temperature)


def named(
    found: Contest, shares: Scores, there: Sequence[int], grid: Grid, rules: CompetitionSettings
) -> Positions:
    """The foreground without the regions that their own class does not help to see.

    Something always stands out, be it one of the classes or not. A name that is wrong makes the model see
    worse; a thing of few positions, though, is hardly seen better by its own name.

    Args:
        found: the classes of an image.
        shares: of the classes that are there, from `class_shares`.
        there: their places among all.
        grid: (height, width) of the positions.
        rules: `helped`, `helped_from`.
    """
    if found.helps is None:
        return found.inside
    winner = np.where(found.inside > 0.5, 1 + shares.argmax(axis=1), 0).reshape(grid)
    wrong = np.zeros(grid, bool)
    for label, place in enumerate(there, start=1):
        regions, count = ndimage.label(winner == label)
        sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
        told = np.bincount(regions.ravel(), found.helps[:, place], minlength=count + 1)[1:]
        judged = sizes >= rules.helped_from * winner.size
        wrong |= np.isin(regions, 1 + np.flatnonzero(judged & (told < rules.helped * sizes)))
    edge = ndimage.binary_dilation(wrong, iterations=2) & (winner == 0)
    return np.where((wrong | edge).ravel(), 0.0, found.inside)


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


def _leading(
    soft: Float32[np.ndarray, "label grid_h grid_w"], rules: CompetitionSettings
) -> Int64[np.ndarray, "leading"]:
    """The background and the classes that somewhere hold enough to be asked for at pixels; else all."""
    enough = (soft >= np.float32(rules.led) * soft.max(axis=0)).any(axis=(1, 2))
    enough[0] = True
    return np.flatnonzero(enough) if enough[1:].any() else np.arange(len(soft))


def _best(
    soft: Float32[np.ndarray, "label row col"], label_ids: Sequence[int]
) -> UInt8[np.ndarray, "row col"]:
    """Background where it holds half or more, else the best class."""
    best = 1 + soft[1:].argmax(axis=0)
    return np.array(label_ids, np.uint8)[np.where(soft[0] >= 0.5, 0, best)]


def drawn(
    soft: Float32[np.ndarray, "label grid_h grid_w"],
    image: UInt8[np.ndarray, "image_h image_w 3"],
    label_ids: Sequence[int],
    rules: CompetitionSettings,
) -> RefinedMask:
    """Soft labels as a mask, by the guided filter: background where it holds half or more, else the best
    class.
    """
    size = image.shape[0], image.shape[1]
    cell_px = max(size[0] / soft.shape[1], size[1] / soft.shape[2])
    radius_px = max(1, round(rules.radius_cells * cell_px))
    shares = guided_filter(bilinear(soft, size), image, radius_px=radius_px, smoothness=rules.smoothness)
    best = 1 + shares[1:].argmax(axis=0)
    winner = np.where(shares[0] >= 0.5, 0, best)
    labels = np.array(label_ids, np.uint8)[winner]
    agreement = np.clip(np.take_along_axis(shares, winner[None], axis=0)[0], 0, 1)
    labels = np.where(agreement < rules.uncertain_below, np.uint8(IGNORE), labels)
    return RefinedMask(labels=labels, agreement=agreement.astype(np.float32))
