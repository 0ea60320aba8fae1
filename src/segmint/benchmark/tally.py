"""What is counted of a method's masks: true against given labels, and how well their borders meet.

Every figure comes from counts summed over all images of a set, so that images weigh by their pixels and a
class that an image lacks costs it nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from scipy import ndimage

from segmint.artifacts import Mask
from segmint.errors import ImageError
from segmint.masks.specks import regions_of
from segmint.scores import Confusion, confusion, mean, share
from segmint.vocabulary import IGNORE

BORDER_FRACTION = 0.02
"""Width of a border as a share of the image's diagonal. Source: Cheng et al. 2021, Boundary IoU."""

SPECK_PX = 16
"""Regions of so many pixels or fewer are specks."""

Counts = Int64[np.ndarray, " label"]
AnyMask = UInt8[np.ndarray, "given_h given_w"]
"""A mask that need not have the size of the true one; `tally` refuses it then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Pixel counts of a set of images; add the tallies of two sets to have that of both.

    `confusion` is as in `segmint.scores`. `border_both` and `border_any` count the pixels of each label's
    border bands that both masks share, and that either has. Pixels whose truth is 255 are in none of them.
    `specks` counts the given masks' regions of SPECK_PX or fewer, of whatever label.
    """

    confusion: Confusion
    border_both: Counts
    border_any: Counts
    specks: int = 0

    @classmethod
    def empty(cls, label_count: int) -> "Tally":
        """The counts of no image."""
        none = np.zeros(label_count, np.int64)
        return cls(
            confusion=np.zeros((label_count, label_count + 1), np.int64), border_both=none, border_any=none
        )

    def __add__(self, other: "Tally") -> "Tally":
        """The counts of both sets."""
        return Tally(
            confusion=self.confusion + other.confusion,
            border_both=self.border_both + other.border_both,
            border_any=self.border_any + other.border_any,
            specks=self.specks + other.specks,
        )

    @property
    def uncertain(self) -> float | None:
        """Share of the pixels that were left uncertain."""
        return share(self.confusion[:, -1].sum(), self.confusion.sum())

    @property
    def foreground_recall(self) -> float | None:
        """Share of the classes' true pixels that were given some class."""
        return share(self.confusion[1:, 1:-1].sum(), self.confusion[1:].sum())

    @property
    def right_class(self) -> float | None:
        """Share of these that were given the right one."""
        found = self.confusion[1:, 1:-1]
        return share(np.trace(found), found.sum())

    @property
    def boundary_iou(self) -> float | None:
        """Intersection over union of the border bands, mean over the labels that have a true pixel."""
        bands = zip(self.border_both, self.border_any, self.confusion.sum(axis=1), strict=True)
        return mean([share(both, either) for both, either, true in bands if true])


def tally(truth: Mask, labels: AnyMask, *, label_count: int) -> Tally:
    """Count one image.

    Args:
        truth: true label ids; 255 is left out of every count.
        labels: label ids given; 255 is uncertain.
        label_count: labels in all, the background among them.

    Raises:
        ImageError: the masks differ in size, or an id is neither a label nor 255.
    """
    _check(truth, labels, label_count)
    known = truth != IGNORE
    both, either = np.zeros(label_count, np.int64), np.zeros(label_count, np.int64)
    width_px = border_width_px(truth.shape)
    for label in np.union1d(truth, labels):
        if label != IGNORE:
            true_band = border(truth == label, width_px=width_px) & known
            given_band = border(labels == label, width_px=width_px) & known
            both[label] = np.count_nonzero(true_band & given_band)
            either[label] = np.count_nonzero(true_band | given_band)
    counted = confusion(truth, labels, count=label_count)
    return Tally(confusion=counted, border_both=both, border_any=either, specks=specks_of(labels))


def specks_of(labels: AnyMask) -> int:
    """How many regions have SPECK_PX pixels or fewer; regions are connected by edges."""
    regions, number = regions_of(labels.astype(np.int64))
    return int((np.bincount(regions.ravel(), minlength=number) <= SPECK_PX).sum())


def border(
    region: Bool[np.ndarray, "image_h image_w"], *, width_px: int
) -> Bool[np.ndarray, "image_h image_w"]:
    """The region's pixels within `width_px` (chessboard distance) of other regions or the image's edge.

    Source: Cheng et al. 2021, Boundary IoU, section 4.
    """
    core = ndimage.minimum_filter(region, size=2 * width_px + 1, mode="constant", cval=False)
    return np.asarray(region & ~core)


def border_width_px(shape: Sequence[int]) -> int:
    """Border width for an image of this height and width; at least one pixel."""
    return max(1, round(BORDER_FRACTION * float(np.hypot(shape[0], shape[1]))))


def _check(truth: Mask, labels: AnyMask, label_count: int) -> None:
    if truth.shape != labels.shape:
        expected, found = (f"{mask.shape[1]}×{mask.shape[0]}" for mask in (truth, labels))
        raise ImageError(f"masks differ in size: the truth has {expected} px, the other {found} px")
    for name, mask in (("true", truth), ("given", labels)):
        unknown = np.setdiff1d(mask, np.array([*range(label_count), IGNORE], np.uint8))
        if unknown.size:
            raise ImageError(f"{name} mask holds label {unknown[0]}; expected 0 to {label_count - 1}, or 255")
