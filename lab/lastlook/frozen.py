"""Settings as the code of a commit has them, held against today's."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segmint.errors import ConfigError

_SETTINGS = """
import json
from segmint.masks.methods import METHODS
from segmint.masks.settings import profile
from segmint.recipe import compose
said = {name: profile(name).model_dump(mode="json") for name in METHODS}
kept = {"observation", "sampling", "capture", "photos"}
said["recipe"] = compose({}, {}).model_dump(mode="json", include=kept)
print(json.dumps(said))
"""
"""Prints all settings of all methods, and what of a recipe bears on the benchmark."""


def settings_at(commit: str, *, root: Path) -> dict[str, Any]:
    """Settings of every method as the code of a commit has them.

    Raises:
        ConfigError: there is no such commit, or its code does not say.
    """
    archive = subprocess.run(["git", "archive", commit, "src"], cwd=root, capture_output=True, check=False)
    if archive.returncode:
        raise ConfigError(f"no commit {commit!r} in {root}: {archive.stderr.decode().strip()}")
    with TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        return settings_of(Path(folder) / "src")


def settings_of(source: Path) -> dict[str, Any]:
    """Settings of every method as the code in a `src` folder has them.

    Raises:
        ConfigError: it does not say.
    """
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(
        [sys.executable, "-c", _SETTINGS], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(f"the code in {source} does not tell its settings: {done.stderr.strip()[-200:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check_frozen(frozen: Mapping[str, Any], today: Mapping[str, Any]) -> None:
    """See that no setting differs.

    Raises:
        ConfigError: one does; the message names the first.
    """
    for name in sorted({*frozen, *today}):
        if frozen.get(name) != today.get(name):
            raise ConfigError(
                f"settings of {name!r} are not those of the frozen commit; look with that commit's code, or "
                "name a later commit that was made before any method ran on these scenes"
            )
