"""Grid labels carried to the image's pixels by regions of like colour (method.md step 9)."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Integer, UInt8
from PIL import Image

from segmint.artifacts import RefinedMask, VotedMask
from segmint.masks import kmeans
from segmint.masks.features import connected
from segmint.masks.pixels import PixelSamples, colour_position_points
from segmint.masks.resample import nearest
from segmint.masks.settings import RefineSettings
from segmint.vocabulary import BACKGROUND, IGNORE

Labels = UInt8[np.ndarray, "image_h image_w"]
Regions = Int32[np.ndarray, "image_h image_w"]
PixelPartition = Callable[[Float64[np.ndarray, "pixel 5"], RefineSettings], Integer[np.ndarray, "pixel"]]
"""A K-means for pixels: colour and position points, settings → cluster of each pixel. See `own_partition`."""

LABELS = 256
"""Values of a uint8 label."""


def refine(
    voted: VotedMask,
    image: UInt8[np.ndarray, "image_h image_w 3"],
    settings: RefineSettings,
    partition: PixelPartition | None = None,
) -> RefinedMask:
    """The voted labels at image resolution, each region of like colour and place taking its dominant label.

    Args:
        voted: labels on the grid; 255 counts as a label and can dominate.
        image: RGB, any size.
        settings: see its fields.
        partition: another K-means, for comparison.

    Returns:
        Labels, and the agreement of the grid position behind each pixel.

    Source: report 2.3; method.md table rows 3–5 and 8 for the published code's variants.
    """
    size = image.shape[0], image.shape[1]
    regions = colour_regions(image, settings, partition)
    labels = dominant_labels(
        merged_small(regions, settings.merge_below_px), nearest(voted.labels, size), settings
    )
    if settings.smooth:
        labels = smoothed(labels, settings)
    return RefinedMask(labels=labels, agreement=nearest(voted.agreement, size))


def colour_regions(
    image: UInt8[np.ndarray, "image_h image_w 3"],
    settings: RefineSettings,
    partition: PixelPartition | None = None,
) -> Regions:
    """Connected regions of the image's K-means clusters by colour and position, numbered from 0."""
    seen = image if settings.jpeg_quality is None else through_jpeg(image, settings.jpeg_quality)
    points = colour_position_points(seen, settings.position_span)
    cut = partition or own_partition
    clusters = np.asarray(cut(points, settings)).reshape(image.shape[:2])
    return connected(clusters, settings.connectivity)


def own_partition(
    points: Float64[np.ndarray, "pixel 5"], settings: RefineSettings
) -> Int64[np.ndarray, "pixel"]:
    """Segmint's K-means with Hamerly's bound."""
    return kmeans.cluster(
        PixelSamples(points),
        settings.clusters,
        seed=settings.seed,
        iterations=settings.iterations,
        tolerance=settings.tolerance,
    )


def merged_small(regions: Regions, merge_below_px: int) -> Regions:
    """Regions with all those under `merge_below_px` pixels made one. Source: method.md table row 4."""
    size = np.bincount(regions.ravel())
    small = np.flatnonzero(size < merge_below_px)
    if len(small) == 0:
        return regions
    renamed = np.arange(len(size), dtype=np.int32)
    renamed[small] = small[0]
    merged: Regions = renamed[regions]
    return merged


def dominant_labels(regions: Regions, labels: Labels, settings: RefineSettings) -> Labels:
    """Each region painted with the label that dominates it, or 255 where none does.

    Source: report 2.3 (`rule` "share"); method.md table row 3 ("ratio"). The lowest id wins a tie.
    """
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=LABELS))
    count, kinds = int(regions.max()) + 1, len(present)
    place = np.zeros(LABELS, np.int64)
    place[present] = np.arange(kinds)
    votes = regions.ravel() * kinds + place[labels.ravel()]
    counts = np.bincount(votes, minlength=count * kinds).reshape(count, kinds)
    top = present[counts.argmax(axis=1)]
    first = counts.max(axis=1)
    if settings.rule == "share":
        dominates = first > settings.share * counts.sum(axis=1)
    else:
        runner_up = np.partition(counts, -2, axis=1)[:, -2] if kinds > 1 else np.zeros_like(first)
        dominates = first > settings.ratio * runner_up
    painted: Labels = np.where(dominates, top, IGNORE).astype(np.uint8)[regions]
    return painted


def smoothed(labels: Labels, settings: RefineSettings) -> Labels:
    """Every class closed and ringed with 255, painted on background in ascending order, 255 last.

    Pixels that a class loses become background, unless another class or the uncertain label takes them.

    Source: method.md table row 5; the order is the one that reproduces the reference masks.
    """
    painted = np.full_like(labels, BACKGROUND)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=LABELS))
    for label in present[(present != BACKGROUND) & (present != IGNORE)]:
        shape = closed(labels == label, settings)
        painted[dilate(shape, settings.ring_px)] = IGNORE
        painted[shape] = label
    painted[labels == IGNORE] = IGNORE
    return painted


def closed(
    shape: Bool[np.ndarray, "image_h image_w"], settings: RefineSettings
) -> Bool[np.ndarray, "image_h image_w"]:
    """A shape without specks and with small holes filled; the image's edge does not erode it."""
    grown = dilate(erode(shape, settings.erode_px), settings.dilate_px)
    return erode(grown, settings.shrink_px)


def through_jpeg(
    image: UInt8[np.ndarray, "image_h image_w 3"], quality: int
) -> UInt8[np.ndarray, "image_h image_w 3"]:
    """The image as a JPEG of this quality gives it back."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer) as read:
        return np.array(read)


Pixels = Bool[np.ndarray, "image_h image_w"]


def dilate(mask: Pixels, radius_px: int) -> Pixels:
    """Pixels within `radius_px` of the mask in rows and columns (a 3×3 square, `radius_px` times)."""
    return _spread(_spread(mask, radius_px, 0), radius_px, 1)


def erode(mask: Pixels, radius_px: int) -> Pixels:
    """Pixels whose whole square of `radius_px` lies in the mask; beyond the image's edge counts as mask."""
    return ~dilate(~mask, radius_px)


def _spread(mask: Pixels, radius: int, axis: int) -> Pixels:
    """True wherever a True lies within `radius` along one axis."""
    before, after = mask.copy(), mask.copy()
    reach = 0
    while reach < radius:
        step = min(reach + 1, radius - reach)
        ahead, behind = _along(axis, slice(step, None)), _along(axis, slice(None, -step))
        before[ahead] |= before[behind].copy()
        after[behind] |= after[ahead].copy()
        reach += step
    reached: Pixels = before | after
    return reached


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return (slice(None),) * axis + (part,)
