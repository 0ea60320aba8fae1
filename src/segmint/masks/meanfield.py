"""From the grid to pixels: what the colours say beyond what is common nearby.

    shares on the grid ─ made honest ─ bilinear ───────────────────────────────────────────┐
    shares at pixels ─ mean over near pixels of like colour, against that of all around ───┤ log odds
    shares at pixels ─ mean over the nearest pixels ───────────────────────────────────────┘
    their weighted sum ─ softmax ─> shares at pixels, and round again

A pixel takes the label that pixels of its colour hold around here, unless the grid knows better; the new
shares say anew which colours a label has, a few rounds long. A mean over like colours alone would favour what
is common: so it is held against how common the label is in the wider surroundings.

Evidence that changes gently from position to position was blurred on its way and leaves borders to the
colours; evidence that changes sharply is trusted more. Evidence that changes as sharply as no average over
positions does is overconfident and is spread first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from scipy import ndimage

from segmint.masks.colourgrid import Bins, ColourGrid, colour_grid
from segmint.masks.resample import bilinear
from segmint.masks.settings import MeanFieldSettings
from segmint.masks.specks import without_specks

GridShares = Float32[np.ndarray, "label grid_h grid_w"]
Shares = Float32[np.ndarray, "label image_h image_w"]
Lattice = Float32[np.ndarray, "label row col"]
"""At every so-manieth row and column of the image, or at all."""
Image = UInt8[np.ndarray, "image_h image_w 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMask:
    """A mask made of shares at pixels."""

    winner: Int64[np.ndarray, "image_h image_w"]
    """Each pixel's label, by its place among the shares."""
    agreement: Float32[np.ndarray, "image_h image_w"]
    """Share that the winner holds; low where a speck was given away."""
    specks: int
    """How many regions were given to their surroundings."""


def to_pixels(shares: GridShares, image: Image, rules: MeanFieldSettings) -> Shares:
    """Label shares at pixels, from label shares on the grid and the image's colours.

    Args:
        shares: of each label at each position, 0 to 1 with sum 1.
        image: RGB, any size.
        rules: all settings of the field.

    Returns:
        Shares that sum to 1 at every pixel; one label alone holds all.

    Source: mean-field inference as in Krähenbühl and Koltun 2011, with a ratio of colour likelihoods (the
    local colour histograms of Rother et al. 2004, GrabCut, made soft) in place of their pairwise potential.
    """
    size = image.shape[0], image.shape[1]
    cell_px = size[0] / shares.shape[1], size[1] / shares.shape[2]
    step = max(1, int(min(cell_px) / rules.samples))
    honest = honest_shares(shares, rules)
    weight = np.float32(colour_strength(honest, rules))
    common = bilinear(np.log(_surroundings(honest, rules) + np.float32(rules.faint)), size)
    start = bilinear(honest, size)
    prior = np.log(start + np.float32(rules.doubt)) - (weight * np.float32(rules.prior)) * common
    grids = _grids(image, cell_px, step, rules)
    field = start[:, ::step, ::step]
    for _ in range(rules.rounds - 1):
        odds = weight * _colour_odds(grids, field, step, rules)
        odds += weight * np.float32(rules.neighbours) * _blurred(field, rules.neighbour_cells, cell_px, step)
        field = _softmax(odds + prior[:, ::step, ::step])
    odds = weight * _colour_odds(grids, field, 1, rules)
    odds += weight * np.float32(rules.neighbours) * _enlarged(field, step, size)
    odds = _blurred(odds, rules.smooth_cells, cell_px, 1) + prior
    return _softmax(odds * (np.float32(rules.calibrated) / weight) ** np.float32(rules.calibration))


def field_mask(shares: GridShares, image: Image, rules: MeanFieldSettings) -> FieldMask:
    """The label of each pixel: the highest share, but for specks, which go to what surrounds them.

    Args:
        shares: as `to_pixels`.
        image: RGB, any size.
        rules: all settings of the field.
    """
    held = to_pixels(shares, image, rules)
    cell_px2 = (image.shape[0] / shares.shape[1]) * (image.shape[1] / shares.shape[2])
    least_px = math.ceil(rules.speck_cells * cell_px2)
    winner, specks = without_specks(held.argmax(axis=0), least_px=least_px)
    agreement = np.take_along_axis(held, winner[None], axis=0)[0]
    return FieldMask(winner=winner, agreement=agreement, specks=specks)


