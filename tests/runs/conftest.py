from collections.abc import Callable
from pathlib import Path

import pytest

from segmint.runs.files.local import LocalFiles
from segmint.runs.store import Run
from small_runs import fill


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    def make(*, planned: int = 3, done: int = 3, features: bool = False) -> Run:
        return fill(LocalFiles(tmp_path / "run"), planned=planned, done=done, features=features)

    return make
