"""Principal Component Clustering: the steps in order. See docs/method.md."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from segmint.artifacts import AttentionSummary, Trace
from segmint.masks.clusters import GridPartition, segment_grid
from segmint.masks.evidence import ClassQuery, class_evidence, maps_of
from segmint.masks.refine import PixelPartition, refine
from segmint.masks.resample import nearest
from segmint.masks.settings import MaskSettings
from segmint.masks.vote import vote


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
    maps = maps_of(attention, settings.evidence.text, settings.method)
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
