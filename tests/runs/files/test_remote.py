"""Runs in an object store, against a real S3 server."""

import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import numpy as np
import pytest
from s3fs import S3FileSystem

from run_contents import timeless
from s3_server import PAGE
from segmint.errors import MissingDependency, RunError, StorageError
from segmint.export.source import open_source
from segmint.export.write import export
from segmint.limits import limits
from segmint.runs import layout
from segmint.runs.curation.decisions import decide
from segmint.runs.files import objects
from segmint.runs.files.lease import Terms
from segmint.runs.files.local import Files, LocalFiles
from segmint.runs.files.objects import Objects, fetch_command, file_system, is_url
from segmint.runs.files.remote import RemoteFiles, files_at, local_folder
from segmint.runs.store import commit, open_run, write_image_sets
from segmint.runs.verify import verify
from small_runs import draft_of, fill, plan_of

NAME = PurePosixPath("name")
QUICK_TERMS = Terms(lease_s=0.6, renew_s=0.1, poll_s=0.05)


@pytest.fixture
def quick(files) -> RemoteFiles:
    return RemoteFiles(files.objects, QUICK_TERMS)


@pytest.fixture
def files(bucket: str) -> RemoteFiles:
    found = files_at(f"{bucket}/sets/run/")
    assert isinstance(found, RemoteFiles)
    return found


def test_a_run_reads_back_what_was_written(files):
    assert isinstance(files, Files)
    fill(files, planned=4, done=3, features=True)
    run = open_run(files.address)
    assert run.folder is None
    assert run.plan() == plan_of(4)
    assert run.done_ids() == {"000000", "000001", "000002"}
    record = run.record("000001")
    assert sorted(np.unique(run.mask(record))) == [0, 1, 255]
    assert run.summary(record).grid == (8, 8)
    assert verify(files).problems == ()
    assert files.names(PurePosixPath()) == {"run.json", "recipe.toml", "plan.jsonl", "labelmap.txt"}
    assert files.folders(PurePosixPath()) >= {"items", "JPEGImages", "SegmentationClass", "ImageSets"}


def test_it_holds_the_same_bytes_as_a_run_on_a_disk(files, tmp_path):
    fill(files, planned=2, done=2)
    fill(LocalFiles(tmp_path), planned=2, done=2)
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        there = files.read(PurePosixPath(path.relative_to(tmp_path)))
        assert timeless(path, there) == timeless(path, path.read_bytes())


def test_a_listing_goes_on_past_the_stores_page(files):
    ids = {f"{index:06d}" for index in range(2 * PAGE + 1)}
    file_system(files.address).pipe({f"{files.address}/items/{each}.json": b"{}" for each in ids})
    assert {each.removesuffix(".json") for each in files.names(layout.ITEMS)} == ids
    assert files.names(layout.IMAGES) == set()


def test_no_more_of_an_object_is_read_than_the_limit(files, monkeypatch):
    monkeypatch.setenv("SEGMINT_MAX_RECORD_BYTES", "1000")
    limits.cache_clear()
    asked = []
    call = S3FileSystem._call_s3

    async def watched(self, method, *words, **more):
        if method == "get_object":
            asked.append(more["Range"])
        return await call(self, method, *words, **more)

    monkeypatch.setattr(S3FileSystem, "_call_s3", watched)
    for size in (0, 1, 1000):
        files.objects.put(NAME, b"x" * size)
        assert files.read(NAME) == b"x" * size
    files.objects.put(NAME, b"x" * 100_000)
    with pytest.raises(StorageError, match=r"/name is larger than 1000 bytes; is it of this run\?"):
        files.read(NAME)
    assert set(asked) == {"bytes=0-1000"}
    with pytest.raises(StorageError, match="it is not there"):
        files.read(PurePosixPath("gone"))
    limits.cache_clear()


