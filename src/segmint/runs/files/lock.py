"""One writer at a time: a lock that the kernel keeps, so that a process that dies never leaves it behind."""

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from segmint.errors import RunError, StorageError

POLL_S = 0.2
"""How often a waiting process asks again."""


@contextmanager
def hold(path: Path, *, owner: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock file while the block runs.

    What the file says is for people; the lock itself is the kernel's (`flock`), held by the open file. The
    file stays afterwards, unless the block put nothing beside it into a folder that was made for it.

    Args:
        path: the lock file; made where missing, with its folder.
        owner: what is locked, for the message.
        wait: ask again until the lock is free, instead of refusing.

    Raises:
        RunError: another process holds the lock; the message names it.
        StorageError: the lock file cannot be opened for writing.
    """
    new = not path.parent.exists()
    handle = _acquire(path, owner, wait)
    try:
        _sign(handle)
        yield
    finally:
        if new and os.listdir(path.parent) == [path.name]:
            with suppress(OSError):
                path.unlink()
                path.parent.rmdir()
        os.close(handle)


def _acquire(path: Path, owner: str, wait: bool) -> int:
    while True:
        handle = _open(path)
        if _try_lock(handle):
            if _is_at(handle, path):
                return handle
            os.close(handle)  # its holder deleted it; there may be another by now
            continue
        os.close(handle)
        if not wait:
            raise RunError(
                f"{owner} is being written by {_holder(path)}; "
                "add --wait to wait for it, or choose another --out"
            )
        time.sleep(POLL_S)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"cannot write in {path.parent} ({reason}); choose a folder that you can write"
        ) from None


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _try_lock(handle: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(handle: int) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now})
    with suppress(OSError):  # a full disk must not hide behind the lock: the first item will report it
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)


def _holder(path: Path) -> str:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return f"process {said['pid']} on {said['host']} (since {said['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
