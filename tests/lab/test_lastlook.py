"""The last look, rehearsed: its commands, that nothing is done twice, its table, and the settings' check."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lab.experiment import Size
from lab.lastlook import look as looking
from lab.lastlook import table
from lab.lastlook.__main__ import app
from lab.lastlook.frozen import check_frozen, settings_at, settings_of
from lab.lastlook.look import Look
from segmint.backbone.fake import FakeBackbone
from segmint.cli import datasets
from segmint.cli.main import run
from segmint.errors import ConfigError
from segmint.toybox.worlds import WORLDS

ROOT = Path(__file__).parents[2]
TINY = Look(
    split="val",
    seeds=(0,),
    count=1,
    generated=1,
    methods="segmint, pcc",
    trainings=(1,),
    size=Size(images=2, val_images=2, test_images=2, iterations=1, batch_size=2),
)


def test_a_look_goes_through_both_worlds_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segmint.backbone.loading.load", lambda *_, **__: FakeBackbone())
    judged = lambda world, image: np.zeros(image.shape[:2], np.uint8)  # noqa: E731 - a judge in one line
    monkeypatch.setattr("segmint.benchmark.samples.judge", judged)
    done: list[str] = []

    def carry_out(words: Sequence[str]) -> None:
        done.append(words[0])
        if words[0] == "generate":  # a renderer in the place of the model
            world, out = words[words.index("--model") + 1], words[words.index("--out") + 1]
            if not Path(out).exists():
                shutil.copytree(datasets.rendered(f"{world}:train@2"), out)
            return
        with pytest.raises(SystemExit, match="0"):
            run(words)

    frozen = {"commit": "abc", "segmint": {}}
    learnt = looking.take(tmp_path, TINY, frozen, carry_out)
    assert done[:2] == ["benchmark"] * 2
    assert [len(own) for own in learnt.values()] == [1, 1]
    commands = len(done)
    assert looking.take(tmp_path, TINY, frozen, carry_out) == learnt
    assert len(done) == commands
    lines = table.write(tmp_path, TINY, learnt, commit="abc").splitlines()
    assert lines[0].startswith("Settings of commit abc; toybox val, yard val; seeds 0.")
    assert lines[2] == "| method | toybox label | toybox generate | yard label | yard generate |"
    assert [line.split(" | ")[0] for line in lines[4:7]] == [
        "| segmint",
        "| pcc",
        "| error, of the best other's",
    ]
    assert sum("of rendered 1.000" in line for line in lines) >= 2
    rows = json.loads((tmp_path / "lastlook.json").read_text())["rows"]
    assert len(rows) == 2 * 2 * 2
    with pytest.raises(ConfigError, match="another look"):
        looking.take(tmp_path, TINY, {"commit": "abd"}, carry_out)


def test_its_plan_reads_the_splits_that_were_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--out", str(tmp_path), "--frozen", "HEAD", "--plan", "--seeds", "4", "--cases", "grey"]
    with pytest.raises(SystemExit) as ended:
        run(words, commands=app, name="lab.lastlook")
    assert ended.value.code == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    told = [
        (line[line.index("--world") + 1], line[line.index("--split") + 1], "--case" in line) for line in said
    ]
    assert told == [(name, world.last_look, case) for name, world in WORLDS.items() for case in (False, True)]
    assert {world.last_look for world in WORLDS.values()} == {"test", "reserve"}


def test_settings_are_those_of_the_commit() -> None:
    today = settings_of(ROOT / "src")
    assert {"segmint", "pcc", "recipe"} <= set(today)
    check_frozen(today, today)
    other = {**today, "pcc": {**today["pcc"], "method": "x"}}
    with pytest.raises(ConfigError, match="settings of 'pcc' are not those of the frozen commit"):
        check_frozen(today, other)
    with pytest.raises(ConfigError, match="no commit 'nothing'"):
        settings_at("nothing", root=ROOT)
    if (ROOT / ".git").exists():
        assert "segmint" in settings_at("HEAD", root=ROOT)
