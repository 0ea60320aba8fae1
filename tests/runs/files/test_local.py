import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from segmint.errors import StorageError
from segmint.runs import layout
from segmint.runs.files.holder import is_dead, sign
from segmint.runs.files.local import LocalFiles

A = PurePosixPath("a/b")


def moved(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))


def deleted(root: Path) -> None:
    shutil.rmtree(root)


def replaced(root: Path) -> None:
    moved(root)
    root.mkdir()


def copied_back(root: Path) -> None:
    moved(root)
    shutil.copytree(root.with_name("elsewhere"), root)


@pytest.mark.parametrize("happens", [moved, deleted, replaced, copied_back])
@pytest.mark.parametrize("use", ["write", "remove", "sweep"])
@pytest.mark.parametrize("away", ["here", "in a worker"])
def test_a_folder_that_goes_away_while_it_is_held_ends_the_writing(tmp_path, happens, use, away):
    files = LocalFiles(tmp_path / "run")

    def write_on() -> None:
        with files.lock():
            files.write(A, b"1")
            happens(files.root)
            writer = files if away == "here" else pickle.loads(pickle.dumps(files))
            getattr(writer, use)(*{"write": (A, b"2"), "remove": (A,), "sweep": ()}[use])

    with pytest.raises(StorageError, match="moved or deleted while it was written"):
        write_on()
    left = [each for each in tmp_path.rglob("b") if each.is_file()]
    assert all(each.read_bytes() == b"1" for each in left)
    assert files.root.exists() is (happens in (replaced, copied_back))


def test_a_folder_that_goes_away_between_two_files_is_not_made_again(tmp_path, monkeypatch):
    files = LocalFiles(tmp_path / "run")
    monkeypatch.setattr(LocalFiles, "_check_held", lambda self: None)  # it goes right after the look
    with files.lock():
        files.write(A, b"1")
        moved(files.root)
        with pytest.raises(StorageError, match="cannot write"):
            files.write(A, b"2")
    assert not files.root.exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_share_without_locks_is_told_with_what_to_do(tmp_path, monkeypatch, code):
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(StorageError, match=r"keeps no locks .*write to a disk of this machine"),
        LocalFiles(tmp_path / "run").lock(),
    ):
        pass


HOLDER = """
import os, pathlib, pickle, sys
from segmint.runs.files.local import LocalFiles
files = LocalFiles(pathlib.Path(sys.argv[1]))
with files.lock():
    os.write(1, pickle.dumps(files)); os.close(1)
    sys.stdin.read()
"""


@pytest.fixture
def worker_of_a_dead_writer(tmp_path) -> LocalFiles:
    """A place as a worker holds it whose driver was killed, and not yet buried."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        files = pickle.loads(process.stdout.read())
        files.write(A, b"1")
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield files


def test_a_worker_whose_driver_was_killed_writes_nothing(worker_of_a_dead_writer):
    files = worker_of_a_dead_writer
    with pytest.raises(StorageError, match="is gone; nothing more is written"):
        files.write(A, b"2")
    assert files.read(A) == b"1"


def test_a_worker_of_another_machine_sees_that_the_lock_has_passed_on(tmp_path, monkeypatch):
    files = LocalFiles(tmp_path / "run")
    with files.lock():
        files.write(A, b"0")
        writer = pickle.loads(pickle.dumps(files))
    monkeypatch.setattr("segmint.runs.files.holder.machine", lambda: "another")
    writer.write(A, b"1")
    with files.lock(), pytest.raises(StorageError, match="has another writer now"):
        writer.write(A, b"2")
    assert files.read(A) == b"1"
    assert json.loads((files.root / layout.LOCK).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("pid", [None, "1", 0, -1, 2**40, pytest.param(os.getpid(), id="this process"), True])
def test_only_a_known_process_of_this_machine_is_taken_for_dead(pid):
    assert not is_dead({**sign(), "pid": pid})
    assert not is_dead({**sign(), "machine": "another", "pid": 2**22 + 1})
