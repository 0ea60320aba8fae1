"""Masks made again from stored attention, with other settings or another method, beside the old ones."""

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from segmint._version import __version__
from segmint.errors import ConfigError, DamagedError, ImageError, RunError
from segmint.jobs.engines.local import Executor, Task, in_process
from segmint.listening import Listener
from segmint.masks.settings import MaskSettings
from segmint.pipeline import queries, remake
from segmint.recipe import Recipe, changed_fields
from segmint.runs import layout
from segmint.runs.files.remote import within_reach
from segmint.runs.masksets import (
    check_mask_set_name,
    check_new_mask_set,
    read_mask_settings,
    spec_of,
    write_mask_settings,
)
from segmint.runs.records import ItemRecord
from segmint.runs.store import Draft, Run, commit, masked
from segmint.runs.verify import item_problems
from segmint.vocabulary import Vocabulary

AT_ONCE = 16
"""Items put in place together: one flush of the folders for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remade:
    """What a remask did: masks made now, masks that stood already, items whose files could not be read."""

    mask_set: str
    made: int
    standing: int
    unreadable: tuple[str, ...]


def settle_masks(
    run: Run, *, method: str | None, changes: dict[str, Any], name: str | None = None
) -> MaskSettings:
    """The settings of a mask set.

    Args:
        run: an open run; its own settings are the start, unless another method is named.
        method: name of a method, whose profile is the start then.
        changes: dotted fields of the recipe's section `masks`, as `masks.vote.share`.
        name: the mask set; where it stands already and nothing else is asked, its own settings are taken.

    Raises:
        ConfigError: a field of another section, an unknown one, or a value out of range; or a change of what
            was stored.
    """
    for field in changes:
        if not field.startswith("masks."):
            raise ConfigError(
                f"--set {field}: remask changes masks only; name a field that starts with masks."
            )
        if field.startswith("masks.features."):
            raise ConfigError(
                f"--set {field}: the features are stored as they are; mint again to change them"
            )
    standing = check_mask_set_name(name) if name and not (method or changes) else None
    stored = read_mask_settings(run, standing) if standing else None
    if stored is not None:
        return Recipe.parse({"masks": stored}, source=f"mask set {name}").masks
    own = Recipe.parse(run.recipe(), source=f"{run.files.address}/recipe.toml").masks
    start = Recipe.parse(
        {"masks": {"method": method, "features": own.features.model_dump()} if method else own.model_dump()}
    )
    return start.merged(changes).masks


def remask(
    run: Run,
    name: str,
    settings: MaskSettings,
    listener: Listener,
    *,
    wait: bool = False,
    repair: bool = False,
    executor: Executor = in_process,
) -> Remade:
    """Make every item's mask again, into mask set `name`; goes on with one begun with the same settings.

    `repair` checks the masks that stand and makes damaged ones anew. `executor` carries the work out:
    `in_process`, or `RayCluster.map`.

    Raises:
        RunError: no item has features, the mask set was made with other settings, or the run is locked.
        ConfigError: the name is not fit for a folder.
        StorageError: a write was refused; what is whole stays, and the same call goes on later.
    """
    check_new_mask_set(run, name)
    _check_features(run)
    with run.files.lock(wait=wait):
        _claim(run, name, settings, repair=repair)
        if repair:
            _drop_damaged(run, name, listener)
        items, standing = sorted(run.done_ids()), run.done_ids(name)
        todo = [item_id for item_id in items if item_id not in standing]
        listener.starting(len(todo), len(items))
        rows = [todo[at : at + AT_ONCE] for at in range(0, len(todo), AT_ONCE)]
        make = partial(_remasker, replace(run, files=within_reach(run.files)), name, settings)
        unreadable: list[str] = []
        made = 0
        for answer in executor(make, rows):
            for item_id, error in answer["unreadable"]:
                unreadable.append(item_id)
                listener.noted(f"item {item_id} is left out: {error}")
            for record in answer["records"]:
                made += 1
                listener.finished(ItemRecord.model_validate(record))
    return Remade(mask_set=name, made=made, standing=len(items) - len(todo), unreadable=tuple(unreadable))


def _check_features(run: Run) -> None:
    ids = sorted(run.done_ids())
    if not ids:
        raise RunError(f"{run.files.address} has no items yet")
    if not any("features" in run.record(item_id).files for item_id in (ids[0], ids[-1])):
        raise RunError(f"{run.files.address} kept no features; mint with --keep-features to make masks again")


def _claim(run: Run, name: str, settings: MaskSettings, *, repair: bool) -> None:
    now = settings.model_dump(mode="json")
    try:
        before = read_mask_settings(run, name)
    except DamagedError:
        if not repair:
            raise
        before = None
    if before is None:
        write_mask_settings(run, name, now)
        return
    known = Recipe.parse({"masks": before}, source=f"mask set {name}").masks.model_dump(mode="json")
    changed = changed_fields(known, now)
    if changed:
        raise RunError(
            f"mask set {name!r} was made with other settings ({', '.join(changed)}); choose another --name"
        )


def _drop_damaged(run: Run, name: str, listener: Listener) -> None:
    """Take away the records of damaged masks: they are missing then."""
    for item_id in sorted(run.done_ids(name)):
        problem = next(item_problems(run, item_id, name), None)
        if problem is not None:
            listener.noted(f"mask {item_id} is made again: {problem.path} {problem.detail}")
            run.files.remove(layout.record(item_id, name))


def _remasker(run: Run, name: str, settings: MaskSettings) -> Task:
    vocabulary = run.vocabulary()
    recipe = Recipe.parse(run.recipe(), source=f"{run.files.address}/recipe.toml")
    recipe = recipe.model_copy(update={"masks": settings})

    def make_again(item_ids: list[str]) -> dict[str, Any]:
        drafts, unreadable = [], []
        for item_id in item_ids:
            try:
                drafts.append(_draft(run, item_id, recipe, vocabulary))
            except (ImageError, RunError) as error:
                unreadable.append([item_id, str(error)])
        records = commit(run.files, drafts, mask_set=name)
        return {"records": [each.model_dump(mode="json") for each in records], "unreadable": unreadable}

    return make_again


def _draft(run: Run, item_id: str, recipe: Recipe, vocabulary: Vocabulary) -> Draft:
    record, start = run.record(item_id), time.perf_counter()
    classes = queries(spec_of(record), recipe, photo=record.source is not None)
    trace, statistics = remake(run.summary(record), run.image(record), classes, recipe.masks)
    return masked(
        record,
        trace.mask,
        statistics,
        vocabulary,
        presence=trace.presence,
        touching=trace.touching,
        segmint_version=__version__,
        method=recipe.masks.method,
        files={role: file for role, file in record.files.items() if role in ("image", "features")},
        timings_s={"masks": time.perf_counter() - start},
    )
