"""Items that do not show what they name: rejected once, and replaced by further ones."""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from segmint.errors import RunError
from segmint.runs.curation.decisions import CurationLog, accepted, decide
from segmint.runs.curation.rules import smallest_named_area
from segmint.runs.records import ItemRecord
from segmint.runs.store import Run, write_image_sets

AUTHOR = "generate"
"""Who these rejections are by, in the record of decisions."""
MOST_TIMES = 4
"""A run is topped up to at most this many times the items asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands after a look at its items."""

    rejected: tuple[str, ...]
    """Items rejected by this look."""
    accepted: int
    """Whole items that nobody rejected."""
    planned: int


def lacking(records: Iterable[ItemRecord], min_area: float, decided: Set[str]) -> list[str]:
    """Ids of items in which a named class covers less than `min_area` of the image.

    Args:
        records: whole items.
        min_area: a share of the image; 0 takes only classes that do not appear at all.
        decided: items that somebody or something decided before, even where that was undone: left alone.
    """
    found = []
    for record in records:
        area = smallest_named_area(record)
        if record.id not in decided and area is not None and (area < min_area or area == 0):
            found.append(record.id)
    return found


def reject_lacking(run: Run, min_area: float) -> Standing:
    """Reject the items that lack a named class, and bring the lists up to date.

    Raises:
        RunError: the run is not in a local folder, where decisions are kept.
    """
    if run.folder is None:
        raise RunError(f"{run.files.address} is no local folder; decisions are kept in local runs only")
    decided = CurationLog(run.folder).mentioned
    rejected = lacking(run.records(), min_area, decided)
    if rejected:
        why = f"a named class covers less than {min_area:g} of the image"
        decide(
            run.folder,
            dict.fromkeys(rejected, "rejected"),
            by=AUTHOR,
            why=why,
            then=lambda: write_image_sets(run),
        )
    states = CurationLog(run.folder).states
    left = accepted(run.done_ids(), states)
    return Standing(rejected=tuple(rejected), accepted=len(left), planned=len(run.plan()))


def next_count(standing: Standing, wanted: int) -> int | None:
    """How many items to plan in all so that `wanted` may be accepted; None where no more are to be made."""
    short = wanted - standing.accepted
    if short <= 0:
        return None
    planned = min(standing.planned + short, MOST_TIMES * wanted)
    return planned if planned > standing.planned else None
