"""The slow reliability exam; `make exam` runs it. The table of faults is docs/reliability.md."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from faked_command import end, start_command
from kills import COMMAND, kill_exam, undisturbed
from run_contents import contents
from segmint.runs.files.remote import files_at
from segmint.runs.verify import verify

pytestmark = pytest.mark.slow
ITEMS = 40


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return undisturbed(tmp_path_factory.mktemp("runs") / "whole", ITEMS)


@pytest.mark.parametrize(("kills", "seed"), [(20, 7), (60, 8)])
def test_many_kills_change_nothing(whole, tmp_path, kills, seed):
    exam = kill_exam(whole, tmp_path / "run", items=ITEMS, kills=kills, seed=seed)
    print(exam)
    assert exam.same
    assert exam.problems == 0
    assert exam.kills >= kills


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_at_every_size_loses_nothing(whole, small_disk):
    """Grow the disk a little each time: it fills up at other writes, and what is whole stays whole."""
    run = small_disk / "run"
    words = [*COMMAND, "--count", str(ITEMS), "--out", str(run)]
    refusals = 0
    for size_k in range(512, 16_384, 256):
        subprocess.run(["mount", "-o", f"remount,size={size_k}k", str(small_disk)], check=True)
        process = start_command(words)
        said = end(process)
        if process.returncode == 0:
            break
        refusals += 1
        assert process.returncode == 2, said
        assert "no space left" in said
        assert "Traceback" not in said
        if (run / "run.json").is_file():
            assert [each for each in verify(files_at(run)).problems if each.kind != "list"] == []
    print(f"{refusals} times the disk was full")
    assert refusals > 3
    assert contents(run) == contents(whole)


def test_a_clock_set_back_changes_nothing(whole, tmp_path):
    run = tmp_path / "run"
    exam = kill_exam(whole, run, items=ITEMS, kills=2, seed=3)
    assert exam.same
    for path in run.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (4_000_000_000, 4_000_000_000))  # all of it was written in the future
    for item in ("000003", "000017"):
        (run / f"items/{item}.json").unlink()
    process = start_command([*COMMAND, "--count", str(ITEMS), "--out", str(run)])
    assert process.wait() == 0
    end(process)
    assert contents(run) == contents(whole)
