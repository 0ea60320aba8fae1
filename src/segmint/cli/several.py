"""Several runs where a command takes one: put together for the time that it works, by what merges runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segmint.jobs.merge import MergedItem
    from segmint.runs.curation.decisions import State
    from segmint.runs.store import Run

NAME_LENGTH = 100
"""Of the folder that they are put into; many runs have long names together."""


@contextmanager
def together(runs: Sequence[str | Path], masks: str | None = None) -> "Iterator[Run]":
    """The run, or several as one that is gone afterwards; nothing in them changes.

    Args:
        runs: folders or URLs.
        masks: whose masks are taken of several, as `runs.masksets.sets_by_item` has it.

    Raises:
        VocabularyError: a class has two ids, or an id two classes.
        RunError: a run is given twice, empty, or not there.
    """
    from segmint.jobs.merge import merge
    from segmint.listening import Silent
    from segmint.runs.store import open_run

    opened = [open_run(each) for each in runs]
    if len(opened) == 1:
        yield opened[0]
        return
    names = "+".join(Path(each.files.address).name for each in opened)
    with TemporaryDirectory(prefix="segmint-") as folder:
        yield merge(opened, Path(folder) / names[:NAME_LENGTH], Silent(), masks=masks, lasting=False)


def carry_back(items: "Sequence[MergedItem]", decided: "Mapping[str, State]", *, by: str, why: str) -> None:
    """Write decisions on runs that were put together into the runs themselves.

    Args:
        items: what was put together, and from where.
        decided: new states, by the ids that the items have together.
        by: author.
        why: the rule behind the decisions.

    Raises:
        RunError: a run is not in a local folder.
        StorageError: a record cannot be written; decisions on the runs before stay.
    """
    from segmint.errors import RunError
    from segmint.runs.curation.decisions import decide
    from segmint.runs.store import write_image_sets

    groups: dict[str, tuple[Run, dict[str, State]]] = {}
    for item in items:
        state = decided.get(item.spec.item_id)
        if state is not None:
            run = item.run
            groups.setdefault(run.files.address, (run, {}))[1][item.old_id] = state
    for run, _ in groups.values():
        if run.folder is None:
            raise RunError(f"{run.files.address} is no local folder; decisions are kept in local runs only")
    for run, states in groups.values():
        assert run.folder is not None
        decide(run.folder, states, by=by, why=why, then=lambda run=run: write_image_sets(run))  # type: ignore[misc]
