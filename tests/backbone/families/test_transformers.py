"""Every family of transformers, on the reference's tiny models: one set of promises for all."""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_models import model

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import (
    NOTHING,
    AffinityRequest,
    AgreementRequest,
    CaptureRequest,
    FeatureRequest,
    MapRequest,
    Reading,
)
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.family import noise_shape
from segmint.backbone.settings import CaptureSettings, ObserveSettings, SamplingSettings
from segmint.errors import ConfigError, PromptError
from segmint.masks.evidence import ClassQuery
from segmint.masks.features import summarise
from segmint.masks.methods import METHODS, prompt_maps
from segmint.masks.settings import profile

Make = Callable[..., PromptSpec]
FAMILIES = ("pixart", "sd3", "flux", "qwenimage", "zimage", "flux2-klein", "sana", "lumina2")
# diffusers' own DPM-Solver, on numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WIDE = SamplingSettings(steps=2, height_px=96, width_px=128)
ALL = CaptureRequest(
    features=FeatureRequest(),
    maps=(MapRequest(), prompt_maps(Reading())),
    affinity=AffinityRequest(),
    guidance=True,
)


@pytest.fixture(params=FAMILIES)
def backbone(request: pytest.FixtureRequest, family_folder: Callable[[str], Path]) -> DiffusersBackbone:
    return model(family_folder(request.param))


def drawn(outcomes: list[object]) -> list[Generation]:
    assert all(isinstance(each, Generation) for each in outcomes)
    return outcomes  # type: ignore[return-value]


def grid_of(backbone: DiffusersBackbone) -> tuple[int, int]:
    """One image token stands for so many pixels as sides must be multiples of."""
    return 96 // backbone.info.size_multiple_px, 128 // backbone.info.size_multiple_px


def test_capture_changes_no_pixel_and_batches_hardly_any(
    backbone: DiffusersBackbone, make_spec: Make
) -> None:
    specs = [make_spec(0), make_spec(1, classes=("car", "sofa", "skyscraper"))]
    wanted = replace(ALL, agreements=(AgreementRequest(),))
    plain, read = (drawn(backbone.generate(specs, WIDE, each)) for each in (NOTHING, wanted))
    for one, other in zip(plain, read, strict=True):
        assert one.image.shape == (96, 128, 3)
        np.testing.assert_array_equal(one.image, other.image)
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in backbone.network.modules()
    )
    (alone,) = drawn(backbone.generate(specs[:1], WIDE, wanted))  # the shorter of two texts
    # matrix products round by the shape of their batch
    assert np.abs(alone.image.astype(int) - plain[0].image).max() <= 2
    for name, maps in alone.maps.items():
        np.testing.assert_allclose(read[0].maps[name].values, maps.values, rtol=1e-2, atol=1e-3)


def test_what_is_read_has_the_grids_shape(backbone: DiffusersBackbone, make_spec: Make) -> None:
    (item,) = drawn(backbone.generate([make_spec(0)], WIDE, ALL))
    halves = len(backbone.family.halves(backbone.pipe, backbone.info.default_guidance).names)
    assert item.heads
    for head in item.heads:
        assert head.values.shape[0] == halves
        assert head.grid == grid_of(backbone)
        assert head.values.shape[2] == prod(head.grid)
    assert item.affinity is not None
    np.testing.assert_allclose(item.affinity.values.sum(1), 1, rtol=1e-4)
    assert {name: maps.values.shape[1:] for name, maps in item.maps.items()} == {
        "classes": grid_of(backbone),
        "prompt": grid_of(backbone),
    }
    assert all((maps.values >= 0).all() for maps in item.maps.values())
    assert (item.guidance is not None) == (halves > 1)
    if item.guidance is not None:
        assert item.guidance.shape == grid_of(backbone)
        assert item.guidance.mean() == pytest.approx(WIDE.steps, rel=1e-4)
        assert item.guidance.std() > 0


