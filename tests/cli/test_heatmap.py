"""`segmint heatmap` on the stand-in model."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from segmint.backbone import loading
from segmint.backbone.fake import FakeBackbone
from segmint.cli import heatmap
from segmint.cli.flags import with_options
from segmint.errors import SegmintError

app = typer.Typer()
app.command()(with_options(heatmap.heatmap))


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load", lambda *_: FakeBackbone())


def test_words_may_follow_each_other(tmp_path: Path) -> None:
    arrays = tmp_path / "maps.npz"
    prompt = "a boat and a tree at sea"
    words = ["--words", "boat", "tree", "--words", "sea,and"]
    done = CliRunner().invoke(
        app, [prompt, *words, "--out", str(tmp_path / "sea.png"), "--arrays", str(arrays), "--steps", "2"]
    )
    assert done.exit_code == 0, done.output
    assert "boat, sea, and, tree (DAAM)" in done.output
    assert (tmp_path / "sea.png").stat().st_size > 1000
    with np.load(arrays) as stored:
        assert stored["maps"].shape == (4, 16, 16)


def test_any_words_by_layer_and_existing_images(tmp_path: Path) -> None:
    out = str(tmp_path / "one.png")
    done = CliRunner().invoke(
        app, ["a boat", "--kind", "ovam", "--words", "sail", "--by", "layer,head", "--out", out]
    )
    assert done.exit_code == 0, done.output
    assert "sail (OVAM)" in done.output
    done = CliRunner().invoke(
        app, ["a boat", "--image", out, "--out", str(tmp_path / "two.png"), "--seed", "3"]
    )
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--words", "cat"], "not found"),
        (["--words", "boat,,tree"], "word 2 of 3 is empty"),
        (["--kind", "dream"], "expected daam, ovam or denoising"),
        (["--half", "left"], "expected unconditional"),
        (["--by", "colour"], "expected layer, step, head"),
        (["--image", "nothing.png"], "no such file"),
    ],
)
def test_bad_input_is_told(words: list[str], message: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["a boat and a tree", *words, "--out", str(tmp_path / "x.png")])
    assert isinstance(done.exception, SegmintError)
    assert message in str(done.exception)
