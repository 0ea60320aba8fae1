"""A run of a stranger: nothing out of its folder is read or written, nothing waits, nothing fills memory."""

import io
import json
import os
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from segmint import limits
from segmint.errors import ConfigError, ImageError, RunError, SegmintError, StorageError
from segmint.runs import codec, layout
from segmint.runs.attentionfile import decode_summary
from segmint.runs.curation.decisions import CurationLog, decide
from segmint.runs.files.local import LocalFiles
from segmint.runs.masksets import check_mask_set_name
from segmint.runs.store import link_for_torchvision, open_run, write_image_sets
from segmint.runs.verify import verify

SECRET = b"root:x:0:0\n"
FILES = {
    "image": layout.image("000001", "jpg"),
    "mask": layout.mask("000001"),
    "agreement": layout.agreement("000001"),
    "features": layout.features("000001"),
}


@pytest.fixture
def secret(tmp_path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


def reseal(path: Path, change) -> None:
    """Change a record and give it the checksum that fits."""
    from segmint.runs.records import ItemRecord, RunHeader, encode_record

    kind = RunHeader if path.name == "run.json" else ItemRecord
    fields = json.loads(path.read_text())
    change(fields)
    path.write_bytes(encode_record(kind.model_validate(fields)))


@pytest.mark.parametrize("role", FILES)
@pytest.mark.parametrize(
    "claimed",
    [
        "/dev/zero",
        "/etc/passwd",
        "../secret",
        "JPEGImages/../../secret",
        "JPEGImages/000000.jpg",
        "",
        ".",
        "a\0b",
    ],
)
def test_a_path_in_a_record_is_never_believed(make_run, secret, role, claimed):
    run = make_run(features=True)
    reseal(run.folder / layout.record("000001"), lambda fields: fields["files"][role].update(path=claimed))
    with pytest.raises(RunError, match=f"its '{role}' is said to be .*, expected"):
        run.record("000001")
    assert {each.item_id for each in verify(run.files).problems} == {"000001"}


@pytest.mark.parametrize("role", ["recipe", "plan", "labels"])
def test_a_path_in_the_header_is_never_believed(make_run, role):
    run = make_run()
    reseal(run.folder / layout.HEADER, lambda fields: fields["files"][role].update(path="/dev/zero"))
    with pytest.raises(RunError, match="said to be '/dev/zero'"):
        open_run(run.folder)


def test_a_record_under_another_items_name_is_refused(make_run):
    run = make_run()
    reseal(run.folder / layout.record("000001"), lambda fields: fields.update(id="../../x"))
    with pytest.raises(RunError, match="it is of the item"):
        run.record("000001")


def to_secret(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def to_sibling(path: Path, _: Path) -> None:
    (path.parent / "other").write_bytes(SECRET)
    path.symlink_to("other")


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path, _: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path, _: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("put", [to_secret, to_sibling, pipe, zeros, folder])
@pytest.mark.parametrize(
    "path", [*FILES.values(), layout.record("000001"), layout.PLAN, layout.RECIPE], ids=str
)
def test_what_is_no_plain_file_is_refused_at_once(make_run, secret, put, path):
    run = make_run(features=True)
    target = run.folder / path
    target.unlink()
    put(target, secret)
    with pytest.raises(StorageError, match=str(path.name)) as caught:
        run.files.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in {each.path for each in verify(run.files).problems} or path == layout.record("000001")


@pytest.mark.parametrize(
    "place", [layout.IMAGES, layout.ITEMS, layout.MASKS, layout.IMAGE_SETS.parent], ids=str
)
def test_a_folder_that_is_a_link_is_neither_read_nor_written(make_run, tmp_path, place):
    run = make_run()
    outside = tmp_path / "outside"
    (run.folder / place).rename(outside)
    (run.folder / place).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    for use in (
        lambda: run.files.read(place / "x"),
        lambda: run.files.write(place / "x", b"x"),
        lambda: run.files.names(place),
        lambda: run.files.remove(place / before[0].name),
    ):
        with pytest.raises(StorageError, match="is a link"):
            use()
    assert sorted(outside.rglob("*")) == before


@pytest.mark.parametrize(
    "name", [layout.LOCK, layout.CURATION, layout.PENDING, layout.image_set("train")], ids=str
)
def test_nothing_is_written_through_a_link(make_run, secret, name):
    run = make_run()
    target = run.folder / name
    if target.is_dir():
        target.rmdir()
    target.unlink(missing_ok=True)
    target.symlink_to(secret)

    def write() -> None:
        with run.files.lock():
            run.files.sweep()
            decide(run.folder, {"000001": "rejected"}, by="me", then=lambda: write_image_sets(run))

    with pytest.raises(StorageError, match=r"link|file of its own"):
        write()
    assert secret.read_bytes() == SECRET


def test_a_lock_file_that_is_another_files_second_name_is_left_alone(make_run, secret):
    run = make_run()
    (run.folder / layout.LOCK).unlink(missing_ok=True)
    os.link(secret, run.folder / layout.LOCK)
    with pytest.raises(StorageError, match="file of its own"), run.files.lock():
        pass
    assert secret.read_bytes() == SECRET


def test_links_for_torchvision_are_not_made_elsewhere(make_run, tmp_path):
    run = make_run()
    (run.folder / "VOCdevkit").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="is a link"):
        link_for_torchvision(run.folder)
    assert not (tmp_path / "VOC2012").exists()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(["..", "a", ".", "/", "b\0", "secret"]), min_size=1, max_size=5))
