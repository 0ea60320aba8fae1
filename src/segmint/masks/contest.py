"""What is known of each class at each position, on one scale: the ground on which classes compete.

Attention says how loudly a class's words answer, denoising evidence how much its text helps to see what is
there. Both are regressed on the self-attention features within the foreground, once, for whoever asks which
classes there are at all (`presence`) and which of them is where (`competition`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float32, Float64

from segmint.artifacts import AttentionSummary
from segmint.masks.evidence import SOT_ROW, ClassQuery, class_map, maps_of
from segmint.masks.foreground import Foreground, confirmed, foreground
from segmint.masks.resample import bilinear
from segmint.masks.ridge import Features, Positions, Scores, features_of, regressed
from segmint.masks.settings import MaskSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The classes of one image against one another; a column each, in the order in which they were given."""

    inside: Positions
    """How far each position is foreground."""
    separability: float
    """How well the foreground is parted from the rest, as `Foreground` has it."""
    maps: Scores
    """Attention to each class, regressed, as loud as it is."""
    standard: Scores
    """The same, each class in its own deviations within the foreground."""
    gains: Scores | None
    """Denoising evidence, regressed, in the mean deviation of all classes within the foreground; classes that
    were not asked for have nothing to win with. None where it was not captured."""
    helps: Scores | None
    """Denoising evidence as it was measured, in shares of the mean error; 0 for who was not asked for."""
    asked: Bool[np.ndarray, "class"]
    """Classes whose denoising evidence is known."""


def contest(
    attention: AttentionSummary,
    classes: Sequence[ClassQuery],
    raw: Float32[np.ndarray, "label grid_h grid_w"],
    settings: MaskSettings,
) -> Contest:
    """The classes of an image, ready to compete.

    Args:
        attention: components, and denoising evidence where it was captured.
        classes: at least one.
        raw: from `summed_maps`.
        settings: sections `competition` and `denoising`.
    """
    rules = settings.competition
    cells = rearrange(raw, "label row col -> (row col) label").astype(np.float64)
    known = attention.denoising if settings.denoising.use else None
    moved = known.change if attention.guidance is None and known is not None else attention.guidance
    change = None if moved is None else moved.ravel().astype(np.float64)

    def features(levels: int) -> Features:
        return features_of(attention.components, attention.grid, levels=levels)

    def standing_out(levels: int) -> Foreground:
        return foreground(cells[:, 0], change, features(levels), attention.grid, rules)

    first = rules.foreground_levels
    found = confirmed(standing_out(first), lambda: standing_out(first + 1), rules)
    weight = np.maximum(found.inside, 1e-9)  # where nothing stands out, every position counts alike
    weight = weight / weight.sum()
    places = {} if known is None else {name: place for place, name in enumerate(known.classes)}
    asked = np.array([each.name in places for each in classes])
    own = [places[each.name] for each in classes if each.name in places]
    told = (
        np.zeros((len(cells), 0))
        if known is None
        else rearrange(known.gains[own], "label row col -> (row col) label").astype(np.float64)
    )
    smooth = regressed(
        np.concatenate([cells[:, 1:], told], axis=1), features(rules.class_levels), weight, rules.ridge
    )
    maps, borne_out = smooth[:, : len(classes)], smooth[:, len(classes) :]
    mean, deviation = weight @ cells[:, 1:], _deviation(cells[:, 1:], weight)
    return Contest(
        inside=found.inside,
        separability=found.separability,
        maps=maps,
        standard=(maps - mean) / np.where(deviation > 0, deviation, 1),
        gains=_for_all(borne_out, asked, weight) if asked.any() else None,
        helps=_placed(told, asked) if asked.any() else None,
        asked=asked if asked.any() else np.ones(len(classes), bool),
    )


def summed_maps(
    attention: AttentionSummary, classes: Sequence[ClassQuery], settings: MaskSettings
) -> Float32[np.ndarray, "label grid_h grid_w"]:
    """The start token's map and each class's, summed over the texts' grids at the largest grid.

    Raises:
        ConfigError: maps were not captured, or lack a class's phrase.
    """
    total = np.zeros((1 + len(classes), *attention.grid), np.float32)
    for text in settings.competition.texts:
        maps = maps_of(attention, text, settings.method)
        rows = np.stack([maps.values[SOT_ROW], *(class_map(maps, each) for each in classes)])
        total += bilinear(rows, attention.grid)
    return total


def parted(scores: Scores, temperature: float) -> Scores:
    """Softmax over the labels."""
    odds = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _for_all(
    gains: Float64[np.ndarray, "cell asked"], asked: Bool[np.ndarray, "class"], weight: Positions
) -> Float64[np.ndarray, "cell class"]:
    """Gains of all classes in one deviation for all; the least of those asked stands in for the others."""
    spread = np.sqrt(np.mean(_deviation(gains, weight) ** 2))
    found = np.repeat(gains.min(axis=1, keepdims=True), len(asked), axis=1)
    found[:, asked] = gains
    return np.asarray(found / max(float(spread), 1e-12))


def _placed(
    told: Float64[np.ndarray, "cell asked"], asked: Bool[np.ndarray, "class"]
) -> Float64[np.ndarray, "cell class"]:
    """Columns of those asked for among those of all classes."""
    found = np.zeros((len(told), len(asked)))
    found[:, asked] = told
    return found


def _deviation(values: Scores, weight: Positions) -> Float64[np.ndarray, "label"]:
    """Of each column, weighted."""
    return np.asarray(np.sqrt(weight @ (values - weight @ values) ** 2))
