"""Commands killed at each of their changes on the disk end up the same; `make exam` kills them all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.kills.exams import EXAMS, all_or_nothing, differs, whole_items
from lab.kills.forked import KILLED, in_a_fork
from segmint.runs.curation.decisions import decide
from segmint.runs.files.local import LocalFiles
from small_runs import fill

ROOT = Path(__file__).resolve().parents[2]
WORDS = [sys.executable, "-m", "lab.kills", "--json"]


def two_changes() -> None:
    Path("a").write_text("whole")
    os.rename("a", "b")


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize(("kill_at", "there"), [(None, {"b"}), (1, set()), (2, {"a"}), (3, {"b"})])
def test_a_fork_dies_before_the_change_that_is_named(tmp_path, kill_at, there):
    ended = in_a_fork(two_changes, tmp_path, kill_at=kill_at)
    assert {path.name for path in tmp_path.iterdir()} == there
    assert ended.code == (KILLED if kill_at in (1, 2) else 0)
    assert ended.changes == (2 if kill_at is None else min(kill_at - 1, 2))


def test_what_a_kill_must_leave_behind(tmp_path):
    run = tmp_path / "run"
    fill(LocalFiles(run), planned=4, done=4)
    assert whole_items(tmp_path) == ""
    assert all_or_nothing(tmp_path) == ""
    decide(run, {"000000": "rejected"}, by="me", why="")
    assert all_or_nothing(tmp_path) == "1 of 2 items are rejected"
    (run / "JPEGImages/000001.jpg").write_bytes(b"")
    assert "JPEGImages/000001.jpg" in whole_items(tmp_path)


def test_files_that_differ_are_named(tmp_path):
    for name in ("whole", "place"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("a")
    assert differs(tmp_path / "whole", tmp_path / "place") == ""
    (tmp_path / "place/a").write_text("b")
    assert differs(tmp_path / "whole", tmp_path / "place").startswith("a differs")
    (tmp_path / "place/b").write_text("b")
    assert differs(tmp_path / "whole", tmp_path / "place") == "b is too many"
    (tmp_path / "place/b").rename(tmp_path / "whole/b")
    assert differs(tmp_path / "whole", tmp_path / "place") == "b is missing"


def test_every_command_that_writes_is_among_the_exams():
    names = {exam.name.partition(" ")[0] for exam in EXAMS}
    assert names == {"generate", "label", "remask", "export", "curate", "merge", "train"}


@pytest.mark.slow
def test_no_kill_changes_what_is_made():
    done = subprocess.run(WORDS, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
