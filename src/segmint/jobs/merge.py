"""Several runs as one: their items side by side, byte for byte, with what was decided on them."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from segmint._version import __version__
from segmint.artifacts import PromptSpec
from segmint.errors import DamagedError, RunError, VocabularyError
from segmint.jobs.resume import find
from segmint.listening import Listener
from segmint.pictures.sheets import write_contact_sheet
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe
from segmint.runs import layout
from segmint.runs.curation.decisions import decide, read_states, states_at
from segmint.runs.files.local import LocalFiles
from segmint.runs.masksets import sets_by_item
from segmint.runs.records import ItemRecord, RunHeader
from segmint.runs.store import Draft, Role, Run, commit, tidy, write_image_sets, write_run
from segmint.specs import is_item_id
from segmint.vocabulary import ClassEntry, Vocabulary

KIND = "merge"
ROLES: tuple[Role, ...] = ("image", "mask", "agreement", "features")


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedItem:
    """An item of a run, and its spec in the merged one."""

    run: Run
    old_id: str
    spec: PromptSpec
    mask_set: str
    """Whose mask it takes along."""


def merge(
    runs: Sequence[Run], out: Path, listener: Listener, *, masks: str | None = None, lasting: bool = True
) -> Run:
    """A new run with all whole items of several; called again it goes on where it was stopped.

    Where runs call different items by one id, every id gets its run's name in front. Kept and rejected items
    stay so. The recipe of each run goes to `recipes/`; the merged run's
    own is that of the first with all classes, and nothing is minted by it.

    Args:
        runs: two or more, in local folders or not; nothing in them changes.
        out: the new run's folder.
        listener: told how it goes.
        masks: whose masks are taken, as `runs.masksets.sets_by_item` has it; of other mask sets nothing is.
        lasting: whether the new run is to survive a power cut.

    Raises:
        VocabularyError: a class has two ids, or an id two classes.
        RunError: a run is given twice or empty, or `out` holds something else.
        DamagedError: a file of an item is not as it was written.
        StorageError: a write was refused; the same call goes on later.
    """
    names = _names(runs)
    vocabulary = merged_vocabulary(runs, names)
    parts = merged_items(runs, masks)
    header, recipe = _header(runs, names, parts, vocabulary), _recipe(runs[0], vocabulary)
    files = LocalFiles(out, lasting=lasting)
    find(files)  # a foreign folder is refused before a lock is put into it
    with files.lock():
        files.sweep()
        run = _begin(files, header, recipe, parts)
        for name, each in zip(names, runs, strict=True):
            files.write(layout.recipe_of(name), each.files.read(layout.RECIPE))
            for number in range(1, len(each.header.additions) + 1):
                path = layout.added_recipe(number)
                files.write(layout.recipe_of(f"{name}-{path.stem}"), each.files.read(path))
        done = run.done_ids()
        todo = [part for part in parts if part.spec.item_id not in done]
        listener.starting(len(todo), len(parts))
        for part in todo:
            [record] = commit(files, [_draft(part)])
            listener.finished(record)
        _carry_decisions(run, parts)
        tidy(run)
        write_contact_sheet(run)
    return run


def merged_vocabulary(runs: Sequence[Run], names: Sequence[str]) -> Vocabulary:
    """All classes of all runs, each under the id that it has; of its phrases, those of every run.

    Raises:
        VocabularyError: a class has two ids, or an id two classes; names both runs.
    """
    by_id: dict[int, ClassEntry] = {}
    ids: dict[str, int] = {}
    home: dict[int, str] = {}
    advice = "runs that are merged share their ids; give them in a classes file, docs/prompts.md"
    pairs = zip(names, runs, strict=True)
    for where, entry in ((name, each) for name, run in pairs for each in run.header.classes):
        label, known = entry.label_id, by_id.setdefault(entry.label_id, entry)
        first = home.setdefault(label, where)
        other = ids.setdefault(entry.name, label)
        if known.name != entry.name:
            told = f"the id {label} is {known.name!r} in {first} and {entry.name!r} in {where}"
            raise VocabularyError(f"{told}; {advice}")
        if other != label:
            told = f"class {entry.name!r} has the id {other} in {home[other]} and {label} in {where}"
            raise VocabularyError(f"{told}; {advice}")
        by_id[label] = replace(known, phrases=tuple(dict.fromkeys((*known.phrases, *entry.phrases))))
    named = {run.header.vocabulary for run in runs}
    return Vocabulary.of_entries(by_id.values(), name=named.pop() if len(named) == 1 else "merged")


def _names(runs: Sequence[Run]) -> list[str]:
    """What each run is called: its folder's name, made safe, numbered where two have one."""
    if len(runs) < 2:
        raise RunError("merging takes two runs or more")
    addresses = [run.files.address for run in runs]
    twice = next((each for each, count in Counter(addresses).items() if count > 1), None)
    if twice is not None:
        raise RunError(f"{twice} is given twice; name each run once")
    plain = [
        "".join(c if c.isascii() and c.isalnum() else "-" for c in PurePosixPath(a).name) for a in addresses
    ]
    safe = [each.strip("-")[:40] or "run" for each in plain]
    count = Counter(each.casefold() for each in safe)
    return [f"{each}-{at}" if count[each.casefold()] > 1 else each for at, each in enumerate(safe, start=1)]


