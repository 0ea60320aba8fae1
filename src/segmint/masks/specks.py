"""Specks: regions of a mask too small for the evidence to have meant them."""

import numpy as np
from jaxtyping import Int32, Int64

from segmint.masks.features import connected

Labels = Int64[np.ndarray, "image_h image_w"]
Regions = Int32[np.ndarray, "image_h image_w"]
PAIRS = (
    (np.s_[:, :-1], np.s_[:, 1:]),
    (np.s_[:, 1:], np.s_[:, :-1]),
    (np.s_[:-1, :], np.s_[1:, :]),
    (np.s_[1:, :], np.s_[:-1, :]),
)
"""Each pixel and its neighbour on one side."""


def without_specks(labels: Labels, *, least_px: int) -> tuple[Labels, int]:
    """Labels in which every region smaller than `least_px` has been given to what surrounds it.

    A speck goes whole to the label that most of its border pixels touch, of regions that stay if there are
    any; specks that only touch specks wait until those are given away.

    Args:
        labels: any label numbers from 0; regions are connected by edges.
        least_px: 0 or 1 gives the labels back.

    Returns:
        The labels, and how many specks were given away. A mask of one region is left alone.
    """
    count = 0
    while least_px > 1:
        regions, number = regions_of(labels)
        sizes = np.bincount(regions.ravel(), minlength=number)
        small = sizes < least_px
        if not small.any() or number < 2:
            break
        heir = _heirs(labels, regions, small)
        given = small & (heir >= 0)
        labels = np.where(given[regions], heir[regions], labels)
        count += int(given.sum())
    return labels, count


def regions_of(labels: Labels) -> tuple[Regions, int]:
    """Number of each pixel's region, from 0, and how many there are; regions are connected by edges."""
    regions = connected(labels, 4)
    return regions, int(regions.max()) + 1


def _heirs(labels: Labels, regions: Regions, small: np.ndarray) -> Int64[np.ndarray, "region"]:
    """For each region the label to give it to, −1 for none: the one of most border with regions that stay.

    Where all that a speck touches is specks, the largest of the touching group stays for this round.
    """
    own, other, label = np.concatenate([_borders(regions, labels, a, b) for a, b in PAIRS], axis=1)
    stays = ~small
    if not stays.any():
        stays = np.arange(len(small)) == np.bincount(regions.ravel()).argmax()
    touching = small[own] & stays[other]
    width = int(labels.max()) + 1
    borders = np.bincount(own[touching] * width + label[touching], minlength=len(small) * width)
    borders = borders.reshape(len(small), width)
    return np.where(borders.any(axis=1), borders.argmax(axis=1), -1)


def _borders(
    regions: Regions, labels: Labels, own: tuple[slice, slice], other: tuple[slice, slice]
) -> Int64[np.ndarray, "3 border"]:
    """Where two regions meet: the one, the other, and the other's label."""
    at = np.nonzero(regions[own] != regions[other])
    return np.stack([regions[own][at], regions[other][at], labels[other][at]])
