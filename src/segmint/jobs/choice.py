"""Which items to look at: the worst or best by a measure, a sample, near-duplicates."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image as PilImage
from scipy.fft import dctn

from segmint.artifacts import Image
from segmint.runs.curation.rules import parse_number
from segmint.runs.store import Run

FALLING = ("uncertain", "attempts")
"""Measures of which more is worse; of all others less is."""
HASH_SIDE = 8
"""Low frequencies kept in each direction; the picture is first shrunk to four times as many pixels."""
COLOUR_SIDE = 4
"""Cells in each direction whose mean colours are compared beside the hash, which sees no colour."""
COLOUR_APART = 24.0
"""Mean difference of those cells, of 255, above which two images are not alike."""
HASH_BITS = HASH_SIDE**2 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """An item that was picked, and the value that it was picked by: of a duplicate its distance in bits."""

    id: str
    value: float | None = None
    like: str | None = None
    """The item that stands for a duplicate."""


def extreme(
    run: Run, ids: Sequence[str], count: int, *, by: str, worst: bool
) -> tuple[list[Chosen], list[str]]:
    """The items that are worst, or best, by a measure, the first first.

    Args:
        run: the run.
        ids: items to choose from.
        count: how many.
        by: a number of the rule language: `agreement`, `uncertain`, `presence`, `smallest`, `area(boat)`, …
        worst: the worst, or the best.

    Returns:
        The chosen, and the ids of items that have no such value.

    Raises:
        ConfigError: there is no such measure.
    """
    value = parse_number(by, run.vocabulary().label_names)
    found = [(item_id, value(run.record(item_id))) for item_id in ids]
    known = [(item_id, number) for item_id, number in found if number is not None]
    sign = (1 if worst else -1) * (-1 if by in FALLING else 1)
    known.sort(key=lambda pair: (sign * pair[1], pair[0]))
    chosen = [Chosen(id=item_id, value=number) for item_id, number in known[:count]]
    return chosen, [item_id for item_id, number in found if number is None]


def sampled(ids: Sequence[str], count: int, seed: int) -> list[Chosen]:
    """Items at random, by seed and id alone, in the order of their ids."""
    order = sorted(ids, key=lambda each: hashlib.sha256(f"{seed}/{each}".encode()).digest())
    return [Chosen(id=each) for each in sorted(order[:count])]


def near_duplicates(run: Run, ids: Sequence[str], bits: int) -> list[Chosen]:
    """The items that look like one that comes before them, by a perceptual hash and by coarse colours.

    Of alike items the one with the highest agreement stands for the others, and is not among the chosen.

    Args:
        run: the run.
        ids: items to choose from.
        bits: largest distance of two hashes of 63 bits that counts as alike; unrelated images differ by half.

    Returns:
        The duplicates by distance, each with the item that it is like.

    Raises:
        RunError, ImageError: an image cannot be read.
    """
    records = {each: run.record(each) for each in ids}
    order = sorted(ids, key=lambda each: (-(records[each].agreement or 0.0), each))
    hashes = np.empty((len(order), HASH_BITS), np.float32)
    colours = np.empty((len(order), COLOUR_SIDE**2, 3), np.float32)
    stands: list[str] = []
    found: list[Chosen] = []
    for item_id in order:
        image = run.image(records[item_id])
        signs, cells, count = perceptual_hash(image), _colours(image), len(stands)
        apart = (HASH_BITS - hashes[:count] @ signs) / 2
        apart[np.abs(colours[:count] - cells).mean(axis=(1, 2)) > COLOUR_APART] = HASH_BITS
        nearest = int(apart.argmin()) if count else 0
        if count and apart[nearest] <= bits:
            found.append(Chosen(id=item_id, value=float(apart[nearest]), like=stands[nearest]))
        else:
            hashes[count], colours[count] = signs, cells
            stands.append(item_id)
    return sorted(found, key=lambda each: (each.value or 0.0, each.id))


def perceptual_hash(image: Image) -> Float32[np.ndarray, "63"]:
    """Signs (−1 or 1) of the low frequencies of an image about their median, without the mean brightness.

    Source: the DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.
    """
    side = 4 * HASH_SIDE
    grey = PilImage.fromarray(image).convert("L").resize((side, side), PilImage.Resampling.LANCZOS)
    low = dctn(np.asarray(grey, np.float64), norm="ortho")[:HASH_SIDE, :HASH_SIDE].ravel()[1:]
    return np.where(low > np.median(low), 1, -1).astype(np.float32)


def _colours(image: Image) -> Float32[np.ndarray, "cell 3"]:
    small: UInt8[np.ndarray, "h w 3"] = np.asarray(
        PilImage.fromarray(image).resize((COLOUR_SIDE, COLOUR_SIDE), PilImage.Resampling.BOX)
    )
    return small.reshape(-1, 3).astype(np.float32)