def merged_items(runs: Sequence[Run], masks: str | None = None) -> list[MergedItem]:
    """Every whole item in the order of runs and plans, with the id that it will have."""
    found, names = [], _names(runs)
    sets = [sets_by_item(run, masks) for run in runs]
    for run, done in zip(runs, sets, strict=True):
        specs = [spec for spec in run.plan() if spec.item_id in done]
        if not specs:
            raise RunError(f"{run.files.address} has no whole item to merge")
        found.append(specs)
    ids = Counter(spec.item_id.casefold() for specs in found for spec in specs)
    clash = any(count > 1 for count in ids.values())
    parts: list[MergedItem] = []
    for run, name, specs, of_set in zip(runs, names, found, sets, strict=True):
        for spec in specs:
            new_id = f"{name}-{spec.item_id}" if clash else spec.item_id
            if not is_item_id(new_id):
                raise RunError(f"item {spec.item_id} of {run.files.address} has an id too long to be merged")
            own = replace(spec, item_id=new_id, index=len(parts))
            parts.append(MergedItem(run=run, old_id=spec.item_id, spec=own, mask_set=of_set[spec.item_id]))
    return parts


def _header(
    runs: Sequence[Run], names: Sequence[str], parts: Sequence[MergedItem], vocabulary: Vocabulary
) -> RunHeader:
    headers = [run.header for run in runs]
    said = [*(each.digest for each in headers), *(_said(part) for part in parts)]
    licences = dict.fromkeys(each.model_licence for each in headers if each.model_licence)
    revisions = {each.revision for each in headers}
    return headers[0].model_copy(
        update={
            "segmint_version": __version__,
            "kind": KIND,
            "digest": hashlib.sha256("\n".join(said).encode()).hexdigest(),
            "created": max(each.created for each in headers),
            "model": " + ".join(dict.fromkeys(each.model for each in headers)),
            "revision": headers[0].revision if len(revisions) == 1 else None,
            "model_licence": " + ".join(licences) or None,
            "vocabulary": vocabulary.name,
            "classes": vocabulary.entries,
            "parent": ", ".join(names),
            "additions": (),
        }
    )


def _said(part: MergedItem) -> str:
    return " ".join(filter(None, (part.spec.item_id, part.old_id, part.mask_set)))


def _recipe(first: Run, vocabulary: Vocabulary) -> str:
    recipe = Recipe.parse(first.recipe(), source=f"{first.files.address}/{layout.RECIPE}")
    changed = {"vocabulary": VocabularySettings.from_vocabulary(vocabulary)}
    return recipe.model_copy(update=changed).to_toml()


def _begin(files: LocalFiles, header: RunHeader, recipe: str, parts: Sequence[MergedItem]) -> Run:
    standing = find(files)
    if standing is None:
        return write_run(files, header=header, recipe_toml=recipe, plan=[part.spec for part in parts])
    if standing.header.digest != header.digest:
        raise RunError(f"{files.address} holds another run, or another merge; choose another --out")
    return standing


def _draft(part: MergedItem) -> Draft:
    record = part.run.record(part.old_id, part.mask_set)
    blobs = {role: _read(part.run, record, role) for role in ROLES}
    renamed = record.model_copy(update={"id": part.spec.item_id, "index": part.spec.index, "files": {}})
    return Draft(record=renamed, blobs={role: data for role, data in blobs.items() if data is not None})


def _read(run: Run, record: ItemRecord, role: Role) -> bytes | None:
    """A file of an item, held against its record: what is damaged is not sealed anew."""
    said = record.files.get(role)
    if said is None:
        return None
    data = run.files.read(PurePosixPath(said.path))
    if hashlib.sha256(data).hexdigest() != said.sha256:
        raise DamagedError(
            f"{run.files.address}/{said.path} is not as it was written; mend that run with --repair first"
        )
    return data


def _carry_decisions(run: Run, parts: Sequence[MergedItem]) -> None:
    folder = run.folder
    if folder is None or read_states(folder):
        return
    states = {id(each): states_at(each.files) for each in {id(p.run): p.run for p in parts}.values()}
    decided = {
        part.spec.item_id: state
        for part in parts
        if (state := states[id(part.run)].get(part.old_id)) is not None
    }
    if decided:
        decide(folder, decided, by="merge", why="as in the merged runs", then=lambda: write_image_sets(run))
