"""Self-training: a run labelled anew by the segmenter that was trained on it.

The images stay; each pixel takes the label that the segmenter gives it, and becomes uncertain (255) where it
gives it with a probability below a bound. The result is a run of its own, on which the next segmenter is
trained.

Source: Dataset Diffusion (Nguyen et al. 2023), its self-training; the bound is a setting.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8

from segmint._version import __version__
from segmint.artifacts import RefinedMask
from segmint.errors import DatasetError, TrainingError
from segmint.listening import Listener, Stage
from segmint.pipeline import mask_statistics
from segmint.runs import layout
from segmint.runs.curation.decisions import accepted, read_states
from segmint.runs.files.local import LocalFiles
from segmint.runs.records import ItemRecord, RunHeader
from segmint.runs.store import Draft, Run, commit, masked, open_run, tidy, write_run
from segmint.training.data.datasets import name_key
from segmint.training.fit.checkpoint import sha256
from segmint.training.judge.inference import Segmenter, Views, predict
from segmint.vocabulary import BACKGROUND, IGNORE

METHOD = "relabel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relabelling:
    """Who labels anew, and how sure it has to be."""

    segmenter: Segmenter
    checkpoint: Path
    confidence: float
    """Pixels that the segmenter labels with a smaller probability become uncertain."""
    views: Views

    def digest(self, source: RunHeader) -> str:
        """SHA-256 of everything that decides the new run's masks."""
        said = f"{source.digest} {sha256(self.checkpoint)} {self.confidence} {self.views}"
        return hashlib.sha256(said.encode()).hexdigest()


def relabel(
    source: Path,
    out: Path,
    by: Relabelling,
    listener: Listener,
    stopping: Callable[[], bool] = lambda: False,
) -> Run:
    """Label a run's accepted items anew, into another run folder; goes on where it was interrupted.

    Args:
        source: the run to take images from; nothing in it changes.
        out: folder of the new run.
        by: the segmenter and its bound.
        listener: told how it goes.
        stopping: asked after each item whether to stop.

    Returns:
        The new run, of kind `relabel`, with `source` as its parent.

    Raises:
        RunError: `source` is no run, or `out` holds another one.
        DatasetError: the segmenter knows other classes than the run, or nothing is accepted.
        KeyboardInterrupt: `stopping` said so; the same call goes on.
    """
    if out.resolve() == source.resolve():
        raise TrainingError(f"the relabelled run needs a folder of its own; {out} is the run itself")
    old = open_run(source)
    table = _run_labels(old.header, by.segmenter.classes)
    items = accepted(sorted(old.done_ids()), read_states(source))
    if not items:
        raise DatasetError(f"{source} has no accepted item to label anew")
    files = LocalFiles(out)
    with files.lock():
        files.sweep()
        new = _begin(old, files, by, items)
        done = new.done_ids()
        for place, item_id in enumerate(items, start=1):
            if item_id not in done:
                commit(files, [_draft(old, old.record(item_id), by, table)])
            listener.finished(Stage(name=f"labelling {source.name} anew", done=place, total=len(items)))
            if stopping():
                raise KeyboardInterrupt
        tidy(new)
    return new


def _begin(old: Run, files: LocalFiles, by: Relabelling, items: Sequence[str]) -> Run:
    digest = by.digest(old.header)
    if files.exists(layout.HEADER):
        standing = open_run(files.root)
        if standing.header.digest != digest:
            raise TrainingError(
                f"{files.root} was labelled by another checkpoint, bound or run; choose another folder"
            )
        return standing
    header = old.header.model_copy(
        update={
            "segmint_version": __version__,
            "kind": METHOD,
            "digest": digest,
            "parent": str(old.files.address),
        }
    )
    wanted = set(items)
    plan = [spec for spec in old.plan() if spec.item_id in wanted]
    recipe = old.files.read(layout.RECIPE).decode()
    return write_run(files, header=header, recipe_toml=recipe, plan=plan)


def _draft(old: Run, record: ItemRecord, by: Relabelling, table: UInt8[np.ndarray, "256"]) -> Draft:
    """An item with its new mask; its classes are those asked for and those found."""
    labels, sure = predict(by.segmenter, old.image(record), by.views)
    labels = np.where(sure < by.confidence, np.uint8(IGNORE), table[labels])
    mask = RefinedMask(labels=labels, agreement=sure.astype(np.float32))
    statistics = mask_statistics(mask)
    named = [
        each
        for each in old.header.classes
        if each.label_id in record.label_ids or each.label_id in statistics.areas
    ]
    return masked(
        record,
        mask,
        statistics,
        old.vocabulary(),
        others={"image": old.files.read(PurePosixPath(record.files["image"].path))},
        segmint_version=__version__,
        method=METHOD,
        classes=tuple(each.name for each in named),
        label_ids=tuple(each.label_id for each in named),
        phrases=tuple(each.phrases for each in named),
        agreement=float(sure.mean()),
        files={},
        timings_s={},
    )


def _run_labels(header: RunHeader, classes: Sequence[str]) -> UInt8[np.ndarray, "256"]:
    """The run's label id for each of the segmenter's labels."""
    ids = {name_key(each.name): each.label_id for each in header.classes}
    if ids.keys() != {name_key(name) for name in classes}:
        theirs = ", ".join(each.name for each in header.classes)
        raise DatasetError(
            f"the segmenter knows the classes [{', '.join(classes)}], the run has [{theirs}]; they must agree"
        )
    table = np.full(256, IGNORE, np.uint8)
    table[: len(classes) + 1] = [BACKGROUND, *(ids[name_key(name)] for name in classes)]
    return table
