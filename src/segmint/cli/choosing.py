"""`segmint curate` by choice: the worst, the best, a sample, near-duplicates; listed, drawn, decided on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from segmint.errors import ConfigError, StorageError
from segmint.settings import Flag, Settings

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

    from segmint.artifacts import Image
    from segmint.runs.curation.choice import Chosen
    from segmint.runs.curation.decisions import State
    from segmint.runs.store import Run

SHOWN = 100
"""Items on a sheet at most."""
PAIRS_SHOWN = 12
"""Pairs on either side of a distance at most."""
VERDICTS: "Mapping[str, State]" = {"reject": "rejected", "keep": "kept"}


class ChoiceOptions(Settings):
    """Items picked out of those that are not rejected."""

    panel = "Choice"

    worst: Annotated[int | None, Field(ge=1), Flag("--worst", metavar="N")] = None
    """The N items that are worst by `--by`."""
    best: Annotated[int | None, Field(ge=1), Flag("--best", metavar="N")] = None
    """The N items that are best by `--by`."""
    sample: Annotated[int | None, Field(ge=1), Flag("--sample", metavar="N")] = None
    """N items at random."""
    duplicates: Annotated[float | None, Field(ge=0, le=31), Flag("--duplicates", metavar="DISTANCE")] = None
    """Items no further from another: bits of 63 (6 for a start), or `--by features` 0 to 1 (0.1)."""
    by: Annotated[str | None, Flag("--by", metavar="MEASURE")] = None
    """A number of the rules, such as agreement (used by default), presence, consistency, uncertain or
    "area(boat)"; of duplicates `hash` (by default) or `features`, the model's own."""
    seed: Annotated[int, Field(ge=0), Flag("--seed")] = 0
    """Another seed samples others."""
    then: Annotated[Literal["show", "reject", "keep"], Flag("--then")] = "show"
    """What becomes of those that are picked: they are listed, and may be decided on."""
    sheet: Annotated[str | None, Flag("--sheet", metavar="FILE.png")] = None
    """Draw the picked with their values; of duplicates the pairs on both sides of the distance."""

    def asked(self) -> str | None:
        """The choice in words, for the record; None where nothing is to be picked.

        Raises:
            ConfigError: several choices at once, or what to do with none.
        """
        said = {
            name: number
            for name in ("worst", "best", "sample", "duplicates")
            if (number := getattr(self, name)) is not None
        }
        if len(said) > 1:
            raise ConfigError(f"--{' and --'.join(said)}: choose by one of them at a time")
        if not said:
            if self.then != "show" or self.sheet:
                raise ConfigError(
                    "--then and --sheet need a choice: --worst, --best, --sample or --duplicates"
                )
            return None
        [(name, number)] = said.items()
        by = "" if name == "sample" else f" by {self.measure()}"
        return f"{name} {number:g}{by}"

    def measure(self) -> str:
        """What is chosen by."""
        return self.by or ("agreement" if self.duplicates is None else "hash")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """Items that were asked for, in order."""

    chosen: "list[Chosen]"
    nearly: "list[Chosen]" = field(default_factory=list)
    """Of duplicates: the pairs that are further apart than was asked for, the nearest first."""


def pick(run: "Run", ids: Sequence[str], wanted: ChoiceOptions, note: Callable[[str], None]) -> Picked:
    """The items that are asked for, out of these; `note` hears of items that cannot be measured."""
    from segmint.runs.curation.choice import extreme, sampled

    if wanted.sample is not None:
        return Picked(chosen=sampled(ids, wanted.sample, wanted.seed))
    if wanted.duplicates is not None:
        return _duplicates(run, ids, wanted.duplicates, wanted.measure(), note)
    count, by = wanted.worst or wanted.best or 0, wanted.measure()
    chosen, unknown = extreme(run, ids, count, by=by, worst=wanted.worst is not None)
    if unknown:
        why = ", which takes two classes at least" if by == "presence" else ""
        note(f"note: {len(unknown)} items have no {by}{why}")
    return Picked(chosen=chosen)


def _duplicates(
    run: "Run", ids: Sequence[str], threshold: int | float, by: str, note: Callable[[str], None]
) -> Picked:
    from segmint.runs.curation.alike import likeness, near_duplicates

    found, unknown = near_duplicates(run, ids, threshold, by=likeness(by))
    if unknown:
        note(f"note: {len(unknown)} items kept no features and are not compared; --by hash compares all")
    return Picked(chosen=found.taken, nearly=found.left)


def line(run: "Run", each: "Chosen") -> str:
    """An item on a line: id, value, prompt."""
    value = "" if each.value is None else f"  {each.value:.4g}"
    like = f" from {each.like}" if each.like else ""
    return f"{each.id}{value}{like}  {run.record(each.id).prompt}"


def draw(run: "Run", picked: Picked, path: Path, *, title: str) -> None:
    """A sheet of the picked; nothing where none is.

    Raises:
        StorageError: it cannot be written.
    """
    from segmint.pictures.sheets import Panel, contact_sheet

    if picked.nearly or any(each.like for each in picked.chosen):
        sheet = _pairs(run, picked, title)
    elif picked.chosen:
        said = {each.id: line(run, each) for each in picked.chosen[:SHOWN]}
        panels = [
            Panel(image=image, mask=mask, caption=said[record.id]) for record, image, mask in run.shown(said)
        ]
        sheet = contact_sheet(panels, run.vocabulary(), title=title)
    else:
        return
    try:
        sheet.save(path, "PNG")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None


def _pairs(run: "Run", picked: Picked, title: str) -> "PilImage":
    """Pairs on both sides of the distance, the nearest to it in the middle."""
    from segmint.pictures.sheets import Pair, pair_sheet

    def pair(each: "Chosen") -> "Pair":
        other = each.like or each.id
        images: list[Image] = [run.image(run.record(item)) for item in (other, each.id)]
        return Pair(left=images[0], right=images[1], names=(other, each.id), value=f"{each.value:.4g}")

    within = [pair(each) for each in picked.chosen[-PAIRS_SHOWN:]]
    beyond = [pair(each) for each in picked.nearly[:PAIRS_SHOWN]]
    return pair_sheet(within, beyond, title=title)
