"""Whether this tree makes what another commit made, byte for byte: `python -m lab.sameness --base COMMIT`.

The same commands run on both trees, each in a process of its own with one numeric thread, in a folder of the
tree's own; then every file that they wrote is compared, and what was printed where that is a result.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lab.sameness.compare import Comparison, compare_step
from lab.sameness.steps import STEPS, Step, chosen

ROOT = Path(__file__).resolve().parents[2]
BASE = "f586c30"
"""The last commit that changed on purpose what some command makes; one that does so again moves this."""
HOUSE = "a700206"
"""The commit before the house was put in order; differences from it that were meant are accepted, see
`accepted`."""
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def carry_out(source: Path, folder: Path, steps: Sequence[Step]) -> dict[str, dict[str, str | int]]:
    """Run the steps on the tree whose packages are in `source`, in `folder`.

    Returns:
        By step: `code`, `printed`, `said` (on stderr); the steps' files lie in `folder`.
    """
    folder.mkdir(parents=True)
    asked, told = folder.with_suffix(".steps.json"), folder.with_suffix(".told.json")
    asked.write_text(json.dumps([asdict(step) for step in steps]))
    settings = os.environ | dict.fromkeys(ONE_THREAD, "1")
    settings |= {"PYTHONPATH": str(source), "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
    settings |= {"HOME": str(folder.parent), "COLUMNS": "120", "CUDA_VISIBLE_DEVICES": ""}
    driver = Path(__file__).with_name("forked.py")
    subprocess.run(
        [sys.executable, "-P", str(driver), str(source), str(asked), str(told)],
        cwd=folder,
        env=settings,
        check=True,
    )
    found: dict[str, dict[str, str | int]] = json.loads(told.read_text())
    return found


def compare_trees(
    base: Path, ours: Path, folder: Path, steps: Sequence[Step] = STEPS, *, meant: bool = False
) -> Iterator[Comparison]:
    """Run the steps on two trees, one after the other, and compare, step by step.

    Args:
        base: folder that holds the packages of the tree to compare with.
        ours: the same of this tree.
        folder: a place to work in; the files come to lie in `base/` and `ours/`.
        steps: what to run.
        meant: accept what `accepted` names.
    """
    told = {}
    for name, source in (("base", base), ("ours", ours)):
        here = folder / "here"  # the same for both: records name the files that they label
        told[name] = carry_out(source, here, steps)
        here.rename(folder / name)
    for step in steps:
        then, now = told["base"][step.name], told["ours"][step.name]
        both = folder / "base", folder / "ours"
        yield compare_step(step.name, *both, then, now, printed=step.printed, meant=meant)


@contextmanager
def checked_out(commit: str | None, folder: Path) -> Iterator[Path]:
    """A worktree of a commit, removed afterwards; this tree for None."""
    if commit is None:
        yield ROOT
        return
    place = folder / commit
    git = ("git", "-C", str(ROOT), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
    try:
        yield place
    finally:
        subprocess.run([*git, "remove", "--force", str(place)], check=True)


def main(
    *,
    base: Annotated[str, typer.Option(metavar="COMMIT", help="What this tree is compared with.")] = BASE,
    ours: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="Another commit in place of this tree.")
    ] = None,
    only: Annotated[str, typer.Option(help="Steps whose names hold this, and those that they need.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a step.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep both trees' files in this new folder.")] = None,
) -> None:
    """Run the same commands on another commit and on this tree, and compare what they make, byte for byte."""
    alike = True
    with tempfile.TemporaryDirectory(prefix="segmint-sameness-") as temporary:
        place = Path(temporary)
        with checked_out(base, place) as then, checked_out(ours, place) as now:
            runs, steps = keep or place / "runs", chosen(only)
            for each in compare_trees(then / "src", now / "src", runs, steps, meant=base == HOUSE):
                print(json.dumps(asdict(each)) if as_json else each.line(), flush=True)
                alike &= each.alike
    raise typer.Exit(0 if alike else 1)


if __name__ == "__main__":
    typer.run(main)
