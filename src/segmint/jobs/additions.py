"""Further items of a run by recipes of their own: other prompts, classes or weights, in the same folder.

A run's first recipe stands as it is. Each addition brings a recipe, and items whose indexes go on from those
that were there; both lie in `recipes/`. The vocabulary may gain classes, and no class ever changes its id.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from segmint.errors import ConfigError, PromptError, RunError, VocabularyError
from segmint.jobs.request import Classes, Part, Request, named_classes, of_prompts, request, whole_plan
from segmint.plan.classes import brings_ids
from segmint.plan.prompts.given import GivenPrompts
from segmint.recipe import Recipe, changed_fields
from segmint.runs import layout
from segmint.runs.files.local import Files
from segmint.runs.records import Addition
from segmint.runs.store import Run, read_plan
from segmint.textfile import parse_toml
from segmint.vocabulary import MAX_CLASSES, ClassEntry, Vocabulary, voc_colour

MAX_ADDITIONS = 10_000
"""Looked for at a place whose header is lost."""
FREE = ("vocabulary", "prompts", "sampling")
"""Sections of a recipe that an addition may change; the others are the whole run's."""
_OF_FILES = ("source", "file", "file_sha256", "format", "templates_sha256", "weights")
"""Fields of the section `prompts` that say where the run's own prompts come from."""


def standing_request(run: Run) -> Request:
    """What a run was asked for, additions and all: to go on with it without saying everything again."""
    recipe = Recipe.parse(run.recipe(), source=f"{run.files.address}/{layout.RECIPE}")
    added = standing_additions(run.files, len(run.header.additions))
    first = run.header.items - sum(len(part.plan) for part in added)
    return Request(recipe=recipe, plan=run.plan()[:first], added=added)


def standing_additions(files: Files, most: int = MAX_ADDITIONS) -> tuple[Part, ...]:
    """The additions that lie at a place, in order.

    Args:
        files: where the run lives.
        most: how many the run's header has; without a header, all that are there.

    Raises:
        DamagedError: a recipe or plan among them cannot be read.
        ConfigError: a recipe holds an unknown or invalid field.
    """
    found: list[Part] = []
    while len(found) < most and files.exists(path := layout.added_recipe(len(found) + 1)):
        plan = read_plan(files, layout.added_plan(len(found) + 1))
        found.append(Part(recipe=_recipe_at(files, path), plan=plan))
    return tuple(found)


def _recipe_at(files: Files, path: PurePosixPath) -> Recipe:
    source = f"{files.address}/{path}"
    try:
        return Recipe.parse(parse_toml(files.read(path).decode()), source=source)
    except ValueError as error:
        raise RunError(f"{source} is damaged: {error}; put it back from a copy of the run") from None


def with_addition(
    run: Run,
    *,
    base: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    classes: Classes = None,
    prompts_file: Path | GivenPrompts | None = None,
    count: int | None = None,
    weigh: Mapping[str, float] | None = None,
    source: str = "settings",
) -> Request:
    """What a run was asked for, and more.

    Asked for just as the last addition was, this goes on with it, and a larger count makes it longer.

    Args:
        run: the run that stands, in whatever state.
        base: what a recipe file says; its sections stand for those of the run's recipe.
        changes: dotted fields over it.
        classes: what the new items show; None takes those of the prompts, or all of the run's. A plain list
            has no ids of its own: known classes keep theirs, and new ones take the next that are free.
        prompts_file, count, source: as `request` has them; the count is of new items.
        weigh: weights by class that were worked out from what the run holds (`jobs.balance`): an addition
            that is not finished goes on by those that it began with.

    Raises:
        VocabularyError: a class has another id in the run, or its id is another class's.
        RunError: the run holds no minted images, what is asked for differs in more than an addition may, or
            the addition before is not finished.
        ConfigError, PromptError: as `request`.
    """
    if run.header.kind != "generate":
        raise RunError(f"{run.files.address} is of kind {run.header.kind}; only minted runs are added to")
    standing = standing_request(run)
    ask = partial(
        request,
        base=_settings(standing.recipe, base or {}),
        classes=_drawn(run, classes, prompts_file),
        prompts_file=prompts_file,
        count=count,
        source=source,
    )
    begun = _going_on(run, standing, partial(_part, ask, changes or {}), weighed=weigh is not None)
    if begun is not None:
        return begun
    part = _part(ask, changes or {}, weigh, len(whole_plan(standing)))
    _check_same_but_free(run, standing.recipe, part.recipe)
    whole = replace(standing, added=(*standing.added, part))
    _check_item_ids(whole)
    return whole


def _settings(first: Recipe, over: Mapping[str, Any]) -> dict[str, Any]:
    """The run's recipe without what says where its own prompts come from, sections of another over it."""
    own = first.model_dump(mode="json", exclude={"vocabulary": True, "prompts": set(_OF_FILES)})
    return {**own, **{name: section for name, section in over.items() if name != "vocabulary"}}


def _part(
    ask: Callable[..., Request], changes: Mapping[str, Any], weights: Mapping[str, float] | None, start: int
) -> Part:
    weighed = {"prompts.weights": dict(weights)} if weights else {}
    asked = ask(changes={**changes, **weighed}, start=start)
    return Part(recipe=asked.recipe, plan=asked.plan)


