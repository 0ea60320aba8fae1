"""Is a run whole? Every file against what was written, so that a flipped or missing byte is found wherever
it is."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from segmint.errors import SegmintError, StorageError
from segmint.runs import codec, layout
from segmint.runs.files.local import Files
from segmint.runs.masksets import read_mask_settings
from segmint.runs.records import FileRecord, ItemRecord, check_paths, decode_record, is_intact
from segmint.runs.store import Run, image_sets, open_run
from segmint.vocabulary import BACKGROUND, IGNORE

RUN_FOLDERS = (
    layout.IMAGES,
    layout.MASKS,
    layout.AGREEMENT,
    layout.FEATURES,
    layout.ITEMS,
    layout.FAILURES,
)
SET_ROLES = ("mask", "agreement")
"""Files that a later mask set has of its own."""
ProblemKind = Literal["missing", "changed", "undecodable", "record", "header", "list", "orphan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is not as it was written. `item_id` is None where the run itself is hurt."""

    kind: ProblemKind
    path: str
    detail: str
    item_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `verify` found: problems, and how far the run has come (an unfinished run is no problem)."""

    problems: tuple[Problem, ...]
    planned: int
    done: int
    failed: int


def verify(files: Files) -> Verdict:
    """Check every file of a run and of its mask sets against its record: size, SHA-256, decoding, label ids;
    then look for strays.

    Raises:
        RunError: there is no run, or one that cannot be opened at all.
    """
    run = open_run(files)
    done, failed, known = run.done_ids(), run.failed_ids(), _known_ids(run)
    problems = [
        *own_problems(run),
        *(problem for item_id in sorted(done) for problem in item_problems(run, item_id)),
        *(
            problem
            for item_id in sorted(failed)
            for problem in _record_problems(run, layout.failure(item_id), item_id)
        ),
        *_list_problems(run, done),
        *_orphans(run, RUN_FOLDERS, known),
        *_sheet_problems(files),
        *(
            problem
            for name in sorted(files.folders(layout.MASK_SETS))
            for problem in _set_problems(run, name, known)
        ),
    ]
    return Verdict(problems=tuple(problems), planned=run.header.items, done=len(done), failed=len(failed))


def item_problems(run: Run, item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> Iterator[Problem]:
    """What is wrong with one whole item; of a later mask set, with its own files there."""
    path = layout.record(item_id, mask_set)
    found = list(_record_problems(run, path, item_id, mask_set))
    yield from found
    if found:
        return
    record = run.record(item_id, mask_set)
    own = [file for role, file in record.files.items() if not mask_set or role in SET_ROLES]
    broken = [problem for file in own for problem in _file_problems(run.files, file, item_id)]
    yield from broken or _content_problems(run, record, mask_set)


def own_problems(run: Run) -> list[Problem]:
    """What is wrong with the files of the run itself: header, recipe, plan, label map."""
    return list(_own_problems(run))


def _own_problems(run: Run) -> Iterator[Problem]:
    if not is_intact(run.header, run.files.read(layout.HEADER)):
        yield Problem(kind="header", path=str(layout.HEADER), detail="does not match its own checksum")
    for file in run.header.files.values():
        yield from _file_problems(run.files, file, None)


def _record_problems(
    run: Run, path: PurePosixPath, item_id: str, mask_set: str = layout.DEFAULT_MASK_SET
) -> Iterator[Problem]:
    try:
        data = run.files.read(path)
        record = decode_record(data, ItemRecord, source=str(path))
        check_paths(record.files, layout.files_of(item_id, mask_set), str(path))
    except SegmintError as error:
        yield Problem(kind="record", path=str(path), detail=str(error), item_id=item_id)
        return
    if record.id != item_id or not is_intact(record, data):
        yield Problem(
            kind="record", path=str(path), detail="does not match its own checksum", item_id=item_id
        )


def _file_problems(files: Files, file: FileRecord, item_id: str | None) -> Iterator[Problem]:
    path = PurePosixPath(file.path)
    if not files.exists(path):
        detail = "is not there" if path.name not in files.names(path.parent) else "is a link or no plain file"
        yield Problem(kind="missing", path=file.path, detail=detail, item_id=item_id)
        return
    try:
        data = files.read(path)
    except StorageError as error:
        yield Problem(kind="changed", path=file.path, detail=str(error), item_id=item_id)
        return
    if len(data) != file.bytes:
        detail = f"has {len(data)} bytes, was written with {file.bytes}"
        yield Problem(kind="changed", path=file.path, detail=detail, item_id=item_id)
    elif hashlib.sha256(data).hexdigest() != file.sha256:
        detail = "has other bytes than were written (SHA-256)"
        yield Problem(kind="changed", path=file.path, detail=detail, item_id=item_id)


def _content_problems(run: Run, record: ItemRecord, mask_set: str) -> Iterator[Problem]:
    try:
        mask = run.mask(record)
        of_image = (record.height_px, record.width_px) if mask_set else run.image(record).shape[:2]
        if "features" in record.files and not mask_set:
            run.summary(record)
    except (SegmintError, KeyError) as error:
        where = str(layout.record(record.id, mask_set))
        yield Problem(kind="undecodable", path=where, detail=str(error), item_id=record.id)
        return
    path = record.files["mask"].path
    if of_image != mask.shape:
        size, other = "×".join(map(str, mask.shape)), "×".join(map(str, of_image))
        detail = f"is {size} px (height × width), its image {other}"
        yield Problem(kind="undecodable", path=path, detail=detail, item_id=record.id)
    strange = set(np.unique(mask).tolist()) - {BACKGROUND, IGNORE, *record.label_ids}
    if strange:
        detail = f"holds label ids {sorted(strange)}, which are not the item's"
        yield Problem(kind="undecodable", path=path, detail=detail, item_id=record.id)


def _list_problems(run: Run, done: set[str]) -> Iterator[Problem]:
    complete = len(done) >= run.header.items
    for path, wanted in image_sets(run, done).items():
        if not run.files.exists(path):
            if complete:
                yield Problem(kind="missing", path=str(path), detail="is not there")
            continue
        data = run.files.read(path)
        strangers = sorted(set(data.decode(errors="replace").split("\n")) - done - {""})
        if strangers:
            yield Problem(
                kind="list", path=str(path), detail=f"names {strangers[0]!r}, which is no whole item"
            )
        elif complete and data != wanted:
            yield Problem(
                kind="list",
                path=str(path),
                detail="does not name the items that it should; segmint curate RUN mends it",
            )


def _known_ids(run: Run) -> set[str] | None:
    """Ids of what is there and of what is planned; None where the plan cannot be read: then nobody can say
    what is a stray (that is reported with the header's files).
    """
    try:
        return run.done_ids() | {spec.item_id for spec in run.plan()}
    except SegmintError:
        return None


def _orphans(run: Run, folders: Iterable[PurePosixPath], known: set[str] | None) -> Iterator[Problem]:
    """Files of no item, nor of one that is still to be made (those the next run overwrites)."""
    for folder in folders if known is not None else ():
        for name in sorted(run.files.names(folder)):
            if PurePosixPath(name).stem not in (known or ()):
                yield Problem(kind="orphan", path=str(folder / name), detail="belongs to no item of the plan")


def _set_problems(run: Run, name: str, known: set[str] | None) -> Iterator[Problem]:
    """What is wrong with a later mask set; one that was only begun has folders and nothing in them."""
    path, done = str(layout.mask_settings(name)), run.done_ids(name)
    try:
        if read_mask_settings(run, name) is None and done:
            yield Problem(kind="missing", path=path, detail="is not there")
    except SegmintError as error:
        yield Problem(kind="record", path=path, detail=str(error))
    for item_id in sorted(done):
        yield from item_problems(run, item_id, name)
    folders = (layout.mask("x", name), layout.agreement("x", name), layout.record("x", name))
    yield from _orphans(run, (each.parent for each in folders), known)


def _sheet_problems(files: Files) -> Iterator[Problem]:
    if files.exists(layout.CONTACT_SHEET):
        try:
            codec.decode_image(files.read(layout.CONTACT_SHEET), source=str(layout.CONTACT_SHEET))
        except SegmintError as error:
            yield Problem(kind="undecodable", path=str(layout.CONTACT_SHEET), detail=str(error))