def honest_shares(shares: GridShares, rules: MeanFieldSettings) -> GridShares:
    """Shares whose borders are as gentle as their places are uncertain.

    Overconfident evidence jumps from one position to the next, and its borders are off by a position or two.
    It is spread by `spread_cells` where it is crisper than `crisp_most`, gradually from `crisp_least` on. A
    label keeps part of what it loses where it was sure, so that small things do not drown.
    """
    ramp = (crispness(shares) - rules.crisp_least) / (rules.crisp_most - rules.crisp_least)
    spread = rules.spread_cells * min(max(ramp, 0.0), 1.0)
    if spread == 0:
        return shares
    wide = np.asarray(ndimage.gaussian_filter(shares, (0, spread, spread), mode="nearest"))
    kept = (shares * wide).sum(axis=(1, 2)) / np.maximum((shares**2).sum(axis=(1, 2)), np.float32(1e-9))
    wide /= np.sqrt(np.maximum(kept, np.float32(1e-3)))[:, None, None]
    return np.asarray(wide / wide.sum(axis=0))


def crispness(shares: GridShares) -> float:
    """Median share that changes hands between neighbours with different winners; 1 without any."""
    winner = shares.argmax(axis=0)
    changes = []
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:, :], np.s_[:-1, :])):
        moved = np.abs(shares[:, *a] - shares[:, *b]).sum(axis=0) / 2
        changes.append(moved[winner[a] != winner[b]])
    found = np.concatenate(changes)
    return float(np.median(found)) if found.size else 1.0


def colour_strength(honest: GridShares, rules: MeanFieldSettings) -> float:
    """Weight of the colours' odds: the gentler the evidence's borders, the more."""
    wanted = rules.strength * (rules.crisp / max(crispness(honest), 1e-6)) ** rules.steepness
    return float(np.clip(wanted, rules.strength_least, rules.strength_most))


def _surroundings(shares: GridShares, rules: MeanFieldSettings) -> GridShares:
    """Mean over the wider surroundings, a box twice."""
    side = 2 * rules.surroundings_cells + 1
    once = ndimage.uniform_filter(shares, (1, side, side), mode="nearest")
    return np.asarray(ndimage.uniform_filter(once, (1, side, side), mode="nearest"))


def _grids(
    image: Image, cell_px: tuple[float, float], step: int, rules: MeanFieldSettings
) -> list[ColourGrid]:
    """Two bilateral grids or more, each of its own reach and cut at other places."""
    return [
        colour_grid(
            image,
            bin_px=(cells * cell_px[0], cells * cell_px[1]),
            bin_lab=rules.bin_lab,
            shift=at / len(rules.bin_cells),
            step=step,
        )
        for at, cells in enumerate(rules.bin_cells)
    ]


def _colour_odds(
    grids: Sequence[ColourGrid], field: Lattice, step: int, rules: MeanFieldSettings
) -> Float32[np.ndarray, "label at_row at_col"]:
    """Logarithm of what pixels of like colour hold nearby, at every `step`-th row and column."""
    total = np.zeros(1, np.float32)
    for grid in grids:
        logs: Bins = np.log(grid.means(field) + np.float32(rules.faint)) / np.float32(len(grids))
        total = total + grid.at_pixels(logs, step=step)
    return total


def _blurred(values: Lattice, cells: float, cell_px: tuple[float, float], step: int) -> Lattice:
    """A Gaussian of so many cells, on every `step`-th row and column."""
    sigma = (0.0, cells * cell_px[0] / step, cells * cell_px[1] / step)
    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3))


def _enlarged(field: Lattice, step: int, size: tuple[int, int]) -> Shares:
    """Each value repeated over the rows and columns that it stands for."""
    return np.asarray(field.repeat(step, axis=1).repeat(step, axis=2)[:, : size[0], : size[1]])


def _softmax(logits: Lattice) -> Lattice:
    odds = logits - logits.max(axis=0)
    np.exp(odds, out=odds)
    return np.asarray(odds / odds.sum(axis=0))
