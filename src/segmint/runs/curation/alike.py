"""Near-duplicates: by a perceptual hash of the picture, or by the model's own features of it.

The features tell which parts of an image belong together, and so how it is composed; no second network is
asked. Channels of two images cannot be compared, since each has its own principal axes; how alike two places
of one image are to each other can.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image as PilImage
from scipy.fft import dctn

from segmint.artifacts import AttentionSummary, Image, LayerComponents
from segmint.errors import ConfigError
from segmint.runs.curation.choice import Chosen
from segmint.runs.records import ItemRecord
from segmint.runs.store import Run

Likeness = Literal["hash", "features"]
"""What two images are compared by."""

HASH_SIDE = 8
"""Low frequencies kept in each direction; the picture is first shrunk to four times as many pixels."""
HASH_BITS = HASH_SIDE**2 - 1
COLOUR_SIDE = 4
"""Cells in each direction whose mean colours are compared beside the hash, which sees no colour."""
COLOUR_APART = 24.0
"""Mean difference of those cells, of 255, above which two images are not alike."""
NEAR_BITS = 21
"""Only of images as near are colours compared: a third of the bits, where few strangers are."""
FEATURE_SIDE = 8
"""Places in each direction whose features are compared with one another."""
MOST: Mapping[Likeness, int | float] = {"hash": 31, "features": 1.0}
"""The largest distance that may count as alike: unrelated images differ in half of the bits, and their
features are as far apart as chance has it."""
USUAL: Mapping[Likeness, int | float] = {"hash": 6, "features": 0.1}
"""Distances to start from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What an image is known by."""

    values: Float32[np.ndarray, "mark"]
    """Of one length: the product of two tells how alike they are, from −1 to 1."""
    colours: Float32[np.ndarray, "cell 3"] | None = None
    """Coarse colours, where the values do not know them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Items against those that stand before them; of both the nearest first."""

    taken: list[Chosen]
    """Those that are alike, each with the item that stands for it."""
    left: list[Chosen]
    """Those that are not, each with the item that is nearest to it."""


def near_duplicates(
    run: Run, ids: Sequence[str], threshold: int | float, *, by: Likeness = "hash"
) -> tuple[Alike, list[str]]:
    """The items that look like one that comes before them.

    Args:
        run: the run.
        ids: items to choose from.
        threshold: largest distance that counts as alike: bits of 63, or for features 0 to 1.
        by: what is compared.

    Returns:
        What is alike and what is nearly so, and the ids of items whose features were not kept.

    Raises:
        ConfigError: the threshold is beyond what may count as alike, or no item has its features.
        RunError, ImageError: a file cannot be read.
    """
    check_threshold(threshold, by)
    records = {each: run.record(each) for each in ids}
    marks = {item_id: mark_of(run, record, by) for item_id, record in records.items()}
    known = {item_id: mark for item_id, mark in marks.items() if mark is not None}
    if ids and not known:
        raise ConfigError(
            f"{run.files.address} kept no features to compare; take --by hash, or mint with --keep-features"
        )
    agreements = {item_id: record.agreement or 0.0 for item_id, record in records.items()}
    order = [each for each in standing_first(agreements) if each in known]
    return compare(order, known, threshold, by=by), [each for each in ids if each not in known]


def likeness(text: str) -> Likeness:
    """What is compared, by its name.

    Raises:
        ConfigError: there is no such comparison.
    """
    known: tuple[Likeness, ...] = get_args(Likeness)
    for each in known:
        if each == text:
            return each
    raise ConfigError(f"duplicates by {text!r}: expected {' or '.join(known)}")


def check_threshold(threshold: int | float, by: Likeness) -> None:
    """Refuse a distance that unrelated images have too.

    Raises:
        ConfigError: says what was expected.
    """
    if not 0 <= threshold <= MOST[by] or math.isnan(threshold):
        unit = "bits" if by == "hash" else "(features; 0 is the same)"
        raise ConfigError(f"a distance of {threshold:g}: expected 0 to {MOST[by]:g} {unit}")


def standing_first(agreements: Mapping[str, float]) -> list[str]:
    """The order in which items stand for those that are like them: by agreement, then by id."""
    return sorted(agreements, key=lambda each: (-agreements[each], each))


def mark_of(run: Run, record: ItemRecord, by: Likeness) -> Mark | None:
    """What an item is known by; None where its features were not kept.

    Raises:
        RunError, ImageError: a file cannot be read.
    """
    if by == "features":
        return Mark(values=composition(run.summary(record))) if "features" in record.files else None
    image = run.image(record)
    return Mark(values=perceptual_hash(image), colours=_colours(image))


def compare(
    order: Sequence[str], marks: Mapping[str, Mark], threshold: int | float, *, by: Likeness
) -> Alike:
    """Each item against those that stand before it, first come first stands."""
    taken: list[Chosen] = []
    left: list[Chosen] = []
    stands: list[str] = []
    size = len(marks[order[0]].values) if order else 0
    values = np.empty((len(order), size), np.float32)
    colours = np.zeros((len(order), COLOUR_SIDE**2, 3), np.float32)
    for item_id in order:
        mark, count = marks[item_id], len(stands)
        apart = distance(values[:count] @ mark.values, by)
        if mark.colours is not None:
            near = np.flatnonzero(apart <= max(threshold, NEAR_BITS))
            strange = np.abs(colours[near] - mark.colours).mean(axis=(1, 2)) > COLOUR_APART
            apart[near[strange]] = HASH_BITS
        nearest = int(apart.argmin()) if count else 0
        if count:
            pair = Chosen(id=item_id, value=round(float(apart[nearest]), 4), like=stands[nearest])
            (taken if apart[nearest] <= threshold else left).append(pair)
        if not count or apart[nearest] > threshold:
            values[count] = mark.values
            if mark.colours is not None:
                colours[count] = mark.colours
            stands.append(item_id)
    return Alike(taken=_nearest_first(taken), left=_nearest_first(left))


def distance(product: Float32[np.ndarray, "item"], by: Likeness) -> Float32[np.ndarray, "item"]:
    """How far apart two marks are: bits that differ, or 1 less the correlation of their features."""
    apart = np.maximum(1 - product, np.float32(0))
    return np.asarray(np.rint(apart * np.float32(HASH_BITS / 2)) if by == "hash" else apart)


def perceptual_hash(image: Image) -> Float32[np.ndarray, "63"]:
    """Signs of the low frequencies of an image about their median, without the mean brightness; of length 1.

    Source: the DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.
    """
    side = 4 * HASH_SIDE
    grey = PilImage.fromarray(image).convert("L").resize((side, side), PilImage.Resampling.LANCZOS)
    low = dctn(np.asarray(grey, np.float64), norm="ortho")[:HASH_SIDE, :HASH_SIDE].ravel()[1:]
    return (np.where(low > np.median(low), 1, -1) / math.sqrt(HASH_BITS)).astype(np.float32)


def composition(summary: AttentionSummary) -> Float32[np.ndarray, "pair"]:
    """How alike each two places of an image are in the model's self-attention features; of length 1.

    Of every two places as far apart, the mean is taken off: near places are alike in any image.

    Source: after Shechtman and Irani, Matching Local Self-Similarities across Images and Videos, CVPR 2007.
    """
    side = FEATURE_SIDE
    total = sum((_gram(each) for each in summary.components), np.zeros((side**2, side**2)))
    row, column = np.divmod(np.arange(side**2), side)
    away = [np.subtract.outer(each, each) + side - 1 for each in (row, column)]
    kind = (away[0] * (2 * side - 1) + away[1]).ravel()
    usual = np.bincount(kind, total.ravel()) / np.maximum(np.bincount(kind), 1)
    rest = (total.ravel() - usual[kind]).reshape(total.shape)[np.triu_indices(side**2, 1)]
    rest = rest - rest.mean()
    return np.asarray(rest / max(float(np.linalg.norm(rest)), 1e-12), np.float32)


def _gram(layer: LayerComponents) -> Float64[np.ndarray, "place place"]:
    """Products of the mean features of any two places, in all a trace of 1."""
    _, height, width = layer.values.shape
    parts = _parts(height), _parts(width)
    means = np.einsum("ph,qw,chw->pqc", *parts, layer.values, optimize=True).reshape(FEATURE_SIDE**2, -1)
    means -= means.mean(axis=0)
    gram = means @ means.T
    return np.asarray(gram / max(float(np.trace(gram)), 1e-12))


def _parts(cells: int) -> Float64[np.ndarray, "place cell"]:
    """What each place of a side takes of its cells: the mean of those that fall into it."""
    places = np.arange(FEATURE_SIDE)
    inside = np.zeros((FEATURE_SIDE, cells))
    if cells < FEATURE_SIDE:
        inside[places, places * cells // FEATURE_SIDE] = 1
    else:
        inside[np.arange(cells) * FEATURE_SIDE // cells, np.arange(cells)] = 1
    return np.asarray(inside / inside.sum(axis=1, keepdims=True))


def _colours(image: Image) -> Float32[np.ndarray, "cell 3"]:
    small: UInt8[np.ndarray, "h w 3"] = np.asarray(
        PilImage.fromarray(image).resize((COLOUR_SIDE, COLOUR_SIDE), PilImage.Resampling.BOX)
    )
    return small.reshape(-1, 3).astype(np.float32)


def _nearest_first(found: Sequence[Chosen]) -> list[Chosen]:
    return sorted(found, key=lambda each: (each.value or 0.0, each.id))
