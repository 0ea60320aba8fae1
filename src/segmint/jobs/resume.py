"""Before the first item: make the run, or check that the one that stands is the one asked for."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from segmint._version import __version__
from segmint.backbone.base import ModelInfo
from segmint.errors import DamagedError, RunError
from segmint.jobs.additions import additions_of, joined, standing_additions
from segmint.jobs.request import Request, whole_plan
from segmint.recipe import Recipe, changed_fields
from segmint.runs import layout
from segmint.runs.files.local import Files
from segmint.runs.records import Kind, RunHeader, is_intact
from segmint.runs.store import Run, encode_plan, open_run, write_run
from segmint.runs.verify import own_problems

OWN_NAMES = {str(each.parts[0]) for each in vars(layout).values() if isinstance(each, PurePosixPath)}
"""Everything that a run puts into its folder; anything else there is somebody else's."""


def create(files: Files, request: Request, info: ModelInfo, *, kind: Kind = "generate") -> Run:
    """A new run at a place where `find` found none. The caller holds the lock."""
    recipe = request.recipe
    vocabulary = recipe.vocabulary.to_vocabulary()
    header = RunHeader(
        segmint_version=__version__,
        digest=recipe.digest(),
        kind=kind,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=info.id,
        revision=info.revision,
        model_licence=info.licence,
        vocabulary=vocabulary.name,
        classes=vocabulary.entries,
    )
    return _write(files, header, request)


def _write(files: Files, header: RunHeader, request: Request) -> Run:
    header = header.model_copy(
        update={
            "classes": joined(header.classes, request.added),
            "additions": additions_of(request.added, header.additions),
        }
    )
    added = [(part.recipe.to_toml(), part.plan) for part in request.added]
    return write_run(
        files, header=header, recipe_toml=request.recipe.to_toml(), plan=whole_plan(request), added=added
    )


def adopt(run: Run, request: Request) -> Run:
    """The run that stands, its plan made longer where more is asked for. The caller holds the lock.

    Raises:
        RunError: the recipe differs, the plan is not the run's own or its beginning, or the run was merged.
    """
    if run.header.kind == "merge":
        raise RunError(
            f"{run.files.address} was merged from {run.header.parent}; go on with one of those, and merge "
            "again"
        )
    check_same_recipe(run, request.recipe)
    plan = whole_plan(request)
    wanted, standing = encode_plan(plan), run.files.read(layout.PLAN)
    if wanted != standing:
        standing = encode_plan(run.plan())  # reads every line, and so refuses a damaged plan by name
    if wanted == standing and run.header.items == len(plan):
        return run
    torn = run.header.items == len(plan) and standing.startswith(
        wanted
    )  # killed before its header was written
    if not torn:
        check_extends(run, wanted, standing)
    return _write(run.files, run.header, request)


def with_standing(files: Files, run: Run | None, request: Request) -> Request:
    """The request with the additions that the place holds, where it says none itself.

    Args:
        files: the place.
        run: what `find` found there.
        request: what is asked for.

    Raises:
        RunError: more of the run's own items are asked for than were planned before something was added.
    """
    if request.added or request.photos is not None:
        return request
    known = () if run is None else (len(run.header.additions),)
    added = standing_additions(files, *known)
    if added and len(request.plan) > added[0].plan[0].index:
        raise RunError(
            f"{files.address} was added to after its first {added[0].plan[0].index} items; "
            "give --add for more"
        )
    return replace(request, added=added)


def find(files: Files, *, repair: bool = False) -> Run | None:
    """The run at a place, None where one can be made.

    With `repair` a run whose own files are damaged counts as one to be made: they are written anew from
    what is asked for, around the items that are there.

    Raises:
        RunError: the place holds other files, or a run that is damaged (and `repair` is off) or of another
            schema.
    """
    present = files.names(PurePosixPath())
    if layout.HEADER.name in present:
        try:
            run = open_run(files)
            damaged = repair and bool(own_problems(run))
        except DamagedError:
            damaged = True
            if not repair:
                raise
        return None if damaged else run
    strangers = sorted((present | files.folders(PurePosixPath())) - OWN_NAMES)
    if strangers:
        raise RunError(
            f"{files.address} is not empty and no run (it holds {strangers[0]!r}); "
            "choose a new folder for --out"
        )
    return None


def check_same_recipe(run: Run, recipe: Recipe) -> None:
    """Refuse to go on with a changed recipe, which would mix two datasets in one folder.

    Raises:
        RunError: names every changed field with its old and its new value.
    """
    before = Recipe.parse(run.recipe(), source=f"{run.files.address}/{layout.RECIPE}").model_dump(mode="json")
    now = recipe.model_dump(mode="json")
    changed = changed_fields(before, now)
    if changed:
        said = ", ".join(f"{name} ({_value(before, name)} → {_value(now, name)})" for name in changed)
        raise RunError(
            f"{run.files.address} was made with another recipe; changed: {said}; "
            "give the old values to go on with it, or choose another --out"
        )


def check_digest(files: Files, recipe: Recipe) -> None:
    """Before a damaged run is written anew: its header, where that is whole, must be of the same recipe.

    Raises:
        RunError: it is of another.
    """
    with suppress(DamagedError):
        header = open_run(files).header if files.exists(layout.HEADER) else None
        if header is None or header.digest == recipe.digest():
            return
        if is_intact(header, files.read(layout.HEADER)):
            raise RunError(
                f"{files.address} was made with another recipe, and its own {layout.RECIPE} is damaged; "
                "give the flags that it was made with to repair it"
            )


def check_same_model(run: Run, info: ModelInfo) -> None:
    """Refuse to go on with other weights under the same name.

    Raises:
        RunError: the model resolves to another revision than the run was made with.
    """
    if run.header.revision != info.revision:
        raise RunError(
            f"{run.files.address} was made with revision {run.header.revision} of {run.header.model}, "
            f"which is now {info.revision}; pass --revision {run.header.revision}, or choose another --out"
        )


def check_extends(run: Run, wanted: bytes, standing: bytes) -> None:
    """Refuse a plan that is not the run's own, or its own and more.

    Raises:
        RunError: the plan is shorter, or differs at an item that is named.
    """
    if wanted.startswith(standing):
        return
    new, old = wanted.splitlines(), standing.splitlines()
    if standing.startswith(wanted):
        raise RunError(
            f"{run.files.address} is planned for {len(old)} items and {len(new)} are asked for; "
            f"give --count {len(old)} or more, or choose another --out"
        )
    at = next(i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    raise RunError(
        f"the prompts are not those of {run.files.address}: item {at} differs; "
        "give the same prompts to go on with it, or choose another --out"
    )


def _value(recipe: object, dotted: str) -> object:
    for part in dotted.split("."):
        recipe = recipe.get(part) if isinstance(recipe, dict) else None
    return recipe
