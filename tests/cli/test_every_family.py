"""Every family of models by every command, as a user types it, on tiny pipelines of the true layouts."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faked_command import wait_for_items
from run_contents import contents
from segmint.backbone import loading
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.known import attention_of
from segmint.backbone.settings import CaptureSettings, ModelSettings
from segmint.cli.main import run as run_command
from segmint.masks.methods import METHODS
from segmint.masks.settings import profile

FAMILIES = ("sd2", "pixart", "sd3", "flux", "qwenimage", "zimage", "flux2-klein", "sana", "lumina2")
ITEMS = (
    {"prompt": "a skyscraper, beside a pot plant", "classes": ["skyscraper", "pot plant"]},
    {"prompt": "a dog", "classes": ["dog"]},
    {"prompt": "a car and a sofa and a dog on a road", "classes": ["car", "sofa", "dog"]},
)
EVERY = (*FAMILIES, "flux2-dev")
"""With one whose blocks are another's, for the slow exam."""
FEW = ("--set", "masks.denoising.levels=[500]")
SIZE = ("--height", "96", "--width", "128", "--steps", "2")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
# diffusers' own DPM-Solver, on numpy 2
load = loading.load


@cache
def small(settings: ModelSettings) -> DiffusersBackbone:
    """A tiny model, loaded once, whose own size is small too: `label` brings photographs to it."""
    backbone = load(settings, "cpu")
    backbone.info = replace(backbone.info, height_px=96, width_px=128)
    return backbone


@pytest.fixture
def model(
    request: pytest.FixtureRequest, family_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of a family's tiny model, which is loaded once for all commands."""
    monkeypatch.setattr(loading, "load", lambda settings, device: small(settings))
    return family_folder(request.param)


def call(*words: object, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command([str(each) for each in words])
    assert (ended.value.code or 0) == code


def mint(model: Path, folder: Path) -> Path:
    """A run of three items whose prompts and classes differ, two at once."""
    prompts = folder / "prompts.jsonl"
    prompts.write_text("\n".join(json.dumps(each) for each in ITEMS), encoding="utf-8")
    words = ("--prompts", prompts, "--model", model, "--batch-size", "2", "--keep-features", "--quiet")
    call("generate", *words, *SIZE, *FEW, "--out", folder / "run")
    return folder / "run"


@pytest.mark.parametrize("model", FAMILIES, indirect=True)
def test_minted_gone_on_with_labelled_masked_again_and_explained(model: Path, tmp_path: Path) -> None:
    run = mint(model, tmp_path)
    whole = contents(run)
    masks = [np.asarray(Image.open(each)) for each in sorted((run / "SegmentationClass").glob("*.png"))]
    assert [each.shape for each in masks] == [(96, 128)] * 3
    (run / "items" / "000001.json").unlink()
    call("generate", "--out", run, "--quiet")
    assert contents(run) == whole
    call("remask", run, "--set", "masks.competition.temperature=0.9", "--name", "again", "--quiet")
    assert len(list((run / "masks" / "again" / "SegmentationClass").glob("*.png"))) == 3
    call("explain", run, "000000", "--out", tmp_path / "explained.png")
    call("verify", run)
    for each in sorted((run / "JPEGImages").iterdir())[1:]:
        each.unlink()
    words = ("--classes", "dog, pot plant", "--model", model, "--quiet", "--out", tmp_path / "labelled")
    doubted = ("--set", "masks.denoising.levels_doubted=[500]")
    call("label", run / "JPEGImages", *words, *doubted)
    assert len(list((tmp_path / "labelled" / "SegmentationClass").glob("*.png"))) == 1


@pytest.mark.parametrize("model", FAMILIES, indirect=True)
def test_heat_maps_of_the_prompts_words(model: Path, tmp_path: Path) -> None:
    arrays = tmp_path / "maps.npz"
    words = ("--words", "pot plant", "--model", model, "--arrays", arrays, "--out", tmp_path / "heat.png")
    call("heatmap", "a pot plant beside a skyscraper", *words, *SIZE)
    with np.load(arrays) as stored:
        assert stored["maps"].shape[0] == 1
        assert np.ptp(stored["maps"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("model", EVERY, indirect=True)
def test_each_method_of_minting(model: Path, tmp_path: Path) -> None:
    attends = attention_of(str(model))
    for method in METHODS:
        captures = METHODS[method].captures(profile(method), CaptureSettings().reading())
        prompts, out = tmp_path / "prompts.jsonl", tmp_path / method
        prompts.write_text(json.dumps(ITEMS[0]), encoding="utf-8")
        words = (
            "--prompts",
            prompts,
            "--model",
            model,
            "--method",
            method,
            "--quiet",
            *SIZE,
            *FEW,
            "--out",
            out,
        )
        served = all(each.only in (None, attends) for each in captures.maps)
        call("generate", *words, code=0 if served else 2)
        assert len(list(out.glob("SegmentationClass/*.png"))) == served


@pytest.mark.slow
@pytest.mark.parametrize("family", EVERY)
def test_a_killed_run_goes_on_with_the_same_bytes(
    family: str, family_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model = family_folder(family)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    run = mint(model, whole)
    words = ["--prompts", str(whole / "prompts.jsonl"), "--model", str(model), "--batch-size", "2"]
    words += [*SIZE, *FEW, "--keep-features", "--quiet", "--out", str(broken / "run")]
    process = subprocess.Popen([sys.executable, "-m", "segmint.cli", "generate", *words])
    wait_for_items(broken / "run", 1)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    call("generate", "--out", broken / "run", "--quiet")
    assert contents(broken / "run") == contents(run)
