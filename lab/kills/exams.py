"""What is killed: each command with the place that it works in, what goes on after it, and what must hold."""

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from lab.kills.forked import KILLED, Ended, command, in_a_fork
from lab.sameness.compare import first_difference
from segmint.errors import SegmintError
from segmint.runs.curation.decisions import read_states
from segmint.runs.files.remote import files_at
from segmint.runs.verify import verify

FORMATS = ("voc", "coco", "yolo", "cvat", "label-studio", "mmsegmentation", "webdataset", "huggingface")
MINT = "generate --model toybox --classes 'boat, tree' --steps 2 --height 32 --width 32 --batch-size 2"
TRAIN = (
    "train run --val run --out trained --resume --arch toynet --backbone none --crop 32 --iterations 8 "
    "--batch-size 2 --validate-every 4 --device cpu --workers 0 --quiet --set optimiser.backbone_factor=1.0 "
    "--set schedule.checkpoint_every=3"
)
REJECT = "curate run --reject 'index < 2'"
TIMELESS = ("*.png.lock", ".lock", ".pending/*", "tensorboard/*", "run.json", "curation.jsonl")
"""What holds the writer's process, the clock, or a decision's random name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """A command that is killed at each of its changes.

    `then` are the commands that a person gives afterwards, the same ones as where nothing was killed. `holds`
    looks at what stands right after the kill, and says in words what does not hold.
    """

    name: str
    killed: str
    then: tuple[str, ...]
    before: tuple[str, ...] = ()
    """Commands that make the place."""
    holds: Callable[[Path], str] = field(default=lambda _: "")


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of an exam."""

    name: str
    kills: int = 0
    problems: list[str] = field(default_factory=list)


def whole_items(place: Path) -> str:
    """No item of the run is damaged; lists may be behind."""
    run = place / "run"
    if not (run / "run.json").is_file():
        return ""
    found = (each for each in verify(files_at(run)).problems if not each.path.startswith("ImageSets/"))
    return "; ".join(f"{each.path} {each.detail}" for each in found)


def all_or_nothing(place: Path) -> str:
    """Either no item is rejected or all that the rule takes."""
    rejected = sum(each == "rejected" for each in read_states(place / "run").values())
    return "" if rejected in (0, 2) else f"{rejected} of 2 items are rejected"


MADE = f"{MINT} --count 4 --keep-features --quiet --out run"
LABEL = "label photos --model toybox --classes 'boat, tree' --batch-size 2 --quiet --out run"
REMASK = "remask run --method pcc --name again --quiet"
EXAMS = (
    Exam(name="generate", killed=MADE, then=(MADE,), holds=whole_items),
    Exam(name="label", killed=LABEL, then=(LABEL,), holds=whole_items),
    Exam(name="remask", before=(MADE,), killed=REMASK, then=(REMASK,), holds=whole_items),
    *(
        Exam(
            name=f"export {name}",
            before=(MADE,),
            killed=f"export run --format {name} --out out --quiet",
            then=(REJECT, f"export run --format {name} --out out --quiet --force"),
        )
        for name in FORMATS
    ),
    Exam(name="curate", before=(MADE,), killed=REJECT, then=("curate run", REJECT), holds=all_or_nothing),
    Exam(
        name="curate --undo",
        before=(MADE, REJECT),
        killed="curate run --undo",
        then=("curate run", f"{REJECT} --override"),
        holds=all_or_nothing,
    ),
    Exam(
        name="merge",
        before=(MADE, f"{MINT} --count 3 --quiet --seed 9 --out other"),
        killed="merge run other --out merged",
        then=("merge run other --out merged",),
    ),
    Exam(name="train", before=(MADE,), killed=TRAIN, then=(TRAIN,)),
)


def sit(exam: Exam, folder: Path, *, most: int) -> Result:
    """Kill at every change, or at `most` of them evenly; after each kill give the next commands and compare
    every file with those of a place where nothing was killed.
    """
    template, whole, place = (folder / name for name in ("template", "whole", "place"))
    _prepare(exam, template)
    shutil.copytree(template, place, symlinks=True)
    first = _all_well([in_a_fork(_words(exam.killed), place)])
    _go_on(exam.then, place)
    place.rename(whole)
    result = Result(name=exam.name)
    for number in sorted({round(each) for each in np.linspace(1, first.changes, min(most, first.changes))}):
        shutil.copytree(template, place, symlinks=True)
        problem = _once(exam, place, whole, number)
        result.kills += 1
        if problem:
            result.problems.append(f"killed at change {number} of {first.changes}: {problem}")
        shutil.rmtree(place)
    return result


def _once(exam: Exam, place: Path, whole: Path, number: int) -> str:
    ended = in_a_fork(_words(exam.killed), place, kill_at=number)
    if ended.code != KILLED:
        return f"it ended with {ended.code} instead: {ended.said[-200:]}"
    try:
        problem = exam.holds(place)
        if problem:
            return problem
        _go_on(exam.then, place)
    except (SegmintError, RuntimeError) as error:
        return str(error)
    return differs(whole, place)


def differs(whole: Path, place: Path) -> str:
    """The first file that is not as it is in the whole one, in words; empty where all are."""
    there, here = (
        {
            str(path.relative_to(top))
            for path in top.rglob("*")
            if path.is_file() and not path.is_symlink() and not any(path.match(each) for each in TIMELESS)
        }
        for top in (whole, place)
    )
    if there != here:
        return f"{min(there ^ here)} is {'missing' if there - here else 'too many'}"
    found = (first_difference(whole / name, place / name, name) for name in sorted(there))
    return next(filter(None, found), "")


def _prepare(exam: Exam, template: Path) -> None:
    (template / "photos").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 256, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(template / "photos" / f"p{number}.png")
    _go_on(exam.before, template)


def _go_on(lines: Sequence[str], place: Path) -> None:
    _all_well([in_a_fork(_words(line), place) for line in lines])


def _all_well(ended: Sequence[Ended]) -> Ended:
    for each in ended:
        if each.code:
            raise RuntimeError(f"a command ended with {each.code}: {each.said[-300:]}")
    return ended[-1] if ended else Ended(code=0, changes=0, said="")


def _words(line: str) -> Callable[[], None]:
    return command(shlex.split(line))
