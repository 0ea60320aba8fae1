"""The experiment: its arms in order, its table, and that nothing is done twice."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab import experiment
from segmint.cli import datasets
from segmint.cli.main import run
from segmint.errors import DatasetError


def test_the_experiment_runs_its_arms_and_goes_on(tmp_path: Path) -> None:
    size = experiment.Size(images=4, val_images=2, test_images=2, iterations=2, batch_size=2)
    done: list[str] = []

    def carry_out(words: Sequence[str]) -> None:
        done.append(words[0])
        if words[0] == "generate":  # a renderer in the place of the model
            source = datasets.rendered(f"toybox:train@{words[words.index('--count') + 1]}")
            shutil.copytree(source, words[words.index("--out") + 1])
        else:
            with pytest.raises(SystemExit, match="0"):
                run(words)

    arms = ("rendered", "pcc")
    outcomes = experiment.run_experiment(tmp_path, size, arms, carry_out)
    assert done == ["train", "evaluate", "generate", "train", "evaluate"]
    assert outcomes[0].relative == 1.0
    assert outcomes[1].mean_iou == outcomes[0].mean_iou  # the same images, masks and seed
    table = (tmp_path / "experiment.md").read_text()
    assert "| pcc |" in table
    assert (tmp_path / "experiment.png").read_bytes().startswith(b"\x89PNG")
    assert experiment.run_experiment(tmp_path, size, arms, carry_out) == outcomes
    assert len(done) == 5
    with pytest.raises(DatasetError, match="another size"):
        experiment.run_experiment(tmp_path, experiment.QUICK, arms, carry_out)


def test_its_plan_is_commands_to_be_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["toybox", "--out", str(tmp_path), "--quick", "--arms", "pcc", "--plan"]
    with pytest.raises(SystemExit) as ended:
        run(words, commands=experiment.app, name="lab.experiment")
    assert ended.value.code == 0
    said = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert said == [["segmint", "generate"], ["segmint", "train"], ["segmint", "evaluate"]]
