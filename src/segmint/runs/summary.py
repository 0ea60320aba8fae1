"""A run in a few numbers: what came out, how sure the masks are, and where the time went."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from segmint.runs.records import ItemRecord
from segmint.runs.store import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSummary:
    """One class: items that name it, items whose mask has it, its mean share of the pixels where named."""

    name: str
    named: int
    present: int
    mean_area: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """The whole run as it stands. Means are over whole items; `seconds` are means an item, by stage."""

    planned: int
    done: int
    failed: int
    truncated_prompts: int
    uncertain_fraction: float | None
    agreement: float | None
    classes: tuple[ClassSummary, ...]
    seconds: dict[str, float]


@dataclass(slots=True)
class _Totals:
    items: int = 0
    truncated: int = 0
    uncertain: float = 0.0
    agreement: float = 0.0
    voted: int = 0
    named: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    areas: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def summarise_run(run: Run) -> RunSummary:
    """Read every record once and add up."""
    totals = _add_up(run.records())
    items = totals.items or 1
    classes = tuple(
        ClassSummary(
            name=each.name,
            named=totals.named[each.name],
            present=totals.present[each.name],
            mean_area=totals.areas[each.name] / max(totals.named[each.name], 1),
        )
        for each in run.header.classes
        if totals.named[each.name]
    )
    return RunSummary(
        planned=run.header.items,
        done=totals.items,
        failed=len(run.failed_ids()),
        truncated_prompts=totals.truncated,
        uncertain_fraction=totals.uncertain / items if totals.items else None,
        agreement=totals.agreement / totals.voted if totals.voted else None,
        classes=classes,
        seconds={stage: spent / items for stage, spent in totals.seconds.items()},
    )


def _add_up(records: Iterable[ItemRecord]) -> _Totals:
    totals = _Totals()
    for record in records:
        totals.items += 1
        totals.truncated += record.prompt_truncated
        totals.uncertain += record.uncertain_fraction or 0.0
        if record.agreement is not None:
            totals.agreement += record.agreement
            totals.voted += 1
        for name in record.classes:
            totals.named[name] += 1
            totals.present[name] += name in record.areas
            totals.areas[name] += record.areas.get(name, 0.0)
        for stage, spent in record.timings_s.items():
            totals.seconds[stage] += spent
    return totals
