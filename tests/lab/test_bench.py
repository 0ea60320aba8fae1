"""`lab.bench`: each benchmark at its smallest, and what it refuses."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.bench import app
from segmint.cli.main import run as run_command


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        run_command([str(word) for word in words], commands=app)
    return int(ended.value.code or 0)


def figures(out: Path, *words: object) -> Any:
    assert run(*words, "--quiet", "--out", out) == 0
    return json.loads(out.read_text())


def test_overhead_draws_the_pixels_of_plain_diffusers(tmp_path: Path) -> None:
    words = ("overhead", "--steps", "2", "-b", "2", "--batches", "2", "--turns", "2", "--device", "cpu")
    (found,) = figures(tmp_path / "x.json", *words)
    assert found["equal_images"] is True
    assert (found["method"], found["steps"], found["batches"]) == ("segmint", 2, 2)
    assert found["minted_ratio_low"] <= found["minted_ratio"] <= found["minted_ratio_high"]


def test_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = figures(tmp_path / "x.json", "masks", "--shapes", "toybox", "--scenes", "1")
    assert (found["identical_scenes"], found["equal_pixels"]) == (1, 1.0)
    assert "1 of 1 masks identical" in capsys.readouterr().out


def test_methods_by_classes(tmp_path: Path) -> None:
    words = ("methods", "--shapes", "toybox", "--classes", "1, 5", "--repeats", "1")
    rows = figures(tmp_path / "x.json", *words)
    assert {(row["method"], row["classes"]) for row in rows} >= {("segmint", 1), ("segmint", 5), ("pcc", 5)}
    assert all(row["peak_mb"] > 0 for row in rows)


def test_export(tmp_path: Path) -> None:
    rows = figures(tmp_path / "x.json", "export", "--formats", "coco, yolo", "--items", "3")
    assert [(row["format"], row["items"]) for row in rows] == [("coco", 3), ("yolo", 3)]
    assert all(row["images_a_second"] > 0 for row in rows)


def test_memory(tmp_path: Path) -> None:
    words = ("memory", "--steps", "1, 2", "--batches", "1", "--shapes", "sd21, toybox", "--device", "cpu")
    found = figures(tmp_path / "x.json", *words)
    assert [row["model"] for row in found["called"]] == ["SD 2.1-base"] * 2
    assert [row["shape"].split(",")[0] for row in found["masks"]] == ["SD 2.1-base", "toybox"]
    one, two = found["drawn"]
    assert (one["steps"], two["steps"]) == (1, 2)
    assert one["extra_mb_an_image"] == pytest.approx(two["extra_mb_an_image"], rel=0.1)


def test_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "place").mkdir()
    found = figures(tmp_path / "x.json", "store", "--sizes", "5, 20", "--folder", tmp_path / "place")
    assert [row["items"] for row in found] == [5, 20]
    assert list((tmp_path / "place").iterdir()) == []
    assert "resume" in capsys.readouterr().out


def test_training(tmp_path: Path) -> None:
    (found,) = figures(tmp_path / "x.json", "training", "--only", "toynet", "--iterations", "1")
    assert found["loader"] > 0
    assert found["network"] > 0
    assert found["fed"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["store", "--sizes", "20, 5"], "growing"),
        (["store", "--sizes", "1"], "at least 2"),
        (["store", "--folder", "nowhere"], "is no folder"),
        (["masks", "--shapes", "sd15"], "expected sd21, sdxl, flux, toybox"),
        (["overhead", "--dtype", "int8"], "expected auto, float32"),
        (["overhead", "--method", "guess"], "guess"),
        (["memory", "--steps", "few"], "whole numbers"),
        (["memory", "--dtype", "int8"], "expected auto, float32"),
        (["training", "--only", "unet"], "expected toynet"),
        (["store", "--sizes", "3", "--out", "nowhere/x.json"], "cannot write nowhere/x.json"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "-q") == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("name", ["overhead", "masks", "memory"])
def test_without_scikit_learn_the_extra_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in [each for each in sys.modules if each.startswith("lab.cost.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr("lab.cost.memory", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    assert run(name) == 2
    assert "pip install 'segmint[dev]'" in capsys.readouterr().err
