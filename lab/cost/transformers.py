"""What capture and masks cost in a diffusion transformer of full width: a few blocks with random weights.

One call is measured, plain and read; the tokens are those of 1024 px, unless told otherwise. Of so few blocks
more are read than of the true models, so that the ratio errs on the dear side. An image is composed of it:

    a call at true depth  what lies beside the blocks, and each kind of block times the true number of it
    reading               what reading cost, times true blocks over built ones that phrases pass; enough
    masks                 measured on a made-up scene with the features of the true blocks
    evidence              a plain call for each class, for nothing, and for each noise level

The VAE and the text encoders are left out on both sides, so that this ratio errs on the dear side too.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel
from torch import Tensor

from lab.cost.methods import generation_of
from lab.cost.synthetic_scene import Shape, scene
from segmint.attention import FeatureRequest, MapRequest
from segmint.backbone.capture import Capture, capturing
from segmint.backbone.families.flux import FluxFamily
from segmint.backbone.families.sd3 import SD3Family
from segmint.backbone.family import AttentionLayer, select
from segmint.backbone.taps import FeatureTap, MapTap, TextBatch
from segmint.backbone.text import Text
from segmint.masks.features import summarise
from segmint.masks.methods import METHODS
from segmint.masks.settings import profile

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
    image: "ImageCost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCost:
    """CPU seconds of an image of the true model at its usual steps, and what capture and masks add."""

    call_s: float
    calls: int
    plain_s: float
    reading_s: float
    masks_s: float
    masks_with_evidence_s: float
    evidence_s: float
    ratio: float
    """Capture and masks, without denoising evidence."""
    ratio_with_evidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network of full width and few blocks, and what the true one has."""

    build: Callable[[int, torch.dtype], "Built"]
    blocks: Mapping[str, int]
    """How many of each kind of block."""
    passed: float
    """True blocks that phrases pass, over built ones."""
    read: int
    """Blocks whose features are kept, of `heads` heads of `width` numbers, in each of `halves`."""
    heads: int
    width: int
    halves: int
    steps: int


def measure(shape: str, *, side: int = 64, turns: int = 3, dtype: torch.dtype = torch.float32) -> CallCost:
    """Plain and read calls by turns, after one that only warms up.

    Args:
        shape: a key of MODELS.
        side: of the grid of image tokens; 64 is 1024 px.
        turns: how often each is measured.
        dtype: of weights and activations.
    """
    torch.manual_seed(0)
    model = MODELS[shape]
    net, layers, inputs, width = model.build(side, dtype)
    capture = _capture(layers, side, width, dtype)
    spent: dict[str, list[float]] = {"plain": [], "read": []}
    equal, within = True, BlockTimes()
    with torch.inference_mode():
        for turn in range(turns + 1):
            with within.listening(net) if turn else nullcontext():
                plain, seconds = _timed(lambda: net(**inputs))
            spent["plain"].append(seconds)
            with capturing(net, capture):
                read, seconds = _timed(lambda: net(**inputs))
            spent["read"].append(seconds)
            equal = equal and torch.equal(plain, read)
    plain_s, read_s = (median(each[1:]) for each in spent.values())
    beside_s = plain_s - sum(within.seconds.values()) / turns
    call_s = beside_s + sum(
        within.seconds[kind] / within.calls[kind] * many for kind, many in model.blocks.items()
    )
    ratios = [read / plain for plain, read in zip(spent["plain"][1:], spent["read"][1:], strict=True)]
    return CallCost(
        shape=shape,
        tokens=side * side,
        plain_s=plain_s,
        read_s=read_s,
        ratio=median(ratios),
        held_mb=capture.held_bytes() / 1e6,
        equal=equal,
        image=_image(model, side, call_s, max(0.0, read_s - plain_s)),
    )


def _image(model: Model, side: int, call_s: float, reading_s: float) -> ImageCost:
    calls = model.steps * model.halves
    plain_s, reading_s = calls * call_s, calls * reading_s * model.passed
    alone_s, informed_s = (_masks_s(model, side, evidence=each) for each in (False, True))
    evidence_s = call_s * len(PHRASES) * len(profile("segmint").denoising.levels)  # nothing, for background
    return ImageCost(
        call_s=call_s,
        calls=calls,
        plain_s=plain_s,
        reading_s=reading_s,
        masks_s=alone_s,
        masks_with_evidence_s=informed_s,
        evidence_s=evidence_s,
        ratio=1 + (reading_s + alone_s) / plain_s,
        ratio_with_evidence=1 + (reading_s + informed_s + evidence_s) / plain_s,
    )


def _masks_s(model: Model, side: int, *, evidence: bool) -> float:
    """Of the default method, on a made-up scene, after one that only warms up."""
    layers = ((side, model.heads, model.width),) * model.read
    raw = scene(Shape(name="", image_px=16 * side, layers=layers), 0, halves=model.halves)
    generation, classes = generation_of(raw, len(PHRASES) - 1)
    rules = profile("segmint").merged({"denoising.use": evidence})
    generation = generation if evidence else replace(generation, denoising=None)
    for _ in range(2):
        start = time.process_time()
        METHODS["segmint"](summarise(generation, rules), generation.image, classes, rules)
        spent = time.process_time() - start
    return spent


class BlockTimes:
    """CPU seconds and calls of a network's blocks, by kind."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.begun = 0.0

    @contextmanager
    def listening(self, net: Any) -> Iterator[None]:
        """Count every call made inside the block."""

        def begin(*_: Any) -> None:
            self.begun = time.process_time()

        def end(kind: str) -> None:
            self.seconds[kind] += time.process_time() - self.begun
            self.calls[kind] += 1

        with ExitStack() as hooks:
            for block in (*net.transformer_blocks, *getattr(net, "single_transformer_blocks", ())):
                kind = type(block).__name__ + (" twice" if getattr(block, "attn2", None) is not None else "")
                hooks.enter_context(block.register_forward_pre_hook(begin))
                hooks.enter_context(block.register_forward_hook(lambda *_, kind=kind: end(kind)))
            yield


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


MODELS: dict[str, Model] = {
    "flux1-schnell": Model(
        build=_flux,
        blocks={"FluxTransformerBlock": 19, "FluxSingleTransformerBlock": 38},
        passed=19 / 2,
        read=7,
        heads=24,
        width=128,
        halves=1,
        steps=4,
    ),
    "sd3.5-medium": Model(
        build=_sd35,
        blocks={"JointTransformerBlock twice": 13, "JointTransformerBlock": 11},
        passed=24 / 4,
        read=5,
        heads=24,
        width=64,
        halves=2,
        steps=40,
    ),
}
"""By name; steps are those of `segmint models`."""
