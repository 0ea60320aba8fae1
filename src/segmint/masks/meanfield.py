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

from segmint.artifacts import Grid
from segmint.masks.colourgrid import ColourGrid, colour_grid
from segmint.masks.resample import Part, bilinear
from segmint.masks.settings import MeanFieldSettings
from segmint.masks.specks import without_specks

GridShares = Float32[np.ndarray, "label grid_h grid_w"]
Shares = Float32[np.ndarray, "label image_h image_w"]
Lattice = Float32[np.ndarray, "label row col"]
"""At every so-manieth row and column of the image, or at all."""
Logs = Float32[np.ndarray, "_bin label"]
"""Of one grid; each has bins of its own."""
Image = UInt8[np.ndarray, "image_h image_w 3"]

TRUNCATE = 3.0
"""Deviations at which Gaussians end."""
STRIP_VALUES = 1_000_000
"""Shares that the last update makes at once: what a core's cache holds, and no more memory."""
LEAST_ROWS = 16
"""Of such a strip, so that what strips share at their borders costs little."""


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
    known = _known(shares, image, rules)
    field = _settled(known)
    logs = _colour_logs(known, field)
    held = np.empty((len(shares), *size), np.float32)
    rows = max(LEAST_ROWS, STRIP_VALUES // (len(shares) * size[1]))
    for first in range(0, size[0], rows):
        _last_update(known, field, logs, slice(first, min(first + rows, size[0])), held)
    return held


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
    winner, specks = without_specks(_highest(held), least_px=least_px)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What all updates of one field read."""

    honest: GridShares
    common: GridShares
    """Logarithm of the means over the surroundings."""
    weight: np.float32
    """Of the colours' odds."""
    grids: Sequence[ColourGrid]
    """Two or more, each of its own reach and cut at other places."""
    size: Grid
    cell_px: tuple[float, float]
    step: int
    """Of the lattice that all updates but the last look at."""
    rules: MeanFieldSettings


def _known(shares: GridShares, image: Image, rules: MeanFieldSettings) -> _Known:
    honest = honest_shares(shares, rules)
    cell_px = image.shape[0] / shares.shape[1], image.shape[1] / shares.shape[2]
    step = max(1, int(min(cell_px) / rules.samples))
    grids = [
        colour_grid(
            image,
            bin_px=(cells * cell_px[0], cells * cell_px[1]),
            bin_lab=rules.bin_lab,
            shift=at / len(rules.bin_cells),
            step=step,
        )
        for at, cells in enumerate(rules.bin_cells)
    ]
    return _Known(
        honest=honest,
        common=np.log(_surroundings(honest, rules) + np.float32(rules.faint)),
        weight=np.float32(colour_strength(honest, rules)),
        grids=grids,
        size=(image.shape[0], image.shape[1]),
        cell_px=cell_px,
        step=step,
        rules=rules,
    )


def _settled(known: _Known) -> Lattice:
    """The field on the lattice, after all updates but the last."""
    rules, part = known.rules, (slice(None, None, known.step), slice(None, None, known.step))
    field = bilinear(known.honest, known.size, part)
    prior = _prior(known, field, part)
    for _ in range(rules.rounds - 1):
        odds = _colour_odds(known.grids, _colour_logs(known, field), part)
        near = _blurred(field, rules.neighbour_cells, known, known.step)
        near *= known.weight * np.float32(rules.neighbours)
        odds += near
        odds += prior
        field = _softmax(odds)
    return field


def _last_update(known: _Known, field: Lattice, logs: Sequence[Logs], rows: slice, held: Shares) -> None:
    """The field at all pixels of some rows of the image, put in their place."""
    rules, step = known.rules, known.step
    beyond = math.ceil(TRUNCATE * rules.smooth_cells * known.cell_px[0]) + 1
    wider = slice(max(rows.start - beyond, 0), min(rows.stop + beyond, known.size[0]))
    odds = _colour_odds(known.grids, logs, (wider, slice(None)))
    near = field[:, np.arange(wider.start, wider.stop) // step].repeat(step, axis=2)[..., : known.size[1]]
    near *= known.weight * np.float32(rules.neighbours)
    odds += near
    odds = _blurred(odds, rules.smooth_cells, known, 1)
    odds = odds[:, rows.start - wider.start : rows.stop - wider.start]
    part = (rows, slice(None))
    odds += _prior(known, bilinear(known.honest, known.size, part), part)
    odds *= (np.float32(rules.calibrated) / known.weight) ** np.float32(rules.calibration)
    held[:, rows] = _softmax(odds)


def _prior(known: _Known, start: Lattice, part: Part) -> Lattice:
    """What the grid says of a part of the image, beyond how common a label is in the surroundings."""
    common = bilinear(known.common, known.size, part)
    common *= known.weight * np.float32(known.rules.prior)
    return np.asarray(np.log(start + np.float32(known.rules.doubt)) - common)


def _colour_logs(known: _Known, field: Lattice) -> list[Logs]:
    """Weighted logarithm of what the pixels of each bin hold, for every grid."""
    share = known.weight / np.float32(len(known.grids))
    return [np.log(grid.means(field) + np.float32(known.rules.faint)) * share for grid in known.grids]


def _colour_odds(grids: Sequence[ColourGrid], logs: Sequence[Logs], part: Part) -> Lattice:
    """What pixels of like colour hold nearby, at a part of the image: all grids' logarithms, summed."""
    first, *others = (grid.at_pixels(values, part) for grid, values in zip(grids, logs, strict=True))
    for each in others:
        first += each
    return first


def _blurred(values: Lattice, cells: float, known: _Known, step: int) -> Lattice:
    """A Gaussian of so many cells, on every `step`-th row and column."""
    sigma = (0.0, cells * known.cell_px[0] / step, cells * known.cell_px[1] / step)
    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=TRUNCATE))


def _softmax(odds: Lattice) -> Lattice:
    """In place."""
    odds -= odds.max(axis=0)
    np.exp(odds, out=odds)
    odds /= odds.sum(axis=0)
    return odds


def _highest(held: Shares) -> Int64[np.ndarray, "image_h image_w"]:
    """The label that holds most of each pixel; the first of equals."""
    most, winner = held[0].copy(), np.zeros(held.shape[1:], np.int64)
    for label, each in enumerate(held[1:], start=1):
        better = each > most
        np.copyto(most, each, where=better)
        winner[better] = label
    return winner
