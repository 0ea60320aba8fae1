"""The published method's own captures (method.md, reference data), reproduced through the ordinary loader."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import CaptureRequest, FeatureRequest, MapRequest
from segmint.backbone import diffusion
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.family import select
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, SamplingSettings

FIXTURES = ("a_pndm4_g7.5_256", "a_ddim4_g7.5_256", "a_pndm4_g1_256", "b_pndm4_g7.5_256")
PHRASES = ("dog", "pot plant", "sofa")
Drawn = tuple[Generation, dict[str, np.ndarray], dict[str, Any]]


def rule_weights(module: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The rule of `weights_rule.json`."""
    name = name.removeprefix("text_model.")
    if len(shape) == 1:
        return np.full(shape, float(name.endswith("weight")), np.float32)
    raw = np.random.Philox(key=zlib.crc32(f"{module}.{name}".encode())).random_raw(int(np.prod(shape)))
    unit = (raw >> np.uint64(40)).astype(np.float32) / np.float32(2**24) * np.float32(2) - np.float32(1)
    scale = np.float32(1 / np.sqrt(np.prod(shape[1:])))
    if "embedding.weight" in name:
        scale = np.float32(0.035)
    values = unit * scale
    if module == "unet" and name.endswith(("to_q.weight", "to_k.weight")):
        values = values * np.float32(3)
    return values.reshape(shape)


def build_by_rule(source: Path, target: Path) -> Path:
    """The pipeline folder of `tiny_sd2_b`, its weights filled in."""
    parts = {
        "unet": UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(source / "unet")),
        "vae": AutoencoderKL.from_config(AutoencoderKL.load_config(source / "vae")),
        "text_encoder": CLIPTextModel(CLIPTextConfig.from_pretrained(source / "text_encoder")),
    }
    for module, part in parts.items():
        with torch.no_grad():
            for name, parameter in part.named_parameters():
                parameter.copy_(torch.from_numpy(rule_weights(module, name, tuple(parameter.shape))))
    pipe = StableDiffusionPipeline(
        **parts,
        tokenizer=CLIPTokenizer.from_pretrained(source / "tokenizer"),
        scheduler=PNDMScheduler.from_pretrained(source / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(target)
    return target


@pytest.fixture(scope="module")
def folders(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    built = build_by_rule(reference / "tiny_sd2_b", tmp_path_factory.mktemp("tiny_sd2_b"))
    return {"a": reference / "tiny_sd2_a", "b": built}


@pytest.fixture(scope="module", params=FIXTURES)
def drawn(request: pytest.FixtureRequest, reference: Path, folders: dict[str, Path]) -> Drawn:
    name: str = request.param
    golden = dict(np.load(reference / "hooks" / f"{name}.npz"))
    expected = json.loads((reference / "hooks" / "expected.json").read_text())[name]
    scheduler = "default" if expected["scheduler"] == "pndm" else expected["scheduler"]
    backbone = load(ModelSettings(id=str(folders[name[0]]), scheduler=scheduler), "cpu")
    sampling = SamplingSettings(
        steps=expected["steps"], guidance=expected["guidance"], height_px=256, width_px=256
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffusion, "draw_noise", lambda *_: torch.from_numpy(golden["latents"]))
        (outcome,) = backbone.generate([_spec(expected["prompt"])], sampling, CaptureRequest())
    assert isinstance(outcome, Generation)
    return outcome, golden, {**expected, "backbone": backbone}


def _spec(prompt: str) -> PromptSpec:
    return PromptSpec(
        item_id="reference",
        index=0,
        prompt=prompt,
        classes=PHRASES,
        label_ids=(1, 2, 3),
        phrases=tuple((phrase,) for phrase in PHRASES),
        seed=0,
    )


def test_image_is_within_one_grey_level(drawn: Drawn) -> None:
    item, golden, _ = drawn
    assert np.abs(item.image.astype(int) - golden["image"]).max() <= 1


def test_ovam_maps(drawn: Drawn) -> None:
    item, golden, _ = drawn
    maps = item.maps["classes"]
    assert maps.tokens == ("<SoT>", "dog", "pot", "plant", "sofa", "<EoT>")
    assert maps.phrases == PHRASES
    assert maps.phrase_tokens == ((1,), (2, 3), (4,))
    np.testing.assert_allclose(maps.values, golden["ovam_latent"], rtol=1e-4)


def test_token_ids_and_layers(drawn: Drawn) -> None:
    item, golden, expected = drawn
    backbone = expected["backbone"]
    assert isinstance(backbone, DiffusersBackbone)
    assert backbone.pipe.tokenizer(expected["ovam_text"]).input_ids == expected["ovam_token_ids"]
    cross = [layer.name for layer in backbone.layers if layer.kind == "cross" and "mid" not in layer.name]
    assert {_published(name) for name in cross} == set(expected["ovam_blocks"])
    assert [layer.name for layer in select(backbone.layers, "cross", MapRequest())] == cross
    assert [_published(head.layer) for head in item.heads] == [
        key.removeprefix("pca/") for key in golden if key.startswith("pca/")
    ]


def _published(name: str) -> str:
    """Their name of a layer: blocks and modules numbered from 1."""
    block, at, _, place, _, depth, kind = name.split(".")
    side = block.removesuffix("_blocks")
    return f"{side}-{int(at) + 1}-attentions-{int(place) + 1}-transformer-{int(depth) + 1}-{kind}"


def test_self_attention_features(drawn: Drawn) -> None:
    item, golden, expected = drawn
    assert {head.values.shape[0] for head in item.heads} == {expected["halves_in_features"]}
    stored = [golden[key] for key in golden if key.startswith("self_attn/")]
    for head, values in zip(item.heads, stored, strict=False):
        np.testing.assert_allclose(head.values.reshape(values.shape), values, atol=5e-5)


def test_pca_columns(drawn: Drawn) -> None:
    """With a PCA of this test's own, so that no fault of the masks hides one of the capture."""
    item, golden, _ = drawn
    for head in item.heads:
        columns = golden[f"pca/{_published(head.layer)}"]
        ours = np.concatenate([_pca(each) for half in head.values for each in half], axis=1)
        np.testing.assert_allclose(ours, columns, atol=1e-4 * np.abs(columns).max())


def _pca(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(0)
    loadings = np.linalg.svd(centred.astype(np.float64), full_matrices=False)[2][:3]
    loadings *= np.sign(loadings[np.arange(3), np.abs(loadings).argmax(1)])[:, None]
    return centred @ loadings.T


def test_one_half_is_that_half_of_both(folders: dict[str, Path]) -> None:
    backbone = load(ModelSettings(id=str(folders["a"])), "cpu")
    sampling = SamplingSettings(steps=1, height_px=64, width_px=64)
    items = {}
    for half in ("both", "unconditional", "conditional"):
        request = CaptureRequest(features=FeatureRequest(half=half), maps=())  # type: ignore[arg-type]
        (items[half],) = backbone.generate([_spec("a dog")], sampling, request)
    for both, first, second in zip(*(items[half].heads for half in items), strict=True):  # type: ignore[union-attr]
        np.testing.assert_array_equal(both.values[:1], first.values)
        np.testing.assert_array_equal(both.values[1:], second.values)
