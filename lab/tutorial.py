"""`python -m lab.tutorial`: run docs/tutorial.md as it stands, or a share of it, and take its pictures."""

import os
import re
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from segmint.cli.main import run

PAGE = Path(__file__).resolve().parents[1] / "docs/tutorial.md"
COUNTS = re.compile(r"(--(?:count|worst) )(\d+)")
"""Images, of which a share will do."""
LEAST = {"--count ": 4, "--worst ": 2}
"""Fewer would leave nothing to go on with."""
QUICK = {"--steps": 2, "--iterations": 4, "--validate-every": 4, "--batch-size": 2}
"""What a test asks for in place of the page's numbers: it looks at no picture."""
PICTURES = {
    "worst.png": "tutorial-worst.jpg",
    "val.png": "tutorial-coco.jpg",
    "segmenter/evaluation-toybox-val-100/worst.png": "tutorial-wrong.jpg",
}
"""Files that the page's commands make, and their names in docs/images."""
MOST_PX = (1200, 900)
"""(width, height) of a picture on the page; what is below is cut off."""


def steps(page: str, share: float, *, quick: bool) -> Iterator[tuple[str, str]]:
    """What the page runs, in order: (`bash`, a command) and (`python`, a block)."""
    for language, block in re.findall(r"^```(bash|python)\n(.*?)^```", page, re.M | re.S):
        if language == "python":
            yield language, block
            continue
        for command in block.splitlines():
            fewer = COUNTS.sub(partial(_share_of, share), command)
            for flag, number in QUICK.items() if quick else ():
                fewer = re.sub(rf"{flag} \d+", f"{flag} {number}", fewer)
            yield language, fewer


def _share_of(share: float, found: "re.Match[str]") -> str:
    return f"{found[1]}{max(LEAST[found[1]], round(int(found[2]) * share))}"


def follow(share: float = 1.0, *, quick: bool = False, until: str | None = None) -> None:
    """Do what the page says, in the working folder, to its end or the first command that begins like this.

    Raises:
        RuntimeError: a command did not end well.
    """
    said: dict[str, Any] = {}
    for language, step in steps(PAGE.read_text(encoding="utf-8"), share, quick=quick):
        if until is not None and step.startswith(until):
            return
        if language == "python":
            exec(compile(step, PAGE.name, "exec"), said)
            continue
        print(f"$ {step}", flush=True)
        try:
            run(shlex.split(step)[1:])
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(f"{step!r} ended with {ended.code}") from None


def take_pictures(folder: Path) -> None:
    """Put what the commands drew into a folder, small."""
    for made, name in PICTURES.items():
        with Image.open(made) as picture:
            small = picture.convert("RGB")
        small.thumbnail((MOST_PX[0], small.height))
        small.crop((0, 0, small.width, min(small.height, MOST_PX[1]))).save(folder / name, quality=80)


def main(
    out: Annotated[Path, typer.Option(help="A new folder to do it in.")],
    share: Annotated[float, typer.Option(help="Of the page's counts.", min=0, max=1)] = 1.0,
    pictures: Annotated[Path | None, typer.Option(help="Folder for the page's pictures.")] = None,
) -> None:
    """Do what the page says."""
    target = pictures.resolve() if pictures else None
    out.mkdir(parents=True)
    os.chdir(out)
    follow(share)
    if target:
        take_pictures(target)


if __name__ == "__main__":
    typer.run(main)
