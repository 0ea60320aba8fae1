import contextlib
import io
import json
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segmint.cli.main import run as run_command
from segmint.errors import DatasetError
from segmint.export.corrections import read_corrections
from segmint.export.source import ObjectRule, open_source
from segmint.export.write import export
from segmint.runs import codec, layout
from segmint.runs.curation.decisions import read_states
from segmint.runs.files.local import LocalFiles
from segmint.runs.store import open_run
from segmint.runs.verify import verify
from segmint.vocabulary import Vocabulary
from synthetic_runs import scene, write_run

COUNT = 4


def call(capsys, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        run_command([str(each) for each in words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", COUNT)


def mask_of(run, item_id, mask_set=""):
    return codec.decode_mask((run / layout.mask(item_id, mask_set)).read_bytes(), source=item_id)


def exported(run, name, out):
    rule = ObjectRule(min_area=0)
    export(open_source(open_run(run), splits={"train": 1}, objects=rule), name, out)
    return out


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cvat", "annotations.zip"),
        ("label-studio", "tasks.json"),
        ("coco", "annotations/instances_train.json"),
        ("voc", "VOCdevkit/VOC2012/SegmentationClass"),
        ("fiftyone", "splits/train/labels"),
    ],
)
def test_there_and_back_is_the_same_to_the_pixel(capsys, run, tmp_path, name, file):
    out = exported(run, name, tmp_path / "out")
    code, said, err = call(capsys, "import", run, out / file)
    assert code == 0, err
    assert f"{COUNT} masks are in the mask set corrected" in said
    for number in range(COUNT):
        was = scene(number).labels
        found = mask_of(run, f"{number:06d}", "corrected")
        assert (found == (np.where(was == 255, 0, was) if name == "coco" else was)).all()


def test_a_correction_lies_beside_what_was_minted_and_is_kept(capsys, run, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    labels = np.zeros((64, 64), np.uint8)
    labels[10:30, 10:30] = 2
    Image.fromarray(labels).save(folder / "000001.png")
    code, said, err = call(capsys, "import", run, folder)
    assert code == 0, err
    assert "1 masks are in the mask set corrected, 1 of them changed" in said
    assert (mask_of(run, "000001") == scene(1).labels).all()
    assert (mask_of(run, "000001", "corrected") == labels).all()
    assert (mask_of(run, "000002", "corrected") == scene(2).labels).all()
    assert open_run(run).record("000001", "corrected").areas["tree"] == pytest.approx(400 / 4096)
    assert read_states(run) == {"000001": "kept"}
    assert not [p for p in verify(LocalFiles(run)).problems if "corrected" in p.path]
    code, _, _ = call(capsys, "curate", run, "--undo")
    assert (code, read_states(run)) == (0, {})
    code, said, _ = call(capsys, "import", run, folder, "--masks", "corrected")
    assert "mask set corrected-2, 0 of them changed" in said


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_pipe_or_a_device_is_no_correction(capsys, run, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for path in (tmp_path / "pipe.json", tmp_path / "pipe.zip", folder / "000001.png"):
        os.mkfifo(path)
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    (tmp_path / "zero.zip").symlink_to("/dev/zero")
    for name in ("pipe.json", "pipe.zip", "zero.json", "zero.zip", "masks"):
        code, _, err = call(capsys, "import", run, tmp_path / name)
        assert (code, err.count("\n")) == (2, 1), name
        assert "not a plain file" in err, name


def png(labels):
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG")
    return buffer.getvalue()


BLACK = np.zeros((64, 64, 3), np.uint8)
MAP = "background:0,0,0::\nboat:228,96,74::\n"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"../labelmap.txt": MAP}, "leads outside"),
        ({"labelmap.txt": MAP, "/etc/x.png": b""}, "leads outside"),
        ({"a.txt": "x"}, "no labelmap.txt"),
        ({"labelmap.txt": "background:0,0,0::\nyak:1,2,3::\n"}, "yak"),
        ({"labelmap.txt": MAP}, "holds no mask"),
        ({"labelmap.txt": MAP, "SegmentationClass/000000.png": png(BLACK + 7)}, "nothing is imported"),
        ({"labelmap.txt": MAP, "SegmentationClass/000000.png": png(BLACK[:9])}, "is 64×9 px"),
        ({"labelmap.txt": MAP, "SegmentationClass/nobody.png": png(BLACK)}, "no item"),
        ({"labelmap.txt": MAP, "SegmentationClass/000000.png": b"none"}, "nothing is imported"),
    ],
)
def test_a_zip_that_cannot_be_meant_is_refused_and_nothing_is_done(capsys, run, tmp_path, members, said):
    code, _, err = call(capsys, "import", run, zipped(tmp_path / "x.zip", **members))
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (run / layout.MASK_SETS).exists()
    assert not (run / layout.CURATION).exists()


@settings(max_examples=150, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_zip_is_read_or_refused(tmp_path_factory, at, flip, cut):
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labelmap.txt", MAP)
        archive.writestr("SegmentationClass/000000.png", png(BLACK))
    data = bytearray(buffer.getvalue())
    place = int(at * len(data))
    if cut:
        del data[place:]
    else:
        data[place] ^= flip
    path.write_bytes(data)
    with contextlib.suppress(DatasetError):
        read_corrections(path, Vocabulary.of(["boat"]), lambda _: (64, 64))


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([{"data": {"item": "../../x"}, "annotations": []}], "no item"),
        ([{"data": 3}], "no task"),
        ([], "holds no mask"),
        (
            [{"data": {"item": "000000"}, "annotations": [{"result": [
                {"type": "brushlabels", "value": {"brushlabels": ["yak"], "rle": []}}]}]}],
            "yak",
        ),
        (
            [{"data": {"item": "000000"}, "annotations": [{"result": [
                {"type": "brushlabels", "value": {"brushlabels": ["boat"], "rle": [1, 2, 3]}}]}]}],
            "rle",
        ),
        *(
            (
                [{"data": {"item": "000000"}, "annotations": [{"result": [
                    {"type": "brushlabels", "value": {"brushlabels": names, "rle": []}}]}]}],
                "no task with brush masks",
            )
            for names in ([], ["boat", "tree"], 7, None)
        ),
        ([{"data": {"item": "000000"}, "annotations": {}}, 5], "no task with brush masks"),
        ([{"data": {"item": "000000"}, "annotations": [{"result": {"a": 1}}]}], "no task with brush masks"),
    ],
)  # fmt: skip
def test_tasks_that_cannot_be_meant_are_refused(capsys, run, tmp_path, tasks, said):
    (tmp_path / "x.json").write_text(json.dumps(tasks))
    code, _, err = call(capsys, "import", run, tmp_path / "x.json")
    assert code == 2
    assert said in err
    assert not (run / layout.MASK_SETS).exists()
