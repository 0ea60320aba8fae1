"""Which of many named classes an image shows at all.

Every method scales a class's map by its own extremes, so that an absent class's noise looks like evidence.
Asked before, on maps as they come out of the softmax, classes can be told apart by loudness: where a thing
is, its own word takes most of the attention that class words get; words of absent things take little.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from segmint.artifacts import AttentionSummary
from segmint.masks.competition import (
    cells_of,
    foreground,
    parted,
    summed_maps,
)
from segmint.masks.evidence import ClassQuery
from segmint.masks.ridge import features_of, regressed
from segmint.masks.settings import MaskSettings


def present_classes(
    attention: AttentionSummary, classes: Sequence[ClassQuery], settings: MaskSettings
) -> tuple[ClassQuery, ...]:
    """The classes that the image seems to show, in the order given; perhaps none. A lone class is believed.

    Args:
        attention: as segmint's own method reads it, whatever method then makes the mask.
        classes: those that might be there.
        settings: sections `presence` and `competition`.

    Raises:
        ConfigError: maps were not captured, or lack a class's phrase.
    """
    if len(classes) < 2:
        return tuple(classes)
    scores = presence_scores(attention, classes, settings)
    return tuple(
        each for each, score in zip(classes, scores, strict=True) if score >= settings.presence.share
    )


def presence_scores(
    attention: AttentionSummary, classes: Sequence[ClassQuery], settings: MaskSettings
) -> Float64[np.ndarray, "class"]:
    """For each class its mean share of the competition where it is strongest, in [0, 1].

    The classes' maps are regressed on the features within the foreground, not standardised, and part each
    position by softmax; the mean is over the `peak` of the foreground's area where the class holds most.

    Args:
        attention: as `present_classes`.
        classes: at least two.
        settings: as `present_classes`.

    Raises:
        ConfigError: as `present_classes`.
    """
    rules = settings.competition
    cells = cells_of(summed_maps(attention, classes, settings))
    fine = features_of(attention.components, attention.grid, levels=rules.foreground_levels)
    wide = features_of(attention.components, attention.grid, levels=rules.class_levels)
    inside = foreground(cells[:, 0], fine, rules)
    smooth = regressed(cells[:, 1:], wide, np.maximum(inside, 1e-9), rules.ridge)
    within = smooth[inside > 0.5]
    spread = float(within.std()) if within.size else 0.0
    shares = parted(smooth, settings.presence.temperature * max(spread, 1e-12)) * inside[:, None]
    held = max(1, round(settings.presence.peak * float(inside.sum())))
    return np.asarray(np.sort(shares, axis=0)[-held:].mean(axis=0))
