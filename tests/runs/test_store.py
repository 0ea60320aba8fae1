import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import VOCSegmentation

from segmint import atomic
from segmint.errors import RunError, StorageError
from segmint.runs import layout
from segmint.runs.curation.decisions import decide
from segmint.runs.files.local import LocalFiles
from segmint.runs.records import ItemRecord, decode_record, encode_record
from segmint.runs.store import commit, link_for_torchvision, open_run, write_image_sets
from small_runs import draft_of, plan_of, summary_of


def test_a_run_reads_back_what_was_written(make_run):
    made = make_run(planned=4, done=3, features=True)
    run = open_run(made.folder)
    assert run.plan() == plan_of(4)
    assert run.header.items == 4
    assert run.done_ids() == {"000000", "000001", "000002"}
    assert [record.id for record in run.records()] == ["000000", "000001", "000002"]
    record = run.record("000001")
    assert run.image(record).shape == (16, 24, 3)
    assert sorted(np.unique(run.mask(record))) == [0, 1, 255]
    assert np.array_equal(run.summary(record).components[0].values, summary_of(2025).components[0].values)
    assert run.vocabulary().names == ("boat", "tree")
    assert run.recipe()["model"] == {"id": "fake"}


def test_torchvision_loads_the_run_folder_itself(make_run):
    run = make_run()
    link_for_torchvision(run.folder)
    dataset = VOCSegmentation(str(run.folder), year="2012", image_set="train")
    image, mask = dataset[1]
    assert len(dataset) == 3
    assert image.size == mask.size == (24, 16)
    assert np.array_equal(np.asarray(mask), run.mask(run.record("000001")))
    assert len(VOCSegmentation(str(run.folder), year="2012", image_set="val")) == 0


def test_links_survive_a_move_of_the_run(make_run, tmp_path):
    run = make_run()
    link_for_torchvision(run.folder)
    moved = tmp_path / "elsewhere"
    run.folder.rename(moved)
    assert len(VOCSegmentation(str(moved), year="2012", image_set="trainval")) == 3


def test_lists_leave_rejected_items_out(make_run):
    run = make_run()
    decide(run.folder, {"000001": "rejected"}, by="test")
    write_image_sets(run)
    assert (run.folder / layout.image_set("train")).read_text() == "000000\n000002\n"


def test_the_label_map_is_the_one_that_cvat_reads(make_run):
    lines = (make_run().folder / layout.LABELS).read_text().splitlines()
    assert lines[1:] == ["background:0,0,0::", "boat:128,0,0::", "tree:0,128,0::"]


def test_a_record_comes_last_and_a_refused_write_leaves_no_record(make_run, monkeypatch):
    run = make_run(planned=2, done=1)
    real = atomic.put

    def full(path: Path, data: bytes, **how) -> None:
        if path == run.folder / layout.agreement("000001"):
            raise OSError(errno.ENOSPC, "no space left")
        real(path, data, **how)

    monkeypatch.setattr(atomic, "put", full)
    with pytest.raises(StorageError):
        commit(run.files, [draft_of(plan_of(2)[1])])
    assert run.done_ids() == {"000000"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_plainly_and_leaves_no_part(make_run, monkeypatch, code):
    run = make_run(planned=2, done=1)

    def no_space(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StorageError, match=r"no space left.*run the same command again"):
        run.files.write(layout.mask("000001"), b"half")
    assert not run.files.exists(layout.mask("000001"))
    assert list((run.folder / layout.PENDING).iterdir()) == []


def test_failed_items_are_apart_from_the_whole_ones(make_run):
    run = make_run(planned=2, done=1)
    record = draft_of(plan_of(2)[1]).record.model_copy(update={"status": "failed", "error": "black image"})
    commit(run.files, [type(draft_of(plan_of(1)[0]))(record=record, blobs={})])
    assert run.done_ids() == {"000000"}
    assert run.failed_ids() == {"000001"}
    assert run.failure("000001").error == "black image"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "damaged"),
        (b"[]", "no schema_version"),
        (b'{"schema_version": 0, "segmint_version": "0.0.1"}', r"an older version.*0\.0\.1, schema 0"),
        (b'{"schema_version": 9}', "newer"),
        (b'{"schema_version": 1, "id": "x"}', "damaged"),
    ],
)
def test_records_of_other_schemas_are_refused_by_name(text, said):
    with pytest.raises(RunError, match=said):
        decode_record(text, ItemRecord, source="items/x.json")


def test_records_are_the_same_bytes_for_the_same_content():
    record = draft_of(plan_of(1)[0]).record
    data = encode_record(record)
    assert encode_record(decode_record(data, ItemRecord, source="r")) == data


def test_no_run_is_a_clear_error(tmp_path):
    with pytest.raises(RunError, match=r"is no run.*segmint generate"):
        open_run(tmp_path)


HOLDER = """
import sys, pathlib
from segmint.runs.files.local import LocalFiles
with LocalFiles(pathlib.Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def hold_elsewhere(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def close(process: subprocess.Popen[str]) -> None:
    process.wait(timeout=30)
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def test_a_second_writer_is_refused_with_the_holders_name(tmp_path):
    process = hold_elsewhere(tmp_path)
    try:
        with (
            pytest.raises(RunError, match=rf"process {process.pid} on .*--wait"),
            LocalFiles(tmp_path).lock(),
        ):
            pass
    finally:
        process.kill()
        close(process)


def test_a_killed_writer_blocks_nobody(tmp_path):
    process = hold_elsewhere(tmp_path)
    process.kill()
    close(process)
    with LocalFiles(tmp_path).lock():
        pass


def test_a_waiting_writer_gets_its_turn(tmp_path):
    process = hold_elsewhere(tmp_path)
    assert process.stdin is not None
    process.stdin.close()  # it lets go and ends
    with LocalFiles(tmp_path).lock(wait=True):
        pass
    process.wait(timeout=30)
    assert process.stdout is not None
    process.stdout.close()


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(StorageError, match="out"), LocalFiles(tmp_path / "out").lock():
        pass
