"""Which items to look at: the worst or best by a measure, or a sample."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from segmint.runs.curation.rules import parse_number
from segmint.runs.store import Run

FALLING = ("uncertain", "specks", "attempts")
"""Measures of which more is worse; of all others less is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """An item that was picked, and the value that it was picked by: of a duplicate its distance."""

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
