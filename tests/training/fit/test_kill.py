"""The slow proof that a killed training ends as an uninterrupted one: real processes, real SIGKILL."""

import os
import signal
import subprocess
import sys
import time

import pytest

from segmint.training.fit.log import read_log
from tiny_datasets import write_voc

START = "import sys; from segmint.cli.main import run; run(sys.argv[1:])"
WORDS = (
    *("--arch", "toynet", "--backbone", "none", "--crop", "32", "--iterations", "40", "--batch-size", "4"),
    *("--validate-every", "10", "--device", "cpu", "--workers", "1", "--resume"),
    *("--set", "optimiser.backbone_factor=1.0", "--set", "schedule.checkpoint_every=4"),
)


def start(root, out) -> subprocess.Popen:
    train, val = f"{root / 'train'}@train", f"{root / 'val'}@val"
    words = [sys.executable, "-c", START, "train", train, "--val", val, "--out", str(out), *WORDS]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)


def losses(out):
    return [(entry["iteration"], entry["loss"]) for entry in read_log(out) if "loss" in entry]


@pytest.mark.slow
def test_five_kills(tmp_path):
    write_voc(tmp_path / "train", 12, split="train")
    write_voc(tmp_path / "val", 4)
    assert start(tmp_path, tmp_path / "whole").wait() == 0
    for after in (3, 11, 12, 25, 37):
        running = start(tmp_path, tmp_path / "cut")
        while running.poll() is None and len(losses(tmp_path / "cut")) < after:
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert start(tmp_path, tmp_path / "cut").wait() == 0
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    sums = [(tmp_path / each / "best.safetensors.sha256").read_text() for each in ("cut", "whole")]
    assert sums[0] == sums[1]


@pytest.mark.gpu
def test_a_gpu_learns_the_same_task_in_mixed_precision(tmp_path):
    from segmint.training.data.readers.voc import read_voc
    from segmint.training.fit.train import train
    from segmint.training.settings import TrainSettings

    sets = [read_voc(write_voc(tmp_path / "train", 8, split="train", side=(64, 64)))]
    val = read_voc(write_voc(tmp_path / "val", 4, side=(64, 64)))
    settings = TrainSettings().merged(
        {
            "network.backbone": "none",
            "augment.crop_px": 64,
            "optimiser.backbone_factor": 1.0,
            "schedule.iterations": 4,
            "schedule.validate_every": 2,
        }
    )
    result = train(sets, val, tmp_path / "out", settings, device="cuda", workers=2)
    assert result.mean_iou is not None
    assert len(losses(tmp_path / "out")) == 4
