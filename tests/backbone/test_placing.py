"""Capture under offloading and quantised weights, as far as a CPU can; the rest needs a GPU."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import (
    AffinityRequest,
    AgreementRequest,
    CaptureRequest,
    DenoisingRequest,
    MapRequest,
    Reading,
)
from segmint.backbone import placing
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, SamplingSettings
from segmint.errors import MissingDependency
from segmint.masks.methods import prompt_maps

FAMILIES = ("sd2", "pixart", "sd3", "flux", "qwenimage", "zimage", "flux2-klein", "sana", "lumina2")
ALL = CaptureRequest(
    maps=(MapRequest(), prompt_maps(Reading())),
    affinity=AffinityRequest(),
    agreements=(AgreementRequest(heads="projected"),),
)
SMALL = SamplingSettings(steps=2, height_px=64, width_px=64)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
Find = Callable[[str], Path]
Make = Callable[..., PromptSpec]


def drawn(backbone: DiffusersBackbone, spec: PromptSpec, asked: CaptureRequest = ALL) -> Generation:
    (item,) = backbone.generate([spec], SMALL, asked)
    assert isinstance(item, Generation)
    return item


def same(one: Generation, other: Generation) -> None:
    """But for the last bits: kernels round by where in memory weights begin."""
    assert np.abs(one.image.astype(int) - other.image).max() <= 1
    for name, maps in one.maps.items():
        np.testing.assert_allclose(maps.values, other.maps[name].values, rtol=1e-4, atol=1e-5)
    for head, twin in zip(one.heads, other.heads, strict=True):
        np.testing.assert_allclose(head.values, twin.values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_that_wait_are_read_as_if_they_were_there(
    family: str, family_folder: Find, make_spec: Make
) -> None:
    settings = ModelSettings(id=str(family_folder(family)))
    plain = drawn(load(settings, "cpu"), make_spec(0))
    # by layers only on a GPU: accelerate loses the weights' class when nothing moves to another device
    backbone = load(settings.model_copy(update={"offload": "model"}), "cpu")
    same(drawn(backbone, make_spec(0)), plain)


@pytest.mark.parametrize("family", ["sd2", "flux", "lumina2"])
def test_text_encoders_are_gone_while_the_network_runs(
    family: str, family_folder: Find, make_spec: Make
) -> None:
    settings = ModelSettings(id=str(family_folder(family)))
    asked = replace(ALL, denoising=DenoisingRequest(levels=(500,)))
    plain = drawn(load(settings, "cpu"), make_spec(0), asked)
    backbone = load(settings.model_copy(update={"offload": "text"}), "cpu")
    seen: list[str] = []
    leave, backbone.texts_leave = backbone.texts_leave, lambda: seen.append("gone")
    assert leave is not None
    for name, part in backbone.pipe.components.items():
        if name.startswith("text_encoder") or part is backbone.network:
            part.register_forward_pre_hook(lambda *_, name=name: seen.append(name))
    same(drawn(backbone, make_spec(0), asked), plain)
    leave()
    place = seen.index("gone")
    assert not any(each.startswith("text") for each in seen[place:])
    assert all(each.startswith("text") for each in seen[:place])


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("way", ["text", "model", "sequential"])
def test_offloading_on_a_gpu(family: str, way: str, family_folder: Find, make_spec: Make) -> None:
    settings = ModelSettings(id=str(family_folder(family)), dtype="float32")
    plain = drawn(load(settings, "cuda"), make_spec(0))
    waiting = drawn(load(settings.model_copy(update={"offload": way}), "cuda"), make_spec(0))
    assert np.abs(waiting.image.astype(int) - plain.image).max() <= 1


@pytest.mark.skipif(find_spec("torchao") is None, reason="the package torchao is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("quantize", ["int8", "fp8"])
@pytest.mark.parametrize("family", ["sd2", "flux", "zimage"])
def test_capture_works_on_quantised_weights(
    family: str, quantize: str, family_folder: Find, make_spec: Make
) -> None:
    settings = ModelSettings(id=str(family_folder(family)))
    plain = drawn(load(settings, "cpu"), make_spec(0))
    other = drawn(load(settings.model_copy(update={"quantize": quantize}), "cpu"), make_spec(0))
    assert not np.array_equal(plain.heads[0].values, other.heads[0].values)
    assert all(np.isfinite(maps.values).all() for maps in other.maps.values())


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")
def test_four_bits_on_a_gpu(family_folder: Find, make_spec: Make) -> None:
    item = drawn(load(ModelSettings(id=str(family_folder("flux")), quantize="nf4"), "cuda"), make_spec(0))
    assert all(np.isfinite(maps.values).all() for maps in item.maps.values())


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "find_spec", lambda _: None)
    with pytest.raises(
        MissingDependency, match=r"--quantize nf4 needs the package `bitsandbytes`; install .*\[quantize\]"
    ):
        placing.stored_as("transformer", "diffusers", "nf4", torch.float16)
    assert placing.stored_as("vae", "diffusers", "nf4", torch.float16) is None
