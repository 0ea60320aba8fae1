"""`python -m lab.wheel [PYTHON …]`: the built wheel in a clean environment of every Python that it names.

Builds the wheel, makes a virtual environment for each interpreter, installs the wheel there with nothing but
what it asks for, and works with it: every module is imported that needs no extra, a run is minted with the
shipped model, verified and exported. Exit code 1 where anything fails.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[1]
LANGUAGE = "Programming Language :: Python :: 3."
IMPORTS = """
import importlib, pkgutil, sys, segmint
extras = "fastapi starlette uvicorn pycocotools datasets webdataset peft ray fsspec s3fs".split()
count = 0
for each in pkgutil.walk_packages(segmint.__path__, "segmint."):
    if each.name.rpartition(".")[2] == "__main__":
        continue
    try:
        importlib.import_module(each.name)
        count += 1
    except ModuleNotFoundError as missing:
        if missing.name.partition(".")[0] not in extras:
            raise
print(f"{count} modules, torch {sys.modules['torch'].__version__}")
"""
MINT = "generate --model toybox --classes toybox --count 2 --steps 4 --keep-features --quiet --out run"
COMMANDS = (
    "--version",
    MINT,
    "verify run",
    "remask run --method pcc --name again --quiet",
    "export run --format voc --out voc --quiet",
    "inspect run",
    "label run/JPEGImages --model toybox --classes toybox --quiet --out labelled",
    "heatmap 'a boat' --steps 2 --out map.png",
)


def named() -> list[str]:
    """The Pythons of the package's classifiers, such as "3.12"."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    return [each.rpartition(" ")[2] for each in said if each.startswith(LANGUAGE)]


def found(version: str) -> str | None:
    """An interpreter of this version on the path that answers."""
    path = shutil.which(f"python{version}")
    if path is None or subprocess.run([path, "-V"], capture_output=True, check=False).returncode:
        return None
    return path


def build(folder: Path) -> Path:
    """The wheel."""
    words = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(words, check=True)
    [wheel] = folder.glob("segmint-*.whl")
    return wheel


def try_out(python: str, wheel: Path, folder: Path) -> str:
    """Install the wheel in an environment of its own and work with it.

    Returns:
        What it came to, in a line.

    Raises:
        CalledProcessError: a step failed; its words are on stderr.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    carry_out = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, env=clean)
    carry_out([python, "-m", "venv", str(folder / "env")])
    own = folder / "env/bin/python"
    for words in (["install", "--quiet", str(wheel)], ["check"]):
        carry_out([own, "-m", "pip", *words])
    place = folder / "place"
    place.mkdir()
    for line in COMMANDS:
        words = [str(folder / "env/bin/segmint"), *shlex.split(line)]
        carry_out(words, cwd=place)
    done = carry_out([own, "-c", IMPORTS], cwd=place, stdout=subprocess.PIPE, text=True)
    return f"{done.stdout.strip()}, {len(COMMANDS)} commands"


def main(
    pythons: Annotated[
        list[str] | None, typer.Argument(help="Interpreters; none: those of the classifiers on the path.")
    ] = None,
) -> None:
    """Install the wheel in clean environments, and work with it there."""
    failed = False
    with tempfile.TemporaryDirectory(prefix="segmint-wheel-") as temporary:
        wheel = build(Path(temporary))
        for name in pythons or named():
            python = name if "/" in name else found(name)
            if python is None:
                print(f"{name}: not on this machine", flush=True)
                continue
            place = Path(temporary) / "tried"
            place.mkdir()
            try:
                told = try_out(python, wheel, place)
            except subprocess.CalledProcessError as error:
                failed, told = True, f"FAILED: {error}"
            print(f"{name}: {told}", flush=True)
            shutil.rmtree(place)
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
