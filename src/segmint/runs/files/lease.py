"""One writer at a time where no kernel keeps a lock: numbered lease objects, each made by one writer only.

To hold a place is to have created the highest number under `.lease/`, and to sign it anew every few seconds.
A number is taken by a conditional create, which one contender wins; nobody but its creator writes the object
afterwards. A writer that ends says `released`. One that is silent for `Terms.lease_s`, on the clock of
whoever waits, or whose process is known to be dead, may be succeeded by the next number. It finds that out
when it signs next, at the latest before its first write after `Terms.renew_s`, and stops.

No clocks are compared between machines. What is left: a request that was on its way when the lease passed on
can still land. It holds a part of an item that either writer makes alike; where two kinds of device differ in
the last bits, `segmint verify` finds the pair that does not match and `--repair` makes it again.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from segmint.errors import RunError, StorageError
from segmint.runs import layout
from segmint.runs.files.holder import Signature, decode_signature, holder, is_dead, sign
from segmint.runs.files.objects import Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long things take, in seconds. `renew_s` is well below half of `lease_s`."""

    lease_s: float = 60.0
    """Silence after which a writer is taken for dead."""
    renew_s: float = 12.0
    """How often a holder signs."""
    poll_s: float = 2.0
    """How often a waiting writer looks."""


TERMS = Terms()


@dataclass(slots=True, kw_only=True)
class Lease:
    """A lease in hand."""

    objects: Objects
    number: int
    owner: str
    terms: Terms
    said: dict[str, Any]
    signed_at: float
    lost: bool = False
    guard: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Return while the lease is held, and sign it where that is due.

        Raises:
            StorageError: another writer holds the place now, or the store cannot be asked.
        """
        if now() - self.signed_at > self.terms.renew_s:
            self.sign()
        if self.lost:
            raise StorageError(
                f"{self.owner} was taken over by another writer while this one was silent for more than "
                f"{self.terms.lease_s:g} s; whole items are kept, and the other one goes on"
            )

    def sign(self) -> None:
        """Say that the holder lives, and see whether it still is the holder."""
        with self.guard:
            if self.lost:
                return
            at = now()
            if _highest(self.objects) > self.number:
                self.lost = True
                return
            self.said["beat"] += 1
            self.objects.put(_path(self.number), _encode(self.said))
            self.signed_at = at

    def watch(self) -> "Watch":
        """The lease as those see it that write for its holder."""
        return Watch(
            objects=self.objects,
            number=self.number,
            owner=self.owner,
            terms=self.terms,
            signature=dict(self.said),
        )

    def release(self) -> None:
        """Let the next writer have it at once."""
        with self.guard, suppress(StorageError):  # it runs out by itself
            if not self.lost:
                self.objects.put(_path(self.number), _encode(self.said | {"released": True}))


@dataclass(slots=True, kw_only=True)
class Watch:
    """Another process's lease, in the hands of one that writes for it, on any machine."""

    objects: Objects
    number: int
    owner: str
    terms: Terms
    signature: Signature
    asked_at: float | None = None
    heard_at: float = 0.0
    heard: bytes = b""

    def check(self) -> None:
        """Return while the holder lives: at once known on its machine, else by its signing.

        Raises:
            StorageError: it is dead, silent for half a lease, or succeeded; or the store cannot be asked.
        """
        if is_dead(self.signature):
            raise StorageError(
                f"{holder(self.signature)}, which wrote {self.owner}, is gone; nothing more is written"
            )
        if self.asked_at is not None and now() - self.asked_at < self.terms.poll_s:
            return
        self.asked_at = now()
        data = _read(self.objects, self.number) if _highest(self.objects) == self.number else None
        if data is None or decode_signature(data).get("released"):
            raise StorageError(f"{self.owner} has another writer now, or none; nothing more is written")
        if data != self.heard:
            self.heard, self.heard_at = data, now()
        elif now() - self.heard_at > self.terms.lease_s / 2:
            raise StorageError(
                f"{holder(self.signature)}, which wrote {self.owner}, has been silent for more than "
                f"{self.terms.lease_s / 2:g} s; nothing more is written"
            )


@contextmanager
def hold_lease(objects: Objects, *, owner: str, wait: bool = False, terms: Terms = TERMS) -> Iterator[Lease]:
    """Be the only writer while the block runs.

    Args:
        objects: the place.
        owner: its name, for messages.
        wait: outlast the present writer, or its silence, instead of refusing.
        terms: how long things take.

    Raises:
        RunError: another writer holds the place; the message names it.
        StorageError: the store refuses, or does not tell two writers apart.
    """
    lease = _acquire(objects, owner, wait, terms)
    ended = threading.Event()
    signing = threading.Thread(target=_keep_signing, args=(lease, ended), name="segmint-lease", daemon=True)
    signing.start()
    try:
        yield lease
    finally:
        ended.set()
        signing.join()
        lease.release()


def now() -> float:
    """Seconds that pass in sleep too, where the system can tell them."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _acquire(objects: Objects, owner: str, wait: bool, terms: Terms) -> Lease:
    watched: tuple[int, bytes] | None = None
    since = now()
    while True:
        number = _highest(objects)
        data = _read(objects, number)
        if data is None:
            continue
        if (number, data) != watched:
            watched, since = (number, data), now()
        said = decode_signature(data)
        free = number == 0 or bool(said.get("released")) or is_dead(said)
        if free or now() - since > terms.lease_s:
            lease = _take(objects, number + 1, owner, terms)
            if lease is not None:
                return lease
        elif not wait:
            raise RunError(
                f"{owner} is being written by {holder(said)}; add --wait to wait for it (a writer that is "
                f"silent for {terms.lease_s:g} s is taken for dead), or choose another --out"
            )
        else:
            time.sleep(terms.poll_s)


def _take(objects: Objects, number: int, owner: str, terms: Terms) -> Lease | None:
    """The lease of this number, unless another contender was faster."""
    at, said = now(), _signature()
    if not objects.create(_path(number), _encode(said)):
        return None
    if objects.create(_path(number), b"{}"):
        raise StorageError(
            f"the store of {owner} does not honour conditional writes (If-None-Match), so that two writers "
            "could not be told apart; mint into a local folder and copy it there"
        )
    if _highest(objects) != number:  # a number from the past, free again because its successor tidied up
        objects.remove(_path(number))
        return None
    for name in objects.names(layout.LEASE):
        if _number(name) < number:
            objects.remove(layout.LEASE / name)
    return Lease(objects=objects, number=number, owner=owner, terms=terms, said=said, signed_at=at)


def _keep_signing(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(lease.terms.renew_s) and not lease.lost:
        with suppress(StorageError):  # tried again; the writer itself hears of it at its next write
            lease.sign()


def _highest(objects: Objects) -> int:
    return max(map(_number, objects.names(layout.LEASE)), default=0)


def _number(name: str) -> int:
    return int(name) if name.isdecimal() else 0


def _path(number: int) -> PurePosixPath:
    return layout.LEASE / f"{number:08d}"


def _read(objects: Objects, number: int) -> bytes | None:
    """What the lease of this number says; None where a successor has tidied it up."""
    if number == 0:
        return b"{}"
    try:
        return objects.read(_path(number))
    except StorageError:
        if _highest(objects) == number:
            raise
        return None


def _signature() -> dict[str, Any]:
    return {**sign(), "beat": 0}


def _encode(said: dict[str, Any]) -> bytes:
    return (json.dumps(said) + "\n").encode()
