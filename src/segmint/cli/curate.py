"""`segmint curate RUN`: keep and reject by rule, undo, and tell how things stand."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.choosing import VERDICTS, ChoiceOptions, draw, line, pick
from segmint.cli.several import carry_back, together
from segmint.cli.telling import say, say_json

if TYPE_CHECKING:
    from segmint.runs.curation.choice import Chosen
    from segmint.runs.curation.decisions import State
    from segmint.runs.curation.rules import Rule
    from segmint.runs.store import Run

AUTHOR = "curate"
Tell = Callable[[str], None]


def curate(
    runs: opt.RunFolders,
    *,
    reject: Annotated[
        list[str] | None,
        typer.Option("--reject", metavar="RULE", help="Reject what the rule takes; repeatable."),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="RULE", help="Keep what the rule takes; repeatable.")
    ] = None,
    choice: ChoiceOptions,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and change nothing.")] = False,
    override: Annotated[
        bool, typer.Option("--override", help="Change items that are kept or rejected already, too.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the newest group of decisions back.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="How things stand as one JSON object, the items by state.")
    ] = False,
) -> None:
    """Decide by rule which items a dataset made of the run holds; without rules, tell how things stand.

    Rules compare uncertain, agreement, presence, consistency, separability (of what stands out), specks,
    smallest (area of the least named class), area(CLASS), classes, prompt, index, seed, method, width,
    height; joined by and, or, not.

    Items decided before stay as they are. Rejected items stay on the disk; training, exports and the lists
    of image sets leave them out.
    Of several runs the worst, best or alike are picked out of all, and each keeps its own decisions.

    [bold]Examples[/bold]

    [cyan]segmint curate demo --reject "uncertain > 0.4" --reject "area(boat) < 1%" --dry-run[/cyan]

    [cyan]segmint curate demo --keep "agreement > 0.9 and not prompt contains 'two'"[/cyan]

    [cyan]segmint curate demo --worst 20 --by agreement --sheet worst.png[/cyan]

    [cyan]segmint curate demo --duplicates 0.1 --by features --sheet alike.png[/cyan]

    [cyan]segmint curate demo --duplicates 6 --then reject[/cyan]
    """
    from segmint.errors import ConfigError
    from segmint.runs.store import heal_image_sets, open_run

    rules: list[tuple[State, str]] = [("kept", each) for each in keep or []]
    rules += [("rejected", each) for each in reject or []]
    asked = choice.asked()
    if undo and (rules or asked):
        raise ConfigError("--undo goes alone; run it first, then the rules")
    opened = [open_run(each) for each in runs]
    tell = partial(say, err=as_json)
    for folder, each in zip(runs, opened, strict=True):
        if undo:
            _undo(folder, each, tell)
        elif rules:
            _apply(folder, each, rules, tell, dry_run=dry_run, override=override)
    chosen: list[Chosen] | None = None
    if asked is not None:
        with together(runs) as whole:
            chosen = _choose(runs, whole, choice, asked, tell, dry_run=dry_run)
    for folder, each in zip(runs, opened, strict=True):
        if not dry_run:
            heal_image_sets(each)
        _tell_states(folder, each, as_json=as_json, chosen=chosen, several=len(runs) > 1)


def _choose(
    folders: Sequence[Path], run: "Run", choice: ChoiceOptions, asked: str, tell: Tell, *, dry_run: bool
) -> "list[Chosen]":
    """Pick, list, draw and decide."""
    from segmint.jobs.merge import merged_items
    from segmint.runs.curation.decisions import decide, states_at
    from segmint.runs.store import open_run, write_image_sets

    before = states_at(run.files)
    ids = [each for each in sorted(run.done_ids()) if before.get(each) != "rejected"]
    picked = pick(run, ids, choice, partial(say, err=True))
    chosen = picked.chosen
    for each in chosen:
        tell(line(run, each))
    if choice.sheet:
        draw(run, picked, Path(choice.sheet), title=f"{asked}: {len(chosen)} of {len(ids)} items")
    state: State | None = VERDICTS.get(choice.then)
    new = [each.id for each in chosen if before.get(each.id) != state]
    if state is None:
        return chosen
    tell(f"{choice.then} {asked} takes {len(chosen)} items: {len(new)} new")
    if dry_run:
        tell("nothing is changed (--dry-run)")
    elif new and len(folders) > 1:
        items = merged_items([open_run(each) for each in folders])
        carry_back(items, dict.fromkeys(new, state), by=AUTHOR, why=f"{choice.then} {asked}")
    elif new:
        why = f"{choice.then} {asked}"
        decide(folders[0], dict.fromkeys(new, state), by=AUTHOR, why=why, then=lambda: write_image_sets(run))
    return chosen


def _apply(
    folder: Path,
    run: "Run",
    rules: Sequence[tuple["State", str]],
    tell: Tell,
    *,
    dry_run: bool,
    override: bool,
) -> None:
    from segmint.runs.curation.decisions import decide_all, read_states
    from segmint.runs.curation.rules import parse_rule
    from segmint.runs.store import write_image_sets

    names = run.vocabulary().label_names
    parsed = [(state, parse_rule(text, names)) for state, text in rules]
    before, groups = dict(read_states(folder)), []
    for state, rule in parsed:
        taken = _taken(run, rule)
        new = [i for i in taken if before.get(i) != state and (override or i not in before)]
        left = [i for i in taken if i in before and before[i] != state and not override]
        verb = {"kept": "keep", "rejected": "reject"}[state]
        spared = f", {len(left)} of them decided otherwise before and left" if left else ""
        tell(f"{verb} {rule.text!r} takes {len(taken)} items: {len(new)} new{spared}")
        before |= dict.fromkeys(new, state)
        if new:
            groups.append((dict.fromkeys(new, state), f"{verb} {rule.text}"))
    if dry_run:
        tell("nothing is changed (--dry-run)")
    elif groups:
        decide_all(folder, groups, by=AUTHOR, then=lambda: write_image_sets(run))


def _taken(run: "Run", rule: "Rule") -> list[str]:
    from segmint.errors import RunError

    taken = []
    for item_id in sorted(run.done_ids()):
        try:
            if rule.matches(run.record(item_id)):
                taken.append(item_id)
        except RunError as error:
            say(f"note: {error}; left alone", err=True)
    return taken


def _undo(folder: Path, run: "Run", tell: Tell) -> None:
    from segmint.runs.curation.decisions import undo
    from segmint.runs.masksets import ORIGINAL, standing_set
    from segmint.runs.store import write_image_sets

    undone = undo(folder, then=lambda: write_image_sets(run))
    if undone is None:
        tell("nothing left to undo")
        return
    what = f" ({undone.event.why})" if undone.event.why else ""
    tell(f"took back {len(undone.event.decisions)} decisions of {undone.event.time}{what}")
    if undone.event.masks is not None:
        tell(f"exports, reports and trainings take the mask set {standing_set(run) or ORIGINAL} again")


def _tell_states(
    folder: Path,
    run: "Run",
    *,
    as_json: bool,
    chosen: "Sequence[Chosen] | None" = None,
    several: bool = False,
) -> None:
    from segmint.runs.curation.decisions import CurationLog

    log = CurationLog(folder)
    done = sorted(run.done_ids())
    items = {state: [i for i in done if log.state(i) == state] for state in ("kept", "rejected", "undecided")}
    if as_json:
        named = {"run": str(folder)} if several else {}
        picked = {} if chosen is None else {"chosen": [asdict(each) for each in chosen]}
        say_json({**named, **items, **picked})
    else:
        say(f"{folder}: " + ", ".join(f"{len(ids)} {state}" for state, ids in items.items()))
    if log.damaged_lines:
        say(f"note: {log.damaged_lines} damaged lines of the record were skipped", err=True)