KILLED = """
import os, signal, sys
from s3fs import S3FileSystem
from segmint.runs import layout
from segmint.runs.files.remote import files_at
from segmint.runs.store import commit
from small_runs import draft_of, plan_of

put, left = S3FileSystem._pipe_file, [int(sys.argv[2])]

async def counted(self, path, *words, **more):
    await put(self, path, *words, **more)
    if layout.LEASE.name not in path:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

S3FileSystem._pipe_file = counted
files = files_at(sys.argv[1])
with files.lock():
    commit(files, [draft_of(each) for each in plan_of(2)[1:]])
"""


def test_a_driver_that_cannot_connect_is_told():
    with pytest.raises(StorageError, match=r"ftp://127\.0\.0\.1:1/x cannot be reached"):
        files_at("ftp://127.0.0.1:1/x")


@pytest.mark.parametrize("answered", [1, 3])
def test_killed_after_some_or_all_files_an_item_is_not_there_and_is_made_again(files, answered):
    run = fill(files, planned=2, done=1)
    words = [sys.executable, "-c", KILLED, files.address, str(answered)]
    path = str(Path(__file__).parents[2])
    done = subprocess.run(words, check=False, env={**os.environ, "PYTHONPATH": path}, timeout=300)
    assert done.returncode == -signal.SIGKILL
    parts = layout.image("000001", "jpg"), layout.mask("000001"), layout.agreement("000001")
    assert sum(map(files.exists, parts)) >= answered
    assert not files.exists(layout.record("000001"))
    assert run.done_ids() == {"000000"}
    assert [each for each in verify(files).problems if each.kind != "list"] == []
    with files.lock():  # the killed writer's lease stands in nobody's way
        commit(files, [draft_of(plan_of(2)[1])])
        write_image_sets(run)
    assert verify(files).problems == ()


def test_a_changed_and_a_missing_object_are_found(files):
    fill(files, planned=2, done=2)
    files.objects.put(layout.mask("000000"), b"other")
    files.remove(layout.image("000001", "jpg"))
    files.remove(layout.image("000001", "jpg"))
    assert [(each.kind, each.item_id) for each in verify(files).problems] == [
        ("changed", "000000"),
        ("missing", "000001"),
    ]


def test_two_writers_the_second_is_refused_and_may_wait(files):
    with (
        files.lock(),
        pytest.raises(RunError, match=r"s3://.*/sets/run is being written by process .*--wait"),
        files_at(files.address).lock(),
    ):
        pass
    with files_at(files.address).lock(wait=True):
        pass


def test_it_can_be_handed_to_another_process_which_watches_the_lease(quick):
    with quick.lock():
        other = pickle.loads(pickle.dumps(quick))
        assert other == quick
        other.write(NAME, b"1")
        again = pickle.loads(pickle.dumps(other))
    for worker in (other, again):
        time.sleep(QUICK_TERMS.poll_s)
        with pytest.raises(StorageError, match="another writer now, or none"):
            worker.write(NAME, b"2")
    assert quick.read(NAME) == b"1"


def test_a_worker_of_another_machine_does_not_outlast_a_silent_driver(quick, monkeypatch):
    monkeypatch.setattr("segmint.runs.files.lease._keep_signing", lambda *_: None)
    with quick.lock():
        other = pickle.loads(pickle.dumps(quick))
        other.write(NAME, b"1")
        time.sleep(QUICK_TERMS.lease_s)
        with pytest.raises(StorageError, match="has been silent"):
            other.write(NAME, b"2")
    assert quick.read(NAME) == b"1"


def test_decisions_that_were_copied_along_count(files, tmp_path):
    fill(files, planned=3, done=3)
    decide(tmp_path, {"000001": "rejected"}, by="test")
    files.write(layout.CURATION, (tmp_path / layout.CURATION).read_bytes() + b'{"torn')
    run = open_run(files)
    write_image_sets(run)
    assert files.read(layout.image_set("train")) == b"000000\n000002\n"
    assert verify(files).problems == ()


