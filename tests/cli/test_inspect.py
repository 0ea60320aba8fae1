import json

import numpy as np
import pytest
from PIL import Image

from segmint.cli.main import run as run_command
from segmint.runs import layout
from synthetic_runs import CLASSES, scene, write_run
from tiny_datasets import write_voc


def call(capsys, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        run_command([str(each) for each in words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_inspect_counts_what_is_read_and_names_what_is_not(capsys, tmp_path):
    run = write_run(tmp_path / "run", 5)
    (run / layout.image("000003", "jpg")).write_bytes(b"no picture")
    code, out, err = call(capsys, "inspect", run, "--json", "--sheet", tmp_path / "sheet.png")
    assert code == 0, err
    said = json.loads(out)
    masks = np.stack([scene(number).labels for number in (0, 1, 2, 4)])
    assert set(said) == {"items", "classes", "void_pixels", "sizes", "skipped"}
    assert said["items"] == 4
    assert said["void_pixels"] == (masks == 255).sum()
    assert said["sizes"] == [{"width": 64, "height": 64, "images": 4}]
    for label, each in enumerate(said["classes"], start=1):
        assert (each["id"], each["name"]) == (label, CLASSES[label - 1])
        assert each["pixels"] == (masks == label).sum()
        assert each["images"] == (masks == label).any(axis=(1, 2)).sum()
    [skipped] = said["skipped"]
    assert skipped["item"] == "000003"
    assert "image" in skipped["reason"]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 2 * 64


def test_inspect_tells_people_too_and_fails_where_nothing_can_be_read(capsys, tmp_path):
    run = write_run(tmp_path / "run", 1)
    code, out, _ = call(capsys, "inspect", run)
    assert code == 0
    assert "potted plant" in out
    (run / layout.image("000000", "jpg")).write_bytes(b"no picture")
    code, out, _ = call(capsys, "inspect", run)
    assert code == 1
    assert "left out: 000000" in out
    code, _, err = call(capsys, "inspect", tmp_path / "none")
    assert code == 2
    assert "no dataset at" in err


def test_inspect_says_what_had_to_be_decided(capsys, tmp_path):
    data = write_voc(tmp_path, 1)
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "JPEGImages/val000.png", "GIF", save_all=True, append_images=frames[1:])
    Image.new("L", (32, 32), 255).save(tmp_path / "SegmentationClass/val000.png")
    code, out, _ = call(capsys, "inspect", data)
    assert code == 0
    assert "note: 1 × an image that has 2 frames; the first was read" in out
    assert "0/255 masks" in out
