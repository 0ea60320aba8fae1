"""Carries out the steps of `lab.sameness` on one tree, each in a fork of a process that holds the libraries.

It knows no module of this house but `segmint.cli.main`, which every tree has. Arguments: the folder of the
packages, a file of steps, the file to tell in.
"""

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch",
    "diffusers",
    "transformers.models.clip",
    "torchvision",
    "scipy.ndimage",
    "matplotlib.figure",
)


def _load_libraries() -> None:
    """What takes seconds to import and is the same for both trees."""
    for name in LIBRARIES:
        import_module(name)


def _attempt(step: dict[str, Any], source: str) -> int:
    import segmint

    if not str(segmint.__file__).startswith(source):
        raise RuntimeError(f"{segmint.__file__} is imported; expected a package in {source}")
    try:
        if step["python"]:
            exec(step["python"], {})
        else:
            from segmint.cli.main import run

            run(step["words"])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except Exception:  # noqa: BLE001 - told, and compared
        traceback.print_exc()
        return 1
    return 0


def _in_a_fork(step: dict[str, Any], source: str, printed: Path, said: Path) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for path, descriptor in ((printed, 1), (said, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    code = _attempt(step, source)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(source: str, asked: str, told: str) -> None:
    """Run the steps here; tell of each its exit code, its words and the files that it was first to write."""
    _load_libraries()
    printed, said = Path(f"{told}.printed"), Path(f"{told}.said")
    known: set[str] = set()
    found: dict[str, dict[str, Any]] = {}
    for step in json.loads(Path(asked).read_text()):
        code = _in_a_fork(step, source, printed, said)
        files = {str(path) for path in Path().rglob("*") if path.is_file() and not path.is_symlink()}
        before = found.get(step["name"], {"files": []})
        found[step["name"]] = {
            "code": code,
            "printed": printed.read_text(),
            "said": said.read_text(),
            "files": sorted({*before["files"], *(files - known)}),
        }
        known |= files
    Path(told).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
