"""Which of the classes asked for an image shows at all.

Every method scales a class's map by its own extremes, so that an absent class's noise looks like evidence.
Here maps compete as loud as they are, together with denoising evidence: a class that nowhere holds its own
against the others is not there. Classes go one at a time, the weakest first, since a class that is there may
look weak only while many others take their share.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from segmint.artifacts import AttentionSummary, Presence
from segmint.masks.contest import Contest, contest, summed_maps
from segmint.masks.evidence import ClassQuery
from segmint.masks.ridge import Positions, Scores
from segmint.masks.settings import MaskSettings, PresenceSettings


def presence_of(
    attention: AttentionSummary, classes: Sequence[ClassQuery], settings: MaskSettings
) -> Presence | None:
    """The judgement on the classes of an image, whatever method then makes the mask; None without classes.

    Args:
        attention: as segmint's own method reads it.
        classes: those that might be there, each with the share that it has to hold.
        settings: sections `presence`, `competition` and `denoising`.

    Raises:
        ConfigError: maps were not captured, or lack a class's phrase.
    """
    if not classes:
        return None
    found = contest(attention, classes, summed_maps(attention, classes, settings), settings)
    return judged(found, classes, settings.presence)


def judged(found: Contest, classes: Sequence[ClassQuery], rules: PresenceSettings) -> Presence:
    """Which classes are there, and each one's score: its share when it went, or when the last had gone.

    A class goes if it holds less than the share that it has to hold. The last class stays: alone, nothing
    can be held against it.
    """
    scores, spread = found.maps, _spread(found.maps, found)
    odds = scores / spread
    if found.gains is not None:
        odds = odds + rules.gain * found.gains / _spread(found.gains, found)
    temperature = rules.temperature if found.gains is not None else rules.temperature_alone
    wanted = [_wanted(each, found, rules) for each in classes]
    held, gone = _weakest_gone(odds, found, wanted, temperature, rules.peak)
    names = [each.name for each in classes]
    helps = np.zeros(len(classes)) if found.helps is None else found.helps.mean(axis=0)
    told = () if found.helps is None else np.flatnonzero(found.asked)
    return Presence(
        scores={name: round(float(score), 4) for name, score in zip(names, held, strict=True)},
        absent=tuple(names[place] for place in sorted(gone)),
        helped={names[place]: round(float(helps[place]), 4) for place in told},
    )


def _weakest_gone(
    odds: Scores, found: Contest, wanted: Sequence[float], temperature: float, peak: float
) -> tuple[Float64[np.ndarray, "class"], list[int]]:
    """What each class held when it went or at last, and the places of those that went.

    Who goes leaves its share to the others, so that what a class lacks only shrinks: a class that lacked less
    than another lacks now is not looked at again.
    """
    left = [place for place in range(len(wanted)) if found.asked[place]]
    gone = [place for place in range(len(wanted)) if not found.asked[place]]
    loud = np.exp((odds - odds[:, left].max(axis=1, keepdims=True)) / temperature).T
    count = max(1, round(peak * float(found.inside.sum())))
    held, lack = np.zeros(len(wanted)), np.full(len(wanted), np.inf)
    while True:
        common = found.inside / np.maximum(loud[left].sum(axis=0), np.finfo(np.float64).tiny)
        known: set[int] = set()
        while (worst := max(left, key=lack.__getitem__)) not in known:
            held[worst] = _peak(loud[worst] * common, count)
            lack[worst] = wanted[worst] - held[worst]
            known.add(worst)
        if len(left) == 1 or lack[worst] <= 0:
            break
        gone.append(worst)
        left.remove(worst)
    for place in set(left) - known:
        held[place] = _peak(loud[place] * common, count)
    return held, gone


def _peak(shares: Positions, count: int) -> float:
    """Mean of the `count` highest."""
    return float(np.partition(shares, -count)[-count:].mean())


def _wanted(query: ClassQuery, found: Contest, rules: PresenceSettings) -> float:
    """What a class has to hold. Attention alone tells less, and less is asked of it."""
    return query.least_share * (1.0 if found.gains is not None else rules.alone)


def _spread(scores: Scores, found: Contest) -> float:
    """Deviation of all classes' scores together, within the foreground."""
    within = scores[found.inside > 0.5]
    return max(float(within.std()) if within.size else 0.0, 1e-12)
