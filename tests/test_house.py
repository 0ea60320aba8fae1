"""The house is as it is drawn: rooms, layers, tests beside what they test, and what is shipped."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {"src/segmint": ROOT / "src" / "segmint", "lab": ROOT / "lab"}
UNDRAWN = {"__init__.py", "_version.py", "__main__.py"}


def drawn() -> set[str]:
    """Paths that the README's tree names."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = readme.split("## What is where")[1].split("```")[1]
    found, above = set(), [""]
    for line in tree.strip("\n").splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()  # type: ignore[union-attr]
        above = [*above[: len(indent) // 2 + 1], name]
        found.add("".join(above))
    return found


def standing() -> set[str]:
    """Every folder of modules, and the modules that lie beside the rooms."""
    found = set()
    for name, folder in ROOMS.items():
        found |= {f"{path.parent.relative_to(ROOT)}/" for path in folder.rglob("__init__.py")}
        found |= {f"{name}/{path.name}" for path in folder.glob("*.py")}
    return {path for path in found if Path(path).name not in UNDRAWN}


def test_the_readme_draws_every_room_and_no_other() -> None:
    folders = {"docs/", "tests/", "src/segmint/__init__.py"}
    assert drawn() - folders == standing()


@pytest.fixture(scope="module")
def contracts() -> dict[str, Any]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {each["name"]: each for each in settings["tool"]["importlinter"]["contracts"]}


def test_no_room_is_outside_the_import_contracts(contracts: dict[str, Any]) -> None:
    segmint = ROOMS["src/segmint"]
    rooms = {path.stem for path in segmint.glob("*.py")} | {
        path.parent.name for path in segmint.glob("*/*.py")
    }
    layers = contracts["Imports point down"]
    assert layers["exhaustive"] is True
    layered = {room.strip() for layer in layers["layers"] for room in re.split(r"[|:]", layer)}
    assert layered == rooms - {"__init__", "_version"}
    without = {name.removeprefix("segmint.") for name in contracts[WITHOUT_DIFFUSERS]["source_modules"]}
    assert without >= layered - {"backbone", "toybox", "errors"}


WITHOUT_DIFFUSERS = "Only the backbone and the toybox import diffusers"


def test_tests_lie_beside_what_they_test() -> None:
    """`tests/ROOM/test_X.py` tests ROOM/X.py; one across modules says in its docstring what it shows."""
    lost = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        room = path.parent.relative_to(ROOT / "tests")
        base = ROOT / room if room.parts[:1] == ("lab",) else ROOMS["src/segmint"] / room
        name = path.stem.removeprefix("test_")
        named = any((base / each).exists() for each in (f"{name}.py", name))
        if not base.is_dir() or not (named or ast.get_docstring(ast.parse(path.read_text("utf-8")))):
            lost.append(str(path.relative_to(ROOT)))
    assert lost == []


def test_the_wheel_holds_no_file_of_the_lab() -> None:
    from hatchling.builders.wheel import WheelBuilder

    files = [each.distribution_path for each in WheelBuilder(str(ROOT)).recurse_included_files()]
    assert {name.split("/")[0] for name in files} == {"segmint"}
    assert "segmint/toybox/weights/unet/diffusion_pytorch_model.safetensors" in files


def test_every_path_that_the_guides_name_is_there() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]
    pages = [page for page in pages if page.name != "log.md"]  # which tells what was
    pages += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    lost = []
    for page in pages:
        for path in re.findall(r"`((?:src|lab|tests|docs)/[\w./-]*)`", page.read_text(encoding="utf-8")):
            if not (ROOT / path).exists():
                lost.append(f"{page.name}: {path}")
    assert lost == []
