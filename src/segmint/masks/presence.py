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
from segmint.masks.contest import Contest, contest, parted, summed_maps
from segmint.masks.evidence import ClassQuery
from segmint.masks.ridge import Scores
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
    left = [place for place in range(len(classes)) if found.asked[place]]
    held = np.zeros(len(classes))
    gone = [place for place in range(len(classes)) if not found.asked[place]]
    while left:
        held[left] = peaks(odds[:, left], found, temperature, rules.peak)
        lack = [_wanted(classes[place], found, rules) - held[place] for place in left]
        worst = int(np.argmax(lack))
        if len(left) == 1 or lack[worst] <= 0:
            break
        gone.append(left.pop(worst))
    names = [each.name for each in classes]
    return Presence(
        scores={name: round(float(score), 4) for name, score in zip(names, held, strict=True)},
        absent=tuple(names[place] for place in sorted(gone)),
    )


def peaks(odds: Scores, found: Contest, temperature: float, peak: float) -> Float64[np.ndarray, "class"]:
    """Each class's mean share of the competition where it holds most: over `peak` of the foreground."""
    shares = parted(odds, temperature) * found.inside[:, None]
    count = max(1, round(peak * float(found.inside.sum())))
    return np.asarray(np.sort(shares, axis=0)[-count:].mean(axis=0))


def _wanted(query: ClassQuery, found: Contest, rules: PresenceSettings) -> float:
    """What a class has to hold. Attention alone tells less, and less is asked of it."""
    return query.least_share * (1.0 if found.gains is not None else rules.alone)


def _spread(scores: Scores, found: Contest) -> float:
    """Deviation of all classes' scores together, within the foreground."""
    within = scores[found.inside > 0.5]
    return max(float(within.std()) if within.size else 0.0, 1e-12)