def test_the_conditional_half_is_the_prompts_own(
    backbone: DiffusersBackbone, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ConceptAttention's code for SD 3 reads the first of two halves, which is the negative one.

    At the first step a guided model sees with its prompts what an unguided one sees, whether halves come in
    one batch, in which order, or call by call.
    """
    if len(backbone.family.halves(backbone.pipe, 4.0).names) == 1:
        pytest.skip("there is one half")
    config = backbone.pipe.scheduler.config
    if config.get("shift_terminal"):  # Qwen-Image's takes no single step
        with pytest.raises(ConfigError, match=r"1 step does not fit the scheduler .* --steps 2 or more"):
            backbone.check([make_spec(0)], SamplingSettings(steps=1), NOTHING)
        plain = type(backbone.pipe.scheduler).from_config(config, shift_terminal=None)
        monkeypatch.setattr(backbone.pipe, "scheduler", plain)
    specs = [make_spec(0), make_spec(1, classes=("car", "sofa", "skyscraper"))]
    wanted = CaptureRequest(
        features=FeatureRequest(half="conditional"),
        maps=(MapRequest(half="conditional"), prompt_maps(Reading())),
    )

    def read(guidance: float) -> list[Generation]:
        sampling = SamplingSettings(steps=1, height_px=96, width_px=128, guidance=guidance)
        return drawn(backbone.generate(specs, sampling, wanted))

    for guided, plain in zip(read(4.0), read(0.0), strict=True):
        for name, maps in plain.maps.items():
            np.testing.assert_allclose(guided.maps[name].values, maps.values, rtol=1e-3, atol=1e-4)
        for head, other in zip(guided.heads, plain.heads, strict=True):
            assert head.values.shape[0] == 1
            np.testing.assert_allclose(head.values, other.values, rtol=1e-3, atol=1e-4)


def test_phrases_of_several_tokens_are_read_whole(backbone: DiffusersBackbone, make_spec: Make) -> None:
    spec = make_spec(0, classes=("pot plant", "skyscraper"), prompt="A skyscraper, beside a pot plant")
    (item,) = drawn(backbone.generate([spec], WIDE, ALL))
    words = item.maps["prompt"]
    read = {
        phrase: "".join(words.tokens[row] for row in rows)
        for phrase, rows in zip(words.phrases, words.phrase_tokens, strict=True)
    }
    assert {phrase: text.lower() for phrase, text in read.items()} == {
        "pot plant": "potplant",
        "skyscraper": "skyscraper",
    }


def test_the_second_attention_of_sd35_is_read_where_named(
    family_folder: Callable[[str], Path], make_spec: Make
) -> None:
    backbone = model(family_folder("sd3"))
    assert [each.name for each in backbone.layers if each.kind == "self"] == ["transformer_blocks.0.attn2"]
    named = FeatureRequest(layers=("*.attn2",))
    capture = CaptureRequest(features=named, maps=(), affinity=AffinityRequest(layers=("*.attn2",)))
    (item,) = drawn(backbone.generate([make_spec(0)], WIDE, capture))
    assert [each.layer for each in item.heads] == ["transformer_blocks.0.attn2"]
    assert item.affinity is not None
    np.testing.assert_allclose(item.affinity.values.sum(1), 1, rtol=1e-4)
    (usual,) = drawn(backbone.generate([make_spec(0)], WIDE, ALL))
    assert not any("attn2" in each.layer for each in usual.heads)


def test_photographs_are_looked_at(backbone: DiffusersBackbone, make_spec: Make) -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    sizes = ObserveSettings(timesteps=(100, 600))
    first, second = drawn(backbone.observe([image, image], [make_spec(0), make_spec(0)], sizes, ALL))
    np.testing.assert_allclose(first.heads[0].values, second.heads[0].values, atol=1e-4)
    np.testing.assert_array_equal(first.image, image)
    assert first.heads[0].grid == grid_of(backbone)
    assert np.isfinite(first.maps["classes"].values).all()


@torch.inference_mode()
def test_noise_and_target_belong_together(backbone: DiffusersBackbone) -> None:
    family, pipe = backbone.family, backbone.pipe
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    clean = family.clean(pipe, [image])
    assert tuple(clean.shape[1:]) == noise_shape(family, pipe, (96, 128))
    noise = clean.new_ones(clean.shape)
    noisy, _ = family.noised(pipe, clean, noise, 0)
    np.testing.assert_allclose(noisy, clean, atol=0.05)
    noisy, target = family.noised(pipe, clean, noise, 999)
    np.testing.assert_allclose(noisy, noise, atol=0.1 * float(clean.abs().max()))
    assert target.shape == clean.shape
    embedding = backbone.encoder.encode("a dog")
    assert family.predict(pipe, noisy, 999, [embedding]).shape == clean.shape


@pytest.mark.parametrize("method", [*METHODS])
def test_every_method_makes_a_mask(backbone: DiffusersBackbone, make_spec: Make, method: str) -> None:
    settings = profile(method)
    captures = METHODS[method].captures(settings, CaptureSettings().reading())
    spec = make_spec(0)
    if any(each.only not in (None, backbone.family.attends) for each in captures.maps):
        with pytest.raises(ConfigError, match=r"the method reads (cross-|joint )attention"):
            backbone.check([spec], WIDE, captures)
        return
    (item,) = drawn(backbone.generate([spec], WIDE, captures))
    attention = summarise(item, settings)
    trace = METHODS[method](attention, item.image, ClassQuery.of_spec(spec), settings)
    assert trace.mask.labels.shape == (96, 128)
    assert set(np.unique(trace.mask.labels)) <= {0, 1, 2, 255}


def test_sizes_and_phrases_that_cannot_be_are_refused(backbone: DiffusersBackbone, make_spec: Make) -> None:
    odd = SamplingSettings(height_px=96, width_px=120)
    multiple = backbone.info.size_multiple_px
    with pytest.raises(
        ConfigError, match=rf"96×120 px .* multiples of {multiple}; the nearest size is 96×128"
    ):
        backbone.check([make_spec(0)], odd, ALL)
    long = make_spec(0, classes=("x" * 5000,), prompt="a")
    with pytest.raises(PromptError, match="shorten it"):
        backbone.check([long], WIDE, ALL)
