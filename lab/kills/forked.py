"""A command in a fork of this process, which ends itself as SIGKILL does at the n-th of its changes of files.

A change is what Python's audit events tell of: a file opened to be written, a folder made, a name given,
changed or taken away. The fork dies before it is carried out, so that all states between two are met.
"""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

CHANGES = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: its exit code (negative: the signal), and how many changes it began."""

    code: int
    changes: int
    said: str


def command(words: Sequence[str]) -> Callable[[], None]:
    """`segmint WORDS…`."""

    def carry_out() -> None:
        from segmint.cli.main import run

        run(list(words))

    return carry_out


def in_a_fork(act: Callable[[], None], folder: Path, *, kill_at: int | None = None) -> Ended:
    """Act in a fork, within a folder.

    Args:
        act: what to do there.
        folder: the place; changes elsewhere do not count.
        kill_at: which change is never carried out, from 1; None lets it be.
    """
    with tempfile.TemporaryDirectory() as aside:
        told, counted = Path(aside) / "said", Path(aside) / "changes"
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if not child:
            _be_the_child(act, folder, told, counted, kill_at)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = told.read_text(errors="replace")
        return Ended(code=code, changes=len(counted.read_bytes()), said=said)


def _be_the_child(
    act: Callable[[], None], folder: Path, told: Path, counted: Path, kill_at: int | None
) -> None:
    for descriptor in (1, 2):
        os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.chdir(folder)
    tally = os.open(counted, os.O_WRONLY | os.O_CREAT)
    sys.addaudithook(_watch(str(folder.resolve()), tally, kill_at))
    code = 0
    try:
        act()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - told, and the exam fails by it
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _watch(folder: str, tally: int, kill_at: int | None) -> Callable[[str, tuple[Any, ...]], None]:
    numbers = count(1)

    def heard(event: str, words: tuple[Any, ...]) -> None:
        if not (event in CHANGES or (event == "open" and _writes(words))) or not _within(folder, words[0]):
            return
        if next(numbers) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(tally, b".")

    return heard


def _writes(words: tuple[Any, ...]) -> bool:
    return isinstance(words[2], int) and bool(words[2] & WRITING)


def _within(folder: str, path: Any) -> bool:
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str | os.PathLike):
        return False
    return os.path.abspath(path).startswith(folder + os.sep)
