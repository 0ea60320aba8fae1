"""The seam: a made-up model of joint attention is found by role and read by the same engine."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segmint.artifacts import Grid
from segmint.attention import AffinityRequest, FeatureRequest, MapRequest
from segmint.backbone.capture import Capture, capturing
from segmint.backbone.families import FAMILIES, family_of
from segmint.backbone.family import AttentionLayer, Family, select
from segmint.backbone.taps import AffinityTap, FeatureTap, MapTap, TextBatch
from segmint.backbone.text import Text
from segmint.errors import ConfigError, ModelError

TOKENS, HEADS, WIDTH, GRID = 3, 2, 8, (2, 3)
CELLS = GRID[0] * GRID[1]


class Mixer(nn.Module):
    """Joint attention over [text, image], as no family of segmint's names it."""

    def __init__(self) -> None:
        super().__init__()
        self.ask, self.answer, self.tell = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.close = nn.Linear(WIDTH, WIDTH)

    def forward(self, joined: Tensor) -> Tensor:
        ask, answer, tell = (
            each(joined).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for each in (self.ask, self.answer, self.tell)
        )
        heads = nn.functional.scaled_dot_product_attention(ask, answer, tell)
        return self.close(heads.transpose(1, 2).flatten(2))


@dataclass(frozen=True, kw_only=True)
class MixerLayer:
    name: str
    module: Any
    part: str = "decoder"
    kind: str = "joint"
    level: int = 0
    linear: bool = False
    projection: Any = None
    known_for: tuple[str, ...] = ()
    heads: int = HEADS
    scale: float = (WIDTH / HEADS) ** -0.5

    def grid(self, latent: Grid) -> Grid:
        return latent

    def text_keys(self, embeds: Tensor) -> Tensor:
        return self.module.answer(embeds)

    def listen(self, what: str, hear: Any) -> Any:
        if what == "outputs":
            return self.module.close.register_forward_pre_hook(lambda _, inputs: hear(inputs[0][:, TOKENS:]))
        projection = {"queries": self.module.ask, "keys": self.module.answer}[what]
        return projection.register_forward_hook(lambda _, __, output: hear(output[:, TOKENS:]))


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(Mixer(), Mixer())


def layers_of(model: nn.Sequential) -> tuple[AttentionLayer, ...]:
    return tuple(MixerLayer(name=f"mixers.{place}", module=each) for place, each in enumerate(model))


@torch.inference_mode()
def test_joint_attention_is_read_by_the_same_engine(model: nn.Sequential) -> None:
    layers, text = layers_of(model), torch.randn(1, TOKENS, WIDTH)
    joined = torch.cat([text.expand(2, -1, -1), torch.randn(2, CELLS, WIDTH)], 1)
    words = Text(text="a", tokens=("<SoT>", "a", "<EoT>"), phrases=("a",), phrase_rows=((1,),))
    real = torch.ones(1, TOKENS, dtype=torch.bool)
    texts = TextBatch(texts=(words,), owner=(0,), embeds=text, real=real)
    maps, features, affinity = MapRequest(half="both"), FeatureRequest(), AffinityRequest()
    capture = Capture(layers=layers, items=1, latent=GRID)
    chosen = select(layers, "cross", maps)
    capture.maps.append(MapTap(request=maps, layers=chosen, texts=texts, items=1))
    capture.features = FeatureTap(request=features, layers=select(layers, "self", features), items=1)
    capture.affinity = AffinityTap(request=affinity, layers=select(layers, "self", affinity), items=1)
    plain = model(joined)
    with capturing(model, capture):
        assert torch.equal(model(joined), plain)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    [found], [heads], [near] = capture.token_maps(), capture.heads(), capture.affinities()
    # 2 halves, heads and layers: each share of the text sums to 1
    np.testing.assert_allclose(found["classes"].values.sum(0), 2 * 2 * 2, rtol=1e-5)
    assert [head.layer for head in heads] == ["mixers.0", "mixers.1"]
    assert heads[0].values.shape == (2, HEADS, CELLS, WIDTH // HEADS)
    assert near is not None
    np.testing.assert_allclose(near.values.sum(1), 1, rtol=1e-5)


def test_layers_are_found_by_role_or_by_the_familys_names(model: nn.Sequential) -> None:
    layers = layers_of(model)
    assert select(layers, "self", FeatureRequest(parts=("decoder",))) == layers
    assert select(layers, "cross", MapRequest(layers=("*.1",), downscale=4)) == layers[1:]
    with pytest.raises(ConfigError, match="no cross-attention layer matches the parts encoder"):
        select(layers, "cross", MapRequest(parts=("encoder",)))


def test_every_row_is_a_family_and_no_other_model_is_taken() -> None:
    assert all(isinstance(each, Family) for each in FAMILIES)
    assert family_of({"unet": ["diffusers", "UNet2DConditionModel"]}) is FAMILIES[0]
    for index in ({"_class_name": "MixerPipeline"}, {"unet": [None]}, {"unet": 3}):
        with pytest.raises(ModelError, match="is not understood; supported: Stable Diffusion"):
            family_of(index)
