"""Principal Component Clustering: the steps in order. See docs/method.md."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64, UInt8

from segmint.artifacts import AttentionSummary, ClassEvidence, Clusters, Trace, VotedMask
from segmint.masks.evidence import ClassQuery, at_grid, class_evidence, maps_of
from segmint.masks.features import GridPartition, segment_grid
from segmint.masks.refine import PixelPartition, refine
from segmint.masks.resample import nearest
from segmint.masks.settings import MaskSettings, VoteSettings
from segmint.vocabulary import BACKGROUND, IGNORE


def pcc(
    attention: AttentionSummary,
    image: UInt8[np.ndarray, "image_h image_w 3"],
    classes: Sequence[ClassQuery],
    settings: MaskSettings,
    *,
    grid_partition: GridPartition | None = None,
    pixel_partition: PixelPartition | None = None,
) -> Trace:
    """A mask by Principal Component Clustering, with every stage that led to it.

    The profiles `pcc` (the report's rules) and `pcc-published` (the published code's) both run here.

    Args:
        attention: components and token maps of one image.
        image: RGB, any size.
        classes: what to look for; everything else is background.
        settings: see its fields.
        grid_partition: another K-means for the grid, for comparison.
        pixel_partition: another K-means for the pixels.

    Raises:
        ConfigError: the text that `settings.evidence` names was not captured, or lacks a class's phrase.

    Source: method.md steps 3–9.
    """
    maps = at_grid(maps_of(attention, settings.evidence.text, settings.method), attention.grid)
    size = image.shape[0], image.shape[1]
    clusters = segment_grid(attention.components, attention.grid, settings.clusters, grid_partition)
    evidence = class_evidence(maps, classes, size, settings.evidence)
    voted = vote(clusters, evidence, settings.vote)
    return Trace(
        method=settings.method,
        mask=refine(voted, image, settings.refine, pixel_partition),
        evidence=evidence,
        clusters=clusters,
        voted=voted,
        unrefined=nearest(voted.labels, size),
    )


def vote(clusters: Clusters, evidence: ClassEvidence, settings: VoteSettings) -> VotedMask:
    """Label of each grid position by the mode over all trials and thresholds; 255 where too few agree.

    Args:
        clusters: connected segments of each K-means trial.
        evidence: values in [0, 1], background first.
        settings: thresholds, the background's factor, and the share that the winner must exceed.

    Returns:
        All ballots (trial-major, then threshold), the labels, and the winner's share at each position, kept
        where the label is 255 too.

    Source: report 2.2. Ties go to the lowest label id (method.md table row 7).
    """
    binary = binarised(evidence, settings)
    label_ids = np.array(evidence.label_ids, dtype=np.uint8)
    ballots = np.concatenate([classify(segments, binary, label_ids) for segments in clusters.segments])
    counts = np.stack([(ballots == label).sum(axis=0) for label in label_ids])
    winner, winning = counts.argmax(axis=0), counts.max(axis=0)
    certain = winning > settings.share * len(ballots)
    labels = np.where(certain, label_ids[winner], np.uint8(IGNORE))
    agreement = (winning / len(ballots)).astype(np.float32)
    return VotedMask(ballots=ballots, labels=labels, agreement=agreement)


def binarised(
    evidence: ClassEvidence, settings: VoteSettings
) -> Bool[np.ndarray, "threshold label grid_h grid_w"]:
    """Where each label's evidence exceeds each threshold, the background's raised by its factor."""
    thresholds = np.outer(settings.thresholds, np.ones(len(evidence.label_ids)))
    is_background = np.array(evidence.label_ids) == BACKGROUND
    thresholds[:, is_background] *= settings.background_factor
    return evidence.values[None] > thresholds.astype(np.float32)[:, :, None, None]


def classify(
    segments: Int32[np.ndarray, "grid_h grid_w"],
    binary: Bool[np.ndarray, "threshold label grid_h grid_w"],
    label_ids: UInt8[np.ndarray, "label"],
) -> UInt8[np.ndarray, "threshold grid_h grid_w"]:
    """Each segment's label at each threshold: the one whose binary map has the highest IoU with it.

    A segment that overlaps no map is background. IoU is in float32, and the lowest id wins a tie (row 7).
    """
    overlap, size = overlaps(segments, binary)
    area = binary.sum(axis=(2, 3))[:, :, None]
    union = area + size - overlap
    iou: Float32[np.ndarray, "threshold label segment"] = overlap.astype(np.float32) / union.astype(
        np.float32
    )
    chosen = np.where(overlap.any(axis=1), label_ids[iou.argmax(axis=1)], np.uint8(BACKGROUND))
    return chosen[:, segments]


def overlaps(
    segments: Int32[np.ndarray, "grid_h grid_w"], binary: Bool[np.ndarray, "threshold label grid_h grid_w"]
) -> tuple[Int64[np.ndarray, "threshold label segment"], Int64[np.ndarray, "segment"]]:
    """How many positions each segment shares with each binary map, and how many it has."""
    size = np.bincount(segments.ravel())
    maps = binary.shape[0] * binary.shape[1]
    which, where = np.nonzero(binary.reshape(maps, -1))
    flat = np.bincount(which * len(size) + segments.ravel()[where], minlength=maps * len(size))
    return flat.reshape(*binary.shape[:2], len(size)), size