def test_export_reads_from_a_url(files, tmp_path):
    fill(files, planned=3, done=3)
    report = export(open_source(open_run(files.address), splits={"train": 1.0}), "voc", tmp_path / "voc")
    assert report.written == {"train": 3}


def test_a_bucket_that_is_not_there_and_an_object_that_is_not_there(files):
    with pytest.raises(StorageError, match=r"cannot write s3://no-such-bucket/run/x: .*does not exist"):
        files_at("s3://no-such-bucket/run").write(PurePosixPath("x"), b"")
    with pytest.raises(StorageError, match=r"cannot read s3://.*/run/x: it is not there"):
        files.read(PurePosixPath("x"))
    with pytest.raises(RunError, match=r"is no run: it has no run.json; make one with segmint generate"):
        open_run(files.address)


def test_where_one_of_several_objects_is_refused_no_record_is_put(files, monkeypatch):
    run = fill(files, planned=2, done=1)
    put = S3FileSystem._pipe_file

    async def refuse(self, path, *words, **more):
        if "SegmentationClass" in path:
            raise PermissionError("Access Denied")
        await put(self, path, *words, **more)

    monkeypatch.setattr(S3FileSystem, "_pipe_file", refuse)
    with pytest.raises(
        StorageError, match=r"not allowed to write .*\(or one of 2 beside it\).*Access Denied"
    ):
        commit(files, [draft_of(plan_of(2)[1])])
    assert run.done_ids() == {"000000"}


def test_a_store_that_refuses_is_told_in_one_line(files, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access\nDenied")

    system = SimpleNamespace(pipe_file=refuse, _strip_protocol=str)
    monkeypatch.setattr(Objects, "_system", lambda _: system)
    with pytest.raises(StorageError, match=r"^not allowed to write s3://.*/x \(Access Denied\); check"):
        files.write(PurePosixPath("x"), b"")


@pytest.mark.parametrize(
    ("url", "said"), [("nope://x/y", "Protocol not known"), ("://", None), ("s3:/x", None)]
)
def test_kinds_of_urls(url, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if said is None:
        assert isinstance(files_at(url), LocalFiles)
    else:
        with pytest.raises(StorageError, match=said):
            files_at(url)


@pytest.mark.parametrize(
    ("url", "module", "said"),
    [
        ("s3://b/r", "s3fs", r"pip install 'segmint\[remote\]'"),
        ("gs://b/r", "gcsfs", "pip install gcsfs"),
        ("s3://b/r", "fsspec.core", r"pip install 'segmint\[remote\]'"),
    ],
)
def test_a_missing_driver_names_the_command_that_installs_it(monkeypatch, url, module, said):
    monkeypatch.setitem(sys.modules, module, None)
    if module != "fsspec.core":
        known = importlib.import_module("fsspec.registry")._registry
        monkeypatch.delitem(known, url.partition(":")[0], raising=False)
    with pytest.raises(MissingDependency, match=said):
        files_at(url)


def test_places(tmp_path):
    assert files_at(f"file://{tmp_path}") == LocalFiles(tmp_path)
    assert files_at(tmp_path) == LocalFiles(tmp_path)
    assert is_url("s3://b/run")
    assert not is_url("C:\\runs")
    assert not is_url("runs/a")


def test_what_needs_a_local_folder_says_how_to_fetch_it(tmp_path):
    assert local_folder(str(tmp_path), "training") == tmp_path
    with pytest.raises(RunError, match=r"training needs a folder.*aws s3 sync s3://b/sets/run run$"):
        local_folder("s3://b/sets/run/", "training")
    assert fetch_command("gs://b/run", "run") == "gcloud storage rsync --recursive gs://b/run run"


def test_the_general_fetch_command_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "memory://store/run"
    Objects(url).put(PurePosixPath("items/a.json"), b"{}")
    code = fetch_command(url, "run").removeprefix('python -c "').removesuffix('"')
    exec(code)
    assert (tmp_path / "run/items/a.json").read_bytes() == b"{}"
    assert objects.file_system(url) is objects.file_system(url)