def test_no_path_leads_out(tmp_path, parts):
    files = LocalFiles(tmp_path / "run")
    try:
        where = files.inside(PurePosixPath(*parts))
    except StorageError:
        return
    assert files.root in (where, *where.parents)
    assert ".." not in where.parts


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def overlapping() -> bytes:
    """An archive whose many entries are all the same bytes."""
    data = bytearray()
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr("header.npy", bytes(50_000))
        for number in range(40):
            archive.filelist.append(archive.filelist[0])
            archive.NameToInfo[f"{number}.npy"] = archive.filelist[0]
    data += buffer.getvalue()
    return bytes(data)


@pytest.mark.parametrize(
    "data", [npz(header=np.zeros(30_000_000, np.uint8)), overlapping()], ids=["deflate", "overlap"]
)
def test_features_that_unpack_to_more_than_they_are_take_no_memory(data):
    with pytest.raises(ImageError, match=r"bytes that unpack to \d+"):
        decode_summary(data, source="features/x.npz")


@pytest.mark.parametrize("decode", [codec.decode_image, codec.decode_mask, codec.decode_agreement])
@pytest.mark.parametrize("size", [(10_001, 10_000), (13_300, 13_300), (2, 60_000_000)])
def test_pictures_beyond_the_limit_are_refused(decode, size):
    buffer = io.BytesIO()
    Image.new("1", size).save(buffer, "PNG")
    with pytest.raises(
        ImageError, match=f"x.png has {size[0]}×{size[1]} px, more than 89478485; set SEGMINT_MAX"
    ):
        decode(buffer.getvalue(), source="x.png")


def test_files_beyond_the_limit_are_refused(make_run, monkeypatch):
    run = make_run()
    with (run.folder / layout.record("000001")).open("ab") as file:
        file.truncate(1 << 34)  # a hole: 16 GiB that take no room
    with pytest.raises(StorageError, match="is larger than 16777216 bytes"):
        run.record("000001")


def test_limits_are_settings():
    assert limits.limits_of({"SEGMINT_MAX_IMAGE_PX": "7"}) == limits.Limits(image_px=7)
    assert limits.limits_of({}) == limits.Limits()


@pytest.mark.parametrize("text", ["", "0", "-1", "1e9", "many", "9" * 50, "9" * 6000, "١"])
def test_limits_that_are_no_numbers_are_refused(text):
    with pytest.raises(ConfigError, match=r"SEGMINT_MAX_NESTING=.*expected a whole number above 0"):
        limits.limits_of({"SEGMINT_MAX_NESTING": text})


DEEP = {
    "run.json": b"[" * 100_000,
    "items/000001.json": b'{"a":' * 400 + b"1" + b"}" * 400,
    "plan.jsonl": b"[" * 100_000 + b"\n",
    "recipe.toml": b"a = " + b"[" * 5_000 + b"]" * 5_000,
    "recipe.toml#keys": b".".join([b"a"] * 30_000) + b" = 1",
    "recipe.toml#table": b"[" + b".".join([b'"a"'] * 30_000) + b"]",
    "recipe.toml#inline": b"x = {" + b".".join([b"a"] * 900) + b" = 1}",
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting_is_refused_in_one_line(make_run, name):
    run = make_run()
    (run.folder / name.partition("#")[0]).write_bytes(DEEP[name])

    def read_all() -> None:
        opened = open_run(run.folder)
        opened.recipe()
        opened.plan()
        opened.record("000001")

    with pytest.raises(RunError, match=name.partition("#")[0]) as caught:
        read_all()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["prompt", "model", "segmint_version"])
@pytest.mark.parametrize("schema", [0, 1, 2])
def test_half_a_surrogate_pair_in_a_record_of_any_schema_is_refused(make_run, where, schema):
    run = make_run()
    path = run.folder / layout.record("000001")
    path.write_text(json.dumps({**json.loads(path.read_text()), where: "\ud800", "schema_version": schema}))
    with pytest.raises(RunError, match=r"000001\.json is damaged"):
        run.record("000001")


@pytest.mark.parametrize("name", ["con", "CON", "nul.x", "Lpt1", "aux.", "a/b", "..", "a\n", "", "x" * 61])
def test_names_that_some_system_cannot_hold_are_refused(name):
    with pytest.raises(ConfigError, match="cannot name a mask set"):
        check_mask_set_name(name)


@pytest.mark.parametrize("where", ["x" * 5_000, "x" * 300, "a\0b"])
def test_an_address_that_cannot_be_is_refused(where, tmp_path):
    with pytest.raises(SegmintError) as caught:
        open_run(str(tmp_path / where))
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


ODD_EVENTS = st.recursive(
    st.none() | st.integers() | st.text(max_size=4) | st.sampled_from(["kept", "rejected", "e1", "\ud800"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.fixed_dictionaries(
        {"event": ODD_EVENTS, "time": ODD_EVENTS, "by": ODD_EVENTS},
        optional={"why": ODD_EVENTS, "undoes": ODD_EVENTS, "decisions": ODD_EVENTS},
    )
)
def test_one_odd_decision_breaks_nothing(tmp_path, fields):
    (tmp_path / layout.CURATION).unlink(missing_ok=True)
    decide(tmp_path, {"a": "kept"}, by="me")
    with (tmp_path / layout.CURATION).open("ab") as file:
        file.write(json.dumps(fields).encode() + b"\n")
    decide(tmp_path, {"b": "rejected"}, by="me")
    log = CurationLog(tmp_path)
    assert log.state("b") == "rejected"
    assert len([*log.mentioned]) >= 2
