import os
import subprocess
import sys
import threading
import time
from pathlib import PurePosixPath

import pytest

from segmint.errors import RunError, StorageError
from segmint.runs import layout
from segmint.runs.files import lease
from segmint.runs.files.lease import Terms, hold_lease
from segmint.runs.files.objects import Objects
from segmint.runs.files.remote import RemoteFiles

QUICK = Terms(lease_s=0.5, renew_s=0.1, poll_s=0.02)
COUNT = PurePosixPath("count")


@pytest.fixture
def objects(bucket: str) -> Objects:
    return Objects(f"{bucket}/run")


def held_by(objects: Objects, number: int = 1, **said: object) -> None:
    objects.put(lease._path(number), lease._encode({**lease._signature(), **said}))


def test_a_lease_is_signed_while_it_is_held_and_free_afterwards(objects):
    with hold_lease(objects, owner="run", terms=QUICK) as held:
        first = objects.read(lease._path(held.number))
        until = time.monotonic() + 60
        while objects.read(lease._path(held.number)) == first and time.monotonic() < until:
            time.sleep(0.05)
        assert held.said["beat"] >= 1
    with hold_lease(objects, owner="run", terms=QUICK) as held:
        assert held.number == 2
        assert objects.names(layout.LEASE) == {"00000002"}


def test_a_second_writer_is_refused_with_the_holders_name(objects):
    held_by(objects, host="far-away", machine="another", pid=41)
    with (
        pytest.raises(RunError, match=r"s3://run is being written by process 41 on far-away.*--wait"),
        hold_lease(objects, owner="s3://run"),
    ):
        pass


HOLDER = """
import sys, time
from segmint.runs.files.lease import hold_lease
from segmint.runs.files.objects import Objects
with hold_lease(Objects(sys.argv[1]), owner="run"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_writer_of_this_machine_blocks_nobody(objects):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, objects.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {process.pid}"), hold_lease(objects, owner="run"):
            pass
        process.kill()
        process.wait(timeout=30)
    with hold_lease(objects, owner="run") as held:
        assert held.number == 2


def test_a_silent_writer_is_succeeded_by_one_that_waits(objects):
    held_by(objects, machine="another")
    start = time.monotonic()
    with hold_lease(objects, owner="run", wait=True, terms=QUICK) as held:
        assert time.monotonic() - start >= QUICK.lease_s
        assert held.number == 2


def test_a_writer_that_signs_is_waited_for_however_long_it_takes(objects):
    ended = threading.Event()
    terms = Terms(lease_s=3.0, renew_s=0.2, poll_s=0.1)

    def write() -> None:
        with hold_lease(objects, owner="run", terms=terms):
            time.sleep(1.5 * terms.lease_s)
            ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not objects.names(layout.LEASE):
        time.sleep(0.01)
    with hold_lease(objects, owner="run", wait=True, terms=terms):
        assert ended.is_set()
    writer.join()


def test_a_writer_that_slept_through_its_lease_stops_before_it_writes(objects, monkeypatch):
    files = RemoteFiles(objects, QUICK)
    monkeypatch.setattr(lease, "_keep_signing", lambda *_: None)  # asleep
    with files.lock():
        files.write(COUNT, b"1")
        with RemoteFiles(objects, QUICK).lock(wait=True):
            objects.put(COUNT, b"2")
            with pytest.raises(StorageError, match="taken over by another writer"):
                files.write(COUNT, b"3")
            with pytest.raises(StorageError, match="taken over"):
                files.remove(COUNT)
    assert objects.read(COUNT) == b"2"
    with hold_lease(objects, owner="run"):  # the loser's end did not hide that the winner let go
        pass


def test_of_many_contenders_one_writes_at_a_time(objects):
    objects.put(COUNT, b"0")

    def add() -> None:
        for _ in range(2):
            with RemoteFiles(objects, Terms(poll_s=0.05)).lock(wait=True):
                seen = int(objects.read(COUNT))
                time.sleep(0.01)
                objects.put(COUNT, str(seen + 1).encode())

    writers = [threading.Thread(target=add) for _ in range(3)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert objects.read(COUNT) == b"6"
    assert len(objects.names(layout.LEASE)) == 1


def test_a_number_from_the_past_is_not_taken(objects):
    with hold_lease(objects, owner="run"), hold_lease_again(objects):
        assert lease._take(objects, 1, "run", QUICK) is None
        assert objects.names(layout.LEASE) == {"00000002"}


def hold_lease_again(objects: Objects):
    """A successor that believes the holder to be silent."""
    return hold_lease(objects, owner="run", wait=True, terms=Terms(lease_s=0.0))


def test_a_lost_answer_to_the_create_does_not_lose_the_lease(objects):
    said = lease._encode(lease._signature())
    assert objects.create(lease._path(1), said)
    assert objects.create(lease._path(1), said)  # the same request again
    assert not objects.create(lease._path(1), b"other")


def test_a_store_without_conditional_writes_is_refused(objects, monkeypatch):
    def create(self: Objects, path: PurePosixPath, data: bytes) -> bool:
        self.put(path, data)
        return True

    monkeypatch.setattr(Objects, "create", create)
    with (
        pytest.raises(StorageError, match="does not honour conditional writes"),
        hold_lease(objects, owner="r"),
    ):
        pass


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"pid": "x", "machine": 3}', b'{"pid": -1}'])
def test_a_damaged_lease_runs_out_like_any_other(objects, data):
    objects.put(lease._path(7), data)
    with pytest.raises(RunError, match="another process"), hold_lease(objects, owner="run"):
        pass
    with hold_lease(objects, owner="run", wait=True, terms=QUICK) as held:
        assert held.number == 8


def test_a_process_number_says_nothing_about_another_machine(objects):
    held_by(objects, machine="another", pid=2**22 + 1)
    with pytest.raises(RunError), hold_lease(objects, owner="run"):
        pass
    held_by(objects, pid=os.getpid())
    with pytest.raises(RunError), hold_lease(objects, owner="run"):
        pass
