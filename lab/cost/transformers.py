"""What capture costs in a diffusion transformer of full width: a few blocks with random weights, one call.

The tokens are those of 1024 px, unless told otherwise. Of so few blocks more are read than of the true
models, so that the ratio errs on the dear side; what a whole model holds is counted by its own blocks.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel
from torch import Tensor

from segmint.attention import FeatureRequest, MapRequest
from segmint.backbone.capture import Capture, capturing
from segmint.backbone.families.flux import FluxFamily
from segmint.backbone.families.sd3 import SD3Family
from segmint.backbone.family import AttentionLayer, select
from segmint.backbone.taps import FeatureTap, MapTap, TextBatch
from segmint.backbone.text import Text

PHRASES = ("background", "boat", "tree", "pot plant")
TOKENS = (1, 1, 1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCost:
    """Seconds of one call of the network, plain and read, medians over turns, and what reading holds."""

    shape: str
    tokens: int
    plain_s: float
    read_s: float
    ratio: float
    held_mb: float
    equal: bool
    """Whether the network's output is the same to the bit."""


def measure(shape: str, *, side: int = 64, turns: int = 3, dtype: torch.dtype = torch.float32) -> CallCost:
    """Plain and read calls by turns, after one that only warms up.

    Args:
        shape: a key of SHAPES.
        side: of the grid of image tokens; 64 is 1024 px.
        turns: how often each is measured.
        dtype: of weights and activations.
    """
    torch.manual_seed(0)
    net, layers, inputs, width = SHAPES[shape](side, dtype)
    capture = _capture(layers, side, width, dtype)
    spent: dict[str, list[float]] = {"plain": [], "read": []}
    equal = True
    with torch.inference_mode():
        for _ in range(turns + 1):
            plain, seconds = _timed(lambda: net(**inputs))
            spent["plain"].append(seconds)
            with capturing(net, capture):
                read, seconds = _timed(lambda: net(**inputs))
            spent["read"].append(seconds)
            equal = equal and torch.equal(plain, read)
    plain_s, read_s = (median(each[1:]) for each in spent.values())
    ratios = [read / plain for plain, read in zip(spent["plain"][1:], spent["read"][1:], strict=True)]
    return CallCost(
        shape=shape,
        tokens=side * side,
        plain_s=plain_s,
        read_s=read_s,
        ratio=median(ratios),
        held_mb=capture.held_bytes() / 1e6,
        equal=equal,
    )


def _timed(call: Callable[[], Any]) -> tuple[Tensor, float]:
    start = time.process_time()
    found = call()
    return found.sample, time.process_time() - start


def _capture(layers: tuple[AttentionLayer, ...], side: int, width: int, dtype: torch.dtype) -> Capture:
    """Features of the decoder's blocks, and class phrases sent along to them, as `segmint` reads them."""
    pieces = tuple((phrase, tuple(range(many))) for phrase, many in zip(PHRASES, TOKENS, strict=True))
    text = Text(
        text=", ".join(PHRASES[1:]),
        tokens=(*PHRASES, "<EoT>"),
        phrases=PHRASES[1:],
        phrase_rows=((1,), (2,), (3,)),
        length=sum(TOKENS),
        pieces=pieces,
    )
    texts = TextBatch(
        texts=(text,),
        owner=(0,),
        embeds=torch.randn(1, sum(TOKENS), width, dtype=dtype),
        real=torch.ones(1, sum(TOKENS), dtype=torch.bool),
    )
    features, maps = FeatureRequest(), MapRequest(parts=("decoder",))
    return Capture(
        layers=layers,
        items=1,
        latent=(2 * side, 2 * side),
        maps=[MapTap(request=maps, layers=select(layers, "cross", maps), texts=texts, items=1)],
        features=FeatureTap(request=features, layers=select(layers, "self", features), items=1),
    )


Built = tuple[Any, tuple[AttentionLayer, ...], Mapping[str, Any], int]


def _flux(side: int, dtype: torch.dtype) -> Built:
    """FLUX.1-schnell: two double blocks and one single."""
    net = FluxTransformer2DModel(num_layers=2, num_single_layers=1).to(dtype).eval()
    cells, tokens = side * side, 256
    ids = torch.zeros(cells, 3)
    ids[:, 1], ids[:, 2] = torch.arange(cells) // side, torch.arange(cells) % side
    inputs = {
        "hidden_states": torch.randn(1, cells, 64, dtype=dtype),
        "encoder_hidden_states": torch.randn(1, tokens, 4096, dtype=dtype),
        "pooled_projections": torch.randn(1, 768, dtype=dtype),
        "timestep": torch.full((1,), 0.5, dtype=dtype),
        "img_ids": ids,
        "txt_ids": torch.zeros(tokens, 3),
    }
    return net, FluxFamily().layers(SimpleNamespace(transformer=net)), inputs, 4096


def _sd35(side: int, dtype: torch.dtype) -> Built:
    """Stable Diffusion 3.5 medium: four blocks, two of them with a second attention."""
    net = SD3Transformer2DModel(
        sample_size=128,
        num_layers=4,
        attention_head_dim=64,
        num_attention_heads=24,
        caption_projection_dim=1536,
        pos_embed_max_size=384,
        dual_attention_layers=(0, 1),
        qk_norm="rms_norm",
    )
    inputs = {
        "hidden_states": torch.randn(1, 16, 2 * side, 2 * side, dtype=dtype),
        "encoder_hidden_states": torch.randn(1, 333, 4096, dtype=dtype),
        "pooled_projections": torch.randn(1, 2048, dtype=dtype),
        "timestep": torch.full((1,), 500.0, dtype=dtype),
    }
    net = net.to(dtype).eval()
    return net, SD3Family().layers(SimpleNamespace(transformer=net)), inputs, 4096


SHAPES: dict[str, Callable[[int, torch.dtype], Built]] = {"flux1-schnell": _flux, "sd3.5-medium": _sd35}
"""Networks of full width and few blocks, by name."""
