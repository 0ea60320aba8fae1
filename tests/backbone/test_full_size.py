"""Models at full size with random weights: the layers, grids and memory that the small ones stand for."""

from collections.abc import Callable

import pytest
from tiny_models import EVERYTHING

from lab.cost.random_models import random_backbone
from segmint.artifacts import Generation, PromptSpec
from segmint.attention import CaptureRequest
from segmint.backbone.settings import ObserveSettings, SamplingSettings

Make = Callable[..., PromptSpec]
pytestmark = pytest.mark.slow


def test_stable_diffusion_21(make_spec: Make) -> None:
    backbone = random_backbone("sd21-random", dtype="bfloat16")
    (item,) = backbone.generate([make_spec()], SamplingSettings(steps=1), EVERYTHING)
    assert isinstance(item, Generation)
    assert (backbone.info.family, item.image.shape) == ("sd2", (512, 512, 3))
    shapes = [(head.grid, head.values.shape) for head in item.heads]
    assert shapes == [
        *[((16, 16), (2, 20, 256, 64))] * 3,
        *[((32, 32), (2, 10, 1024, 64))] * 3,
        *[((64, 64), (2, 5, 4096, 64))] * 3,
    ]  # 210 heads: 630 columns
    assert {name: maps.values.shape[1:] for name, maps in item.maps.items()} == {
        "classes": (64, 64),
        "prompt": (64, 64),
        "classes@1/4": (16, 16),
    }
    assert item.affinity is not None
    assert item.affinity.grid == (32, 32)
    captured = sum(head.values.nbytes for head in item.heads) + item.maps["classes"].values.nbytes
    assert captured <= 150e6
    (seen,) = backbone.observe([item.image], [make_spec()], ObserveSettings(), CaptureRequest())
    assert isinstance(seen, Generation)
    assert [head.values.shape for head in seen.heads] == [shape for _, shape in shapes]


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # schedulers of diffusers with numpy 2
def test_sdxl_that_is_not_square(make_spec: Make) -> None:
    backbone = random_backbone("sdxl-random", dtype="bfloat16")
    sampling = SamplingSettings(steps=1, height_px=512, width_px=768, guidance=1.0)
    (item,) = backbone.generate([make_spec()], sampling, CaptureRequest())
    assert isinstance(item, Generation)
    assert (backbone.info.family, item.image.shape) == ("sdxl", (512, 768, 3))
    assert backbone.info.default_guidance == 5.0
    grids = [head.grid for head in item.heads]
    assert grids == [(16, 24)] * 30 + [(32, 48)] * 6
    assert item.maps["classes"].values.shape[1:] == (32, 48)


def test_stable_diffusion_35_medium(make_spec: Make) -> None:
    """At 512 px, which a quarter of an hour of one core draws; every block is of full width."""
    backbone = random_backbone("sd35-medium-random", dtype="bfloat16")
    sampling = SamplingSettings(steps=1, height_px=512, width_px=512, guidance=1.0)
    (item,) = backbone.generate([make_spec()], sampling, CaptureRequest())
    assert isinstance(item, Generation)
    assert (backbone.info.family, item.image.shape) == ("sd3.5", (512, 512, 3))
    assert [head.layer for head in item.heads] == [
        f"transformer_blocks.{place}.attn" for place in range(7, 12)
    ]
    assert {head.values.shape for head in item.heads} == {(1, 24, 1024, 64)}
    assert item.maps["classes"].values.shape[1:] == (32, 32)
    assert sum(each.kind == "self" for each in backbone.layers) == 13
