"""One writer at a time: a lock that the kernel keeps, so that a process that dies never leaves it behind."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from segmint.errors import RunError, StorageError
from segmint.runs.files.holder import Fence, fence_of, holder, read_signature, sign

POLL_S = 0.2
"""How often a waiting process asks again."""
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""What file systems answer that keep no locks: some network shares."""


@contextmanager
def hold(path: Path, *, owner: str, wait: bool = False) -> Iterator[Fence]:
    """Hold the lock file while the block runs.

    What the file says is for people and for the processes that work for this one; the lock itself is the
    kernel's, held by the open file. The file stays afterwards, unless the block put nothing beside it into a
    folder that was made for it.

    Args:
        path: the lock file; made where missing, with its folder.
        owner: what is locked, for the message.
        wait: ask again until the lock is free, instead of refusing.

    Raises:
        RunError: another process holds the lock; the message names it.
        StorageError: the lock file cannot be opened for writing, or the place keeps no locks.
    """
    new = not path.parent.exists()
    # A file in place of the kernel's lock would outlive a process that dies: rather none than that.
    lock = FileLock(path, timeout=-1 if wait else 0, poll_interval=POLL_S, fallback_to_soft=False)
    _acquire(lock, path, owner)
    try:
        signature, signed = sign(), False
        with suppress(OSError):  # a full disk must not hide behind the lock: the first item will report it
            path.write_text(json.dumps(signature), encoding="utf-8")
            signed = True
        yield fence_of(path.parent, signature, signed=signed)
    finally:
        with suppress(OSError):  # the folder may have been moved
            if new and os.listdir(path.parent) == [path.name]:
                path.unlink()
                path.parent.rmdir()
        lock.release()


def _acquire(lock: FileLock, path: Path, owner: str) -> None:
    while not lock.is_locked:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                facts = path.lstat()
                if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:  # it is emptied and written
                    raise StorageError(
                        f"{path} is not a file of its own (a link, a pipe or the like); delete it"
                    )
            with suppress(FileNotFoundError):  # its holder took an empty folder away: make it again
                lock.acquire()
        except Timeout:
            raise RunError(
                f"{owner} is being written by {holder(read_signature(path))}; "
                "add --wait to wait for it, or choose another --out"
            ) from None
        except (OSError, NotImplementedError) as error:
            raise StorageError(lock_refusal(path, error)) from None


def lock_refusal(path: Path, error: OSError | NotImplementedError) -> str:
    """Why a file could not be locked or opened for it, and what to do."""
    if isinstance(error, NotImplementedError) or error.errno in NO_LOCKS:
        return (
            f"the file system of {path.parent} keeps no locks ({error}); write to a disk of this machine, or "
            "to an s3:// address, and copy the run there; or mount the share with locks (NFS: without nolock)"
        )
    reason = error.strerror or str(error)
    return f"cannot write in {path.parent} ({reason}); choose a folder that you can write"
