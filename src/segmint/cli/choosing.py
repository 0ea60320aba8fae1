"""`segmint curate` by choice: the worst, the best, a sample, near-duplicates; listed, drawn, decided on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from segmint.errors import ConfigError, StorageError
from segmint.settings import Flag, Settings

if TYPE_CHECKING:
    from segmint.jobs.choice import Chosen
    from segmint.runs.curation.decisions import State
    from segmint.runs.store import Run

SHOWN = 100
"""Items on a sheet at most."""
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
    duplicates: Annotated[int | None, Field(ge=0, le=31), Flag("--duplicates", metavar="BITS")] = None
    """Items that look like another: their hashes of 63 bits differ in at most so many, 6 for a start."""
    by: Annotated[str, Flag("--by", metavar="MEASURE")] = "agreement"
    """A number of the rules, such as agreement, uncertain, presence, smallest or "area(boat)"."""
    seed: Annotated[int, Field(ge=0), Flag("--seed")] = 0
    """Another seed samples others."""
    then: Annotated[Literal["show", "reject", "keep"], Flag("--then")] = "show"
    """What becomes of those that are picked: they are listed, and may be decided on."""
    sheet: Annotated[str | None, Flag("--sheet", metavar="FILE.png")] = None
    """Draw the picked, with their values; duplicates each after the item that stands for them."""

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
        return f"{name} {number}" + (f" by {self.by}" if name in ("worst", "best") else "")


def pick(
    run: "Run", ids: Sequence[str], wanted: ChoiceOptions, note: Callable[[str], None]
) -> "list[Chosen]":
    """The items that are asked for, out of these; `note` hears of items that cannot be measured."""
    from segmint.jobs.choice import extreme, near_duplicates, sampled

    if wanted.sample is not None:
        return sampled(ids, wanted.sample, wanted.seed)
    if wanted.duplicates is not None:
        return near_duplicates(run, ids, wanted.duplicates)
    count = wanted.worst or wanted.best or 0
    chosen, unknown = extreme(run, ids, count, by=wanted.by, worst=wanted.worst is not None)
    if unknown:
        why = ", which takes two classes at least" if wanted.by == "presence" else ""
        note(f"note: {len(unknown)} items have no {wanted.by}{why}")
    return chosen


def line(run: "Run", each: "Chosen") -> str:
    """An item on a line: id, value, prompt."""
    value = "" if each.value is None else f"  {each.value:.4g}"
    like = f" bits from {each.like}" if each.like else ""
    return f"{each.id}{value}{like}  {run.record(each.id).prompt}"


def draw(run: "Run", chosen: "Sequence[Chosen]", path: Path, *, title: str) -> None:
    """A sheet of the chosen; nothing where none is.

    Raises:
        StorageError: it cannot be written.
    """
    from segmint.pictures.sheets import Panel, contact_sheet

    said = {each.id: line(run, each) for each in chosen}
    order = [item for each in chosen[:SHOWN] for item in ((each.like, each.id) if each.like else (each.id,))]
    panels = [
        Panel(image=image, mask=mask, caption=said.get(record.id, f"{record.id}  {record.prompt}"))
        for record, image, mask in run.shown(order)
    ]
    if not panels:
        return
    try:
        contact_sheet(panels, run.vocabulary(), title=title).save(path, "PNG")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None
