"""The yard's model by the loader of every other, on an untrained pipeline of the shipped one's shape."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lab.toybox import vae
from lab.toybox.plan import VaePlan
from lab.yard import export, tokenizer, transformer
from lab.yard.plan import TransformerPlan
from segmint.artifacts import Generation
from segmint.attention import CaptureRequest, MapRequest
from segmint.backbone import known, loading
from segmint.backbone.known import known_model, known_models
from segmint.backbone.settings import ModelSettings, SamplingSettings
from segmint.cli import main
from segmint.errors import ModelError
from segmint.toybox import gate, oracle
from segmint.toybox.gate import GateSettings
from segmint.toybox.worlds import WORLDS

TINY = TransformerPlan(
    layers=2, heads=2, head_width=16, text_widths=(32, 32), text_layers=(2, 2), pooled_width=4
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    words = tokenizer.build(TINY.merges)
    net = transformer.build(TINY, latent_channels=4, side=32)
    with torch.no_grad():  # what starts at zero would say nothing
        for p in net.parameters():
            p.add_(0.05 * torch.randn_like(p))
    folder = tmp_path_factory.mktemp("yard") / "weights"
    encoders = transformer.build_encoders(TINY, words)
    autoencoder = vae.build(VaePlan(channels=(16, 16, 16)))
    autoencoder.register_to_config(shift_factor=0.0)
    export.save(folder, autoencoder, net, encoders, words=words, plan=TINY)
    return folder


def _ship(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    real = known.shipped_folder
    for module in (known, loading):
        monkeypatch.setattr(module, "shipped_folder", lambda name: folder if name == "yard" else real(name))


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> Path:
    _ship(monkeypatch, tiny)
    return tiny


def _run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main.run([str(each) for each in words])
    return int(ended.value.code or 0)


def test_it_is_a_model_only_where_its_weights_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _ship(monkeypatch, tmp_path)
    assert known_model("yard") is None
    assert [each.id for each in known_models() if each.shipped] == ["toybox"]
    with pytest.raises(ModelError, match="yard: its weights do not come with this version of segmint yet"):
        loading.load(ModelSettings(id="yard"), "cpu")


def test_it_is_listed_as_shipped(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("models", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["id"], row["here"]) for row in rows if row["shipped"]] == [("toybox", True), ("yard", True)]


def test_it_draws_by_name_in_its_own_words(shipped: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("generate", "--model", "yard", "--classes", "yard: ball, duck", "--count", 1, "--steps", 2)
    assert _run(*words, "--out", out, "--device", "cpu", "--quiet") == 0
    recipe = (out / "recipe.toml").read_text()
    assert 'templates = "yard"' in recipe
    header = json.loads((out / "run.json").read_text())
    assert header["model_licence"] == "Apache-2.0"
    assert header["revision"].startswith("sha256:")
    assert len(list((out / "SegmentationClass").iterdir())) == 1


def test_rows_of_the_silent_encoder_are_no_words(shipped: Path) -> None:
    backbone = loading.load(ModelSettings(id="yard"), "cpu")
    embedding = backbone.family.encode(backbone.pipe, "a parasol and two ducks", negative=False)
    assert embedding.tokens.shape[1] == tokenizer.MAX_TOKENS + transformer.ZERO_ROWS
    assert embedding.tokens[:, tokenizer.MAX_TOKENS :].abs().max() == 0
    [spec] = gate.plan_samples(GateSettings(world="yard", samples=1))
    asked = CaptureRequest(features=None, maps=(MapRequest(name="prompt", text="prompt"),))
    [drawn] = backbone.generate([spec], SamplingSettings(steps=2), asked)
    assert isinstance(drawn, Generation)
    maps = drawn.maps["prompt"]
    told = backbone.pipe.tokenizer(spec.prompt).input_ids
    assert len(maps.tokens) == len(maps.values) == len(told)
    named = {"".join(maps.tokens[row] for row in rows) for rows in maps.phrase_tokens if rows}
    assert named <= {phrase.replace(" ", "") for own in spec.phrases for phrase in own}
    # Zero rows take their part of the attention, so that words do not share all of it.
    assert 0 < float(maps.values.sum(0).max()) < 1


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge of the yard's labels that sees background everywhere."""
    judge = oracle.Oracle(1 + len(WORLDS["yard"].classes)).eval()
    with torch.no_grad():
        judge.scores.weight.zero_()
        judge.scores.bias.copy_(torch.eye(len(judge.scores.bias))[0])
    monkeypatch.setattr(oracle, "_shipped", lambda world: judge)


@pytest.mark.usefixtures("blind")
def test_the_gate_judges_it(shipped: Path) -> None:
    backbone = loading.load(ModelSettings(id="yard"), "cpu")
    settings = GateSettings(world="yard", samples=2, renders=2, steps=2, batch_size=2)
    report, drawn = gate.run_gate(backbone, settings)
    assert len(drawn) == report.samples == 2
    assert (report.presence, report.unnamed) == (0, 0)
    assert report.failures() == ["presence"]
    assert report.steps == 2
    assert report.guidance == 4.0
    assert np.isfinite([report.class_auc, report.background_auc]).all()
