"""Who writes to a place: how a writer signs, whether it lives, and what those check that work for it."""

import json
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from segmint.errors import StorageError
from segmint.limits import limits
from segmint.textfile import read_plain

Signature = Mapping[str, Any]
"""What a writer says of itself where it signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """What the holder of a folder's lock hands to the processes that write for it: checked at each write."""

    signature: Signature
    folder: tuple[int, int]
    """Device and inode, which a folder keeps when it is moved."""
    signed: bool
    """Whether the lock's file holds the signature; not so on a disk that was full."""

    def check(self, root: Path, lock: Path) -> None:
        """Return while the folder is the one that was locked, and its writer is there.

        Raises:
            StorageError: it was moved or deleted, another writer holds it, or the writer is gone.
        """
        here = self.signature["machine"] == machine()
        if _identity(root) != self.folder and (here or not root.is_dir()):
            raise StorageError(
                f"{root} was moved or deleted while it was written; whole items are where the folder is now, "
                "and nothing was written elsewhere"
            )
        if here and self.signature["pid"] == os.getpid():
            return
        if is_dead(self.signature):
            raise StorageError(
                f"{holder(self.signature)}, which wrote {root}, is gone; nothing more is written"
            )
        if self.signed and read_signature(lock).get("token") != self.signature["token"]:
            raise StorageError(f"{root} has another writer now; nothing more is written by this one")


def fence_of(root: Path, signature: Signature, *, signed: bool) -> Fence:
    """The fence of a folder that is locked."""
    found = _identity(root)
    if found is None:
        raise StorageError(f"{root} was moved or deleted as it was locked; run the same command again")
    return Fence(signature=signature, folder=found, signed=signed)


def sign() -> dict[str, Any]:
    """This process's signature, another one at each call."""
    return {
        "token": uuid.uuid4().hex,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "machine": machine(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_signature(path: Path) -> Signature:
    """What a file says of a writer; empty where it says nothing that can be read."""
    try:
        return decode_signature(read_plain(path, limits().record_bytes))
    except OSError:
        return {}


def decode_signature(data: bytes) -> Signature:
    """A signature from JSON; empty where it is none."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def holder(said: Signature) -> str:
    """A writer in words."""
    if {"pid", "host", "since"} <= said.keys():
        return f"process {said['pid']} on {said['host']} (since {said['since']})"
    return "another process"


def is_dead(said: Signature) -> bool:
    """Whether a writer is known to be dead: only one of this machine can be."""
    pid = said.get("pid")
    if not isinstance(pid, int) or not 0 < pid < 1 << 31:
        return False
    if said.get("machine") is None or said["machine"] != machine():
        return False
    try:
        os.kill(pid, 0)
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return told.rpartition(")")[2].split()[0] in ("Z", "X")  # killed, and not yet buried by its parent


@cache
def machine() -> str | None:
    """Names this start of this system and its process numbers; None where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        facts = folder.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
