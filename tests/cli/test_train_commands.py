"""The commands that train and judge, in this process."""

import json
import subprocess
import sys

import pytest

from segmint.cli import datasets
from segmint.cli.main import run
from segmint.errors import DatasetError
from segmint.runs.files.local import LocalFiles
from segmint.toybox.worlds import WORLDS
from small_runs import fill
from tiny_datasets import write_voc

TINY = (
    *("--arch", "toynet", "--crop", "32", "--iterations", "2", "--batch-size", "2"),
    *("--validate-every", "2", "--device", "cpu", "--workers", "0", "--set", "optimiser.backbone_factor=1.0"),
)


def segmint(capsys, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        run([str(word) for word in words])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_train_evaluate_and_train_again(tmp_path, capsys):
    minted = fill(LocalFiles(tmp_path / "run"), planned=4, done=4).folder
    val = write_voc(tmp_path / "val", 1)
    training = tmp_path / "training"
    code, out, _ = segmint(capsys, "train", minted, "--val", val, "--out", training, *TINY)
    assert code == 0
    assert "training on 4 images of run; skipped none" in out
    assert "warning: no image of val:val shows tree" in out
    digest = (training / "best.safetensors.sha256").read_text().split()[0]
    assert f"sha256: {digest}" in out

    code, out, _ = segmint(
        capsys, "evaluate", training, "--data", val, "--flip", "--scales", "0.75,1", "--device", "cpu"
    )
    assert code == 0
    assert "–" in out
    metrics = json.loads((training / "evaluation-val-val/metrics.json").read_text())
    assert metrics["scales"] == [0.75, 1.0]
    assert metrics["classes"]["tree"]["iou"] is None

    words = ("--out", tmp_path / "self", "--device", "cpu", "--workers", "0", "--confidence", "0.1")
    code, _, err = segmint(capsys, "selftrain", training, minted, "--val", val, *words)
    if code:  # a network that saw two batches may call everything background
        assert "(4 empty)" in err
    else:
        assert (tmp_path / "self/training/best.safetensors").is_file()
    assert (tmp_path / "self/runs/run/run.json").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "nowhere", "--val", "nowhere", "--out", "x"), "no dataset at nowhere"),
        (("evaluate", "nowhere", "--data", "toybox:val@2"), "there is no checkpoint nowhere"),
        (("evaluate", "x", "--data", "y", "--scales", "1,z"), "--scales '1,z'"),
        (("train", "a", "--val", "b", "--out", "x", "--set", "lr"), "--set 'lr'"),
        (("train", "a", "--val", "toybox:all", "--out", "x"), "no dataset at a"),
        (("recipe", "none", "--out", "x"), "no recipe 'none'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = segmint(capsys, *words)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("world", ["toybox", "yard"])
def test_splits_of_a_world_are_rendered_once(monkeypatch, world):
    found = datasets.open_dataset(f"{world}:val@3")
    assert len(found.samples) == 3
    assert tuple(found.classes.values()) == WORLDS[world].classes
    monkeypatch.setattr(datasets, "_render", None)
    assert datasets.open_dataset(f"{world}:val@3") == found
    test = datasets.rendered
    monkeypatch.undo()
    assert test(f"{world}:reserve@3") != test(f"{world}:val@3")


@pytest.mark.parametrize(
    "address", ["toybox:all", "yard:val@0", "toybox:val@x", "toybox:", "toybox:val@" + "9" * 6000]
)
def test_there_is_no_such_split(address):
    with pytest.raises(DatasetError, match=r"no (toybox|yard) split"):
        datasets.open_dataset(address)


def test_a_plan_tells_what_a_recipe_needs(capsys, tmp_path):
    code, out, _ = segmint(capsys, "recipe", "syntagen", "--out", tmp_path / "x", "--plan")
    assert code == 0
    assert "800 000" in out
    assert "GB" in out
    assert "segmint generate --out" in out
    assert not (tmp_path / "x").exists()


def test_a_recipe_without_its_prompts_is_refused_in_one_line(capsys, tmp_path):
    code, out, said = segmint(capsys, "recipe", "syntagen", "--out", tmp_path / "x")
    assert code == 2
    assert "--template-prompts" in said
    assert said.count("\n") == 1
    assert not out
    assert not (tmp_path / "x").exists()


def test_a_plan_is_plain_data_for_programs(capsys, tmp_path):
    code, out, _ = segmint(capsys, "recipe", "syntagen", "--out", tmp_path / "x", "--plan", "--json")
    assert code == 0
    first = json.loads(out.splitlines()[0])
    assert first["words"][0] == "generate"
    assert first["denoising_steps"] == 800_000


def test_a_score_on_images_that_were_learnt_from_is_told_as_one(tmp_path, capsys):
    minted = fill(LocalFiles(tmp_path / "run"), planned=4, done=4).folder
    assert segmint(capsys, "export", minted, "--format", "voc", "--out", tmp_path / "voc")[0] == 0
    words = ("--val", f"{tmp_path / 'voc'}@val", "--out", tmp_path / "training")
    code, out, _ = segmint(capsys, "train", minted, *words, *TINY)
    assert code == 0
    said = "1 of the 1 validation images are among the training images"
    assert f"warning: {said}" in " ".join(out.split())
    assert " ".join(out.split()).count(said) == 2  # when they are found, and with the score
    assert "training: iteration 1 of 2, loss" in out


def test_whole_prompts_are_held_out_to_judge_on(tmp_path, capsys):
    minted = fill(LocalFiles(tmp_path / "run"), planned=4, done=4).folder
    words = ("--split", "0.25", "--out", tmp_path / "training")
    code, out, _ = segmint(capsys, "train", minted, *words, *TINY)
    assert code == 0
    assert "training on 3 images of run" in out
    assert "validating on 1 images of run, held out" in out
    assert "among the training images" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say what to judge on: --val DATASET"),
        (("--val", "a", "--split", "0.1"), "say what to judge on: --val DATASET"),
        (("--split", "1"), "--split 1: expected a share above 0 and below 1"),
        (("--val", "nowhere"), "no dataset at nowhere"),
        (("--val", "a", "--backbone", "weights.pth"), "weights.pth is a pickle"),
        (("--val", "a", "--arch", "toynet", "--backbone", "imagenet"), "no ImageNet weights for toynet"),
    ],
)
def test_a_training_is_refused_before_torch_is_loaded(tmp_path, words, message):
    minted = fill(LocalFiles(tmp_path / "run"), planned=4, done=4).folder
    code = (
        "import sys\nfrom segmint.cli.main import run\n"
        "try:\n    run(sys.argv[1:])\nexcept SystemExit as end:\n"
        "    print(end.code, [name for name in ('torch', 'matplotlib') if name in sys.modules])"
    )
    asked = [sys.executable, "-c", code, "train", str(minted), "--out", str(tmp_path / "x"), *words]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert message in done.stderr
    assert done.stdout.strip() == "2 []"
    assert not (tmp_path / "x").exists()
