"""The main job and its command on a URL, against a real S3 server."""

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from run_contents import timeless
from segmint.backbone import loading
from segmint.backbone.fake import FakeBackbone
from segmint.cli.main import run as run_command
from segmint.runs import layout
from segmint.runs.files.remote import files_at
from segmint.runs.masksets import mask_set_names
from segmint.runs.store import Run, open_run

WORDS = ["generate", "--classes", "boat, tree", "--steps", "2", "--height", "32", "--width", "32", "-b", "2"]


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        run_command(list(words))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_generate_stop_resume_verify_repair_on_a_url(capsys, bucket, tmp_path, monkeypatch):
    url = f"{bucket}/run"
    monkeypatch.setattr(loading, "load", lambda *_: FakeBackbone(crash_items=frozenset({"000003"})))
    with pytest.raises(RuntimeError, match="told to crash"):
        run_command([*WORDS, "--count", "4", "--out", url])
    run = open_run(url)
    assert run.done_ids() == {"000000", "000001"}
    assert run.files.read(layout.image_set("train")) == b"000000\n000001\n"
    kept = run.files.read(layout.record("000000"))

    monkeypatch.setattr(loading, "load", lambda *_: FakeBackbone())
    code, said, err = call(capsys, "generate", "--out", url)
    assert code == 0, err
    assert f"{url}: 4 of 4 items" in said
    assert run.files.read(layout.record("000000")) == kept
    assert call(capsys, *WORDS, "--count", "4", "--out", str(tmp_path / "run"), "--quiet")[0] == 0
    for path in [*tmp_path.glob("run/JPEGImages/*"), *tmp_path.glob("run/SegmentationClass/*")]:
        assert run.files.read(PurePosixPath(path.relative_to(tmp_path / "run"))) == path.read_bytes()

    run.files.write(layout.mask("000002"), b"x")
    code, said, _ = call(capsys, "verify", url)
    assert (code, said.splitlines()[0].split(":")[0]) == (1, "SegmentationClass/000002.png")
    assert call(capsys, "generate", "--out", url, "--repair", "--quiet")[0] == 0
    assert call(capsys, "verify", url)[:2] == (0, f"{url}: whole; 4 of 4 items\n")


def same_files(run: Run, folder: Path) -> None:
    """Every file of a run in a folder is under the URL too, with the same bytes but for the times."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    for path in paths:
        if path.suffix in (".png", ".jpg", ".npz") or path.name in ("masks.json", "plan.jsonl"):
            assert run.files.read(PurePosixPath(path)) == (folder / path).read_bytes(), path
        elif path.parent.name == "items":
            there = run.files.read(PurePosixPath(path))
            assert timeless(path, there) == timeless(path, (folder / path).read_bytes())


def test_masks_are_made_again_on_a_url_as_in_a_folder(capsys, bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *_: FakeBackbone())
    for where in (f"{bucket}/run", str(tmp_path / "run")):
        made = call(capsys, *WORDS, "--count", "3", "--keep-features", "--out", where, "--quiet")
        assert made[0] == 0, made[2]
        words = ("remask", where, "--method", "pcc-published", "--name", "old")
        code, said, err = call(capsys, *words)
        assert code == 0, err
        assert f"3 masks made, 0 stood already: {where}/masks/old" in said
    run = open_run(f"{bucket}/run")
    assert mask_set_names(run) == ["", "old"]
    same_files(run, tmp_path / "run")
    run.files.write(layout.mask("000001", "old"), b"x")
    assert call(capsys, "verify", f"{bucket}/run")[0] == 1
    assert call(capsys, "remask", f"{bucket}/run", "--name", "old", "--repair")[0] == 0
    assert call(capsys, "verify", f"{bucket}/run")[0] == 0
    same_files(run, tmp_path / "run")


def test_photographs_are_labelled_into_a_url_as_into_a_folder(capsys, bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *_, **__: FakeBackbone())
    (tmp_path / "photos").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photos/{number}.png")
    for where in (f"{bucket}/run", str(tmp_path / "run")):
        words = ("label", str(tmp_path / "photos"), "--classes", "boat, tree", "--out", where, "--quiet")
        code, _, err = call(capsys, *words)
        assert code == 0, err
    run = open_run(f"{bucket}/run")
    assert (run.header.kind, len(run.done_ids())) == ("label", 3)
    same_files(run, tmp_path / "run")
    assert call(capsys, "verify", f"{bucket}/run")[0] == 0


def test_what_is_not_a_run_is_left_alone(capsys, bucket):
    files = files_at(f"{bucket}/photos")
    files.write(PurePosixPath("holiday.jpg"), b"x")
    code, _, err = call(capsys, *WORDS, "--count", "2", "--out", files.address)
    assert code == 2
    assert "is not empty and no run (it holds 'holiday.jpg')" in err
    assert files.names(PurePosixPath()) == {"holiday.jpg"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["verify", "s3://no-such-bucket/run"], "is no run"),
        (["generate", "--out", "nope://x/run", "--classes", "boat", "--count", "1"], "Protocol not known"),
        (["train", "s3://bucket/run", "--val", "toybox:val"], "aws s3 sync s3://bucket/run run"),
    ],
)
def test_refusals_are_one_line(capsys, bucket, words, said):
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