def _going_on(
    run: Run,
    standing: Request,
    part: Callable[[Mapping[str, float] | None, int], Part],
    *,
    weighed: bool,
) -> Request | None:
    """The last addition gone on with, where it was asked for just so; None where another one is meant.

    Raises:
        RunError: another one is meant, and the last is not finished.
        ConfigError: the last one has more items.
    """
    if not standing.added:
        return None
    last = standing.added[-1]
    again = part(last.recipe.prompts.weights if weighed else None, last.plan[0].index)
    unfinished = {spec.item_id for spec in last.plan} - run.done_ids() - run.failed_ids()
    if again.recipe == last.recipe and (unfinished or not weighed):
        if len(again.plan) < len(last.plan):
            raise ConfigError(
                f"the last addition was asked for just so, with {len(last.plan)} items; give --count "
                f"{len(last.plan)} or more to go on with it, or another --seed for further ones"
            )
        return replace(standing, added=(*standing.added[:-1], again))
    if unfinished:
        raise RunError(
            f"{len(unfinished)} items of the last addition to {run.files.address} are still to be made; "
            f"finish it first: segmint generate --out {run.files.address}"
        )
    return None


def joined(entries: Sequence[ClassEntry], parts: Sequence[Part]) -> tuple[ClassEntry, ...]:
    """A run's classes with those of additions; of a class's phrases, those of all.

    Raises:
        VocabularyError: a class has two ids, or an id two classes.
    """
    known = {entry.label_id: entry for entry in entries}
    for part in parts:
        for entry in part.recipe.vocabulary.classes:
            before = known.setdefault(entry.label_id, entry)
            phrases = tuple(dict.fromkeys((*before.phrases, *entry.phrases)))
            known[entry.label_id] = replace(before, phrases=phrases)
    return Vocabulary.of_entries(known.values()).entries


def additions_of(parts: Sequence[Part], before: Sequence[Addition]) -> tuple[Addition, ...]:
    """What a run's header says of its additions; those that were there keep their time."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    times = [each.created for each in before] + [now] * len(parts)
    return tuple(
        Addition(digest=part.recipe.digest(), created=time, items=len(part.plan))
        for part, time in zip(parts, times, strict=False)
    )


def _drawn(run: Run, classes: Classes, prompts_file: Path | GivenPrompts | None) -> Vocabulary:
    """The classes of an addition under the ids that they have in the run."""
    standing = run.vocabulary()
    if classes is None and prompts_file is None:
        return standing
    asked = named_classes(classes) if classes is not None else of_prompts(prompts_file or Path())
    assert asked is not None
    own_ids = brings_ids(classes) if classes is not None else _given_ids(prompts_file)
    return _checked(standing, asked, run) if own_ids else _numbered(standing, asked)


def _given_ids(prompts: Path | GivenPrompts | None) -> bool:
    return isinstance(prompts, GivenPrompts) and prompts.vocabulary() is not None


def _checked(standing: Vocabulary, asked: Vocabulary, run: Run) -> Vocabulary:
    names = {entry.label_id: entry.name for entry in standing.entries}
    ids = {entry.name: entry.label_id for entry in standing.entries}
    for entry in asked.entries:
        there = names.get(entry.label_id, entry.name)
        if there != entry.name:
            raise VocabularyError(
                f"the id {entry.label_id} of class {entry.name!r} is {there!r} in {run.files.address}; "
                f"give it a free one, or a plain list as in --classes {entry.name!r}, which takes the next"
            )
        if ids.get(entry.name, entry.label_id) != entry.label_id:
            raise VocabularyError(
                f"class {entry.name!r} has the id {ids[entry.name]} in {run.files.address}, and here "
                f"{entry.label_id}; ids never change"
            )
    return asked


def _numbered(standing: Vocabulary, asked: Vocabulary) -> Vocabulary:
    """Known classes as the run has them, unless they bring phrases; new ones after the last id."""
    known = {entry.name: entry for entry in standing.entries}
    free = (each for each in range(1, MAX_CLASSES + 1) if each > standing.entries[-1].label_id)
    found: list[ClassEntry] = []
    for entry in asked.entries:
        before = known.get(entry.name)
        if before is not None:
            plain = entry.phrases == (entry.name,)
            found.append(before if plain else replace(before, phrases=entry.phrases))
            continue
        label_id = next(free, None)
        if label_id is None:
            raise VocabularyError(f"no id is free for class {entry.name!r}; ids are 1 to {MAX_CLASSES}")
        usual = entry.colour == voc_colour(entry.label_id)
        colour = voc_colour(label_id) if usual else entry.colour
        found.append(replace(entry, label_id=label_id, colour=colour))
    return Vocabulary.of_entries(found, name=standing.name)


def _check_same_but_free(run: Run, first: Recipe, recipe: Recipe) -> None:
    before, now = (each.model_dump(mode="json", exclude=set(FREE)) for each in (first, recipe))
    changed = changed_fields(before, now)
    if changed:
        raise RunError(
            f"an addition to {run.files.address} cannot change {', '.join(changed)}; mint that as a run "
            "of its own, and join the two with segmint merge"
        )


def _check_item_ids(whole: Request) -> None:
    ids = Counter(spec.item_id.casefold() for spec in whole_plan(whole))
    twice = next((each for each, number in ids.items() if number > 1), None)
    if twice is not None:
        raise PromptError(f"the run has an item {twice!r} already; change the ids of the added prompts")
