"""Training by several processes, as on several GPUs: two on the CPU, over torch's own launcher."""

import json
import os
import subprocess
import sys

import pytest

from segmint.training.fit.log import read_log

START = "import sys; from segmint.cli.main import run; run(sys.argv[1:])"
WORDS = (
    *("--arch", "toynet", "--backbone", "none", "--crop", "64", "--iterations", "6", "--batch-size", "8"),
    *("--validate-every", "3", "--device", "cpu", "--workers", "0"),
)


def test_two_processes_train_one_network_and_validate_it_exactly(tmp_path):
    val = "toybox:val@9"
    (tmp_path / "start.py").write_text(START)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    words = ["train", "toybox:train@32", "--val", val, "--out", str(tmp_path / "out"), *WORDS]
    alone = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(tmp_path / "start.py"), *words],
        env=alone,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    entries = read_log(tmp_path / "out")
    assert [each["iteration"] for each in entries if "loss" in each] == [1, 2, 3, 4, 5, 6]
    best = json.loads((tmp_path / "out/best.json").read_text())
    judged = tmp_path / "judged"
    words = [
        "evaluate",
        str(tmp_path / "out"),
        "--data",
        val,
        "--out",
        str(judged),
        "--device",
        "cpu",
    ]
    subprocess.run([sys.executable, "-c", START, *words, "--quiet"], check=True, timeout=300)
    exact = json.loads((judged / "metrics.json").read_text())["mean_iou"]
    assert exact == pytest.approx(best["mean_iou"], rel=1e-6)
