"""`python -m lab.size`: lines and files of the package, and which issue brought them.

Counted is every line of every module of `src/segmint`. What an issue brought is what its commits (`BROUGHT`)
added less what they took away. The rest is the house: what stood at a700206, and what became of it since.
"""

import subprocess
from collections import Counter
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
MODULES = "src/segmint/*.py"
BROUGHT = {
    12: "7c74d14 882e3c1 15ff1ad 064d116 8954de2 99b8f1a e183844 6ab22c1 a812053",
    13: "9a96786 ec84c89 9c14daa 6a42b3a ff20892 4ef3f5e e2fc469 3b1197c 9e5ecf3 778a060 75872a5 50680d9",
    14: "4088aee 7685bb2 76a0b7c 810f398 e47e53a",
    15: "64516cf e6a5597 32212d0 36be9b3 a0e04ef 8d4064e de5868b 521aad2 d9f191b 6990e64",
    16: "ad9d473 e5d512d 9564233 a4cd2fc b4ddf11 71bf3fb 15734db e4ed824 24b430c fc93125 a60bf45 f668e8d "
    "d723bf6 e6cfe17 b4b2975 79e6891",
    17: "4d79286 a8a43b1 be6e346 7fefd8b",
}
"""Issue → the commits that changed `MODULES` for it."""


def change_of(commit: str) -> tuple[int, int]:
    """Lines and files of the package that a commit added, less those that it took away."""
    shown = _git("show", "--numstat", "--format=", "--no-renames", commit, "--", MODULES)
    lines = sum(int(added) - int(gone) for added, gone, _ in map(str.split, shown.splitlines()))
    shown = _git("show", "--name-status", "--format=", "--no-renames", commit, "--", MODULES)
    kinds = Counter(line[0] for line in shown.splitlines())
    return lines, kinds["A"] - kinds["D"]


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def brought_by(module: Path) -> list[str]:
    """Of each line of a module: "house", or the issue that brought it."""
    lines = _git("blame", "-s", "-l", "HEAD", "--", str(module)).splitlines()
    issues = {commit: f"issue {issue}" for issue, commits in BROUGHT.items() for commit in commits.split()}
    length = len(next(iter(issues), ""))
    return [issues.get(line[:length], "house") for line in lines]


def sizes() -> list[tuple[str, int, int]]:
    """Name, lines and files of the whole, of what each issue brought, and of the house."""
    files = [ROOT / name for name in _git("ls-files", "--", MODULES).splitlines()]
    lines = left = sum(len(path.read_bytes().splitlines()) for path in files)
    number = left_files = len(files)
    rows = [("all", lines, number)]
    for issue, commits in BROUGHT.items():
        changes = [change_of(commit) for commit in commits.split()]
        lines, number = sum(each[0] for each in changes), sum(each[1] for each in changes)
        rows.append((f"issue {issue}", lines, number))
        left, left_files = left - lines, left_files - number
    return [*rows, ("house", left, left_files)]


def main() -> None:
    """Count the lines and files of the package, by what brought them."""
    table = Table("part", "lines", "files")
    for name, *numbers in sizes():
        table.add_row(name, *(f"{each:,}" for each in numbers))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
