"""One writer at a time: a lock that the kernel keeps, so that a process that dies never leaves it behind."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from segmint.errors import RunError, StorageError

POLL_S = 0.2
"""How often a waiting process asks again."""


@contextmanager
def hold(path: Path, *, owner: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock file while the block runs.

    What the file says is for people; the lock itself is the kernel's, held by the open file. The file stays
    afterwards, unless the block put nothing beside it into a folder that was made for it.

    Args:
        path: the lock file; made where missing, with its folder.
        owner: what is locked, for the message.
        wait: ask again until the lock is free, instead of refusing.

    Raises:
        RunError: another process holds the lock; the message names it.
        StorageError: the lock file cannot be opened for writing.
    """
    new = not path.parent.exists()
    # A file in place of the kernel's lock would outlive a process that dies: rather none than that.
    lock = FileLock(path, timeout=-1 if wait else 0, poll_interval=POLL_S, fallback_to_soft=False)
    _acquire(lock, path, owner)
    try:
        _sign(path)
        yield
    finally:
        if new and os.listdir(path.parent) == [path.name]:
            with suppress(OSError):
                path.unlink()
                path.parent.rmdir()
        lock.release()


def _acquire(lock: FileLock, path: Path, owner: str) -> None:
    while not lock.is_locked:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # its holder took an empty folder away: make it again
                lock.acquire()
        except Timeout:
            raise RunError(
                f"{owner} is being written by {_holder(path)}; "
                "add --wait to wait for it, or choose another --out"
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(
                f"cannot write in {path.parent} ({reason}); choose a folder that you can write"
            ) from None


def _sign(path: Path) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now})
    with suppress(OSError):  # a full disk must not hide behind the lock: the first item will report it
        path.write_text(text, encoding="utf-8")


def _holder(path: Path) -> str:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return f"process {said['pid']} on {said['host']} (since {said['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
