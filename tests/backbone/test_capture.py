"""Capture: exact, free of side effects on the image, independent of batch and steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor
from tiny_models import EVERYTHING

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import (
    NOTHING,
    AffinityRequest,
    CaptureRequest,
    FeatureRequest,
    MapRequest,
    group_key,
)
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.encoding import TextEncoder
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, SamplingSettings
from segmint.errors import ConfigError, GenerationError

Make = Callable[..., PromptSpec]
QUICK = SamplingSettings(steps=3)


@pytest.fixture(scope="module")
def backbone(tiny: Callable[[str], Path]) -> DiffusersBackbone:
    return load(ModelSettings(id=str(tiny("sd1"))), "cpu")


def drawn(outcomes: list[Any]) -> list[Generation]:
    assert all(isinstance(each, Generation) for each in outcomes), outcomes
    return outcomes


def test_capturing_changes_no_pixel(
    backbone: DiffusersBackbone, make_spec: Make, tiny: Callable[[str], Path]
) -> None:
    specs = [make_spec(0), make_spec(1, ("boat",))]
    with_capture = drawn(backbone.generate(specs, QUICK, EVERYTHING))
    without = drawn(backbone.generate(specs, QUICK, NOTHING))
    pipe = StableDiffusionPipeline.from_pretrained(tiny("sd1"), safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(spec.seed) for spec in specs]
    plain = pipe(
        [spec.prompt for spec in specs], num_inference_steps=3, generator=generators, output_type="np"
    ).images
    for place in range(2):
        np.testing.assert_array_equal(with_capture[place].image, without[place].image)
        np.testing.assert_array_equal(
            with_capture[place].image, (plain[place] * 255).round().astype(np.uint8)
        )


def test_batch_and_neighbours_do_not_matter(backbone: DiffusersBackbone, make_spec: Make) -> None:
    specs = [make_spec(0), make_spec(1, ("boat", "red car", "tree")), make_spec(2, ("house",))]
    together = drawn(backbone.generate(specs, QUICK, EVERYTHING))
    for spec, item in zip(specs, together, strict=True):
        (alone,) = drawn(backbone.generate([spec], QUICK, EVERYTHING))
        assert np.abs(alone.image.astype(int) - item.image).max() <= 1
        for name, maps in item.maps.items():
            assert maps.tokens == alone.maps[name].tokens
            np.testing.assert_allclose(maps.values, alone.maps[name].values, rtol=1e-4)
        for one, other in zip(item.heads, alone.heads, strict=True):
            np.testing.assert_allclose(one.values, other.values, atol=1e-4)
        assert item.affinity is not None
        assert alone.affinity is not None
        np.testing.assert_allclose(item.affinity.values, alone.affinity.values, atol=1e-6)


def test_taps_are_taken_off_whatever_happens(backbone: DiffusersBackbone, make_spec: Make) -> None:
    processors = dict(backbone.pipe.unet.attn_processors)

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backbone.generate([make_spec()], QUICK, EVERYTHING, stop)
    assert backbone.pipe.unet.attn_processors == processors
    hooks = [module._forward_hooks or module._forward_pre_hooks for module in backbone.pipe.unet.modules()]
    assert not any(hooks)
    assert drawn(backbone.generate([make_spec()], QUICK, EVERYTHING))


def test_any_processor_is_read(backbone: DiffusersBackbone, make_spec: Make) -> None:
    (default,) = drawn(backbone.generate([make_spec()], QUICK, EVERYTHING))
    processors = backbone.pipe.unet.attn_processors
    backbone.pipe.unet.set_attn_processor(AttnProcessor())
    try:
        (other,) = drawn(backbone.generate([make_spec()], QUICK, EVERYTHING))
    finally:
        backbone.pipe.unet.set_attn_processor(processors)
    np.testing.assert_allclose(default.maps["classes"].values, other.maps["classes"].values, rtol=1e-4)
    np.testing.assert_allclose(default.heads[-1].values, other.heads[-1].values, atol=1e-4)


def test_held_memory_does_not_grow_with_the_steps(
    backbone: DiffusersBackbone, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    original = DiffusersBackbone._outcomes

    def spy(self: DiffusersBackbone, specs: Any, images: Any, reading: Any, *more: Any) -> Any:
        held.append((reading.calls, reading.held_bytes()))
        return original(self, specs, images, reading, *more)

    monkeypatch.setattr(DiffusersBackbone, "_outcomes", spy)
    for steps in (5, 50):
        drawn(
            backbone.generate(
                [make_spec()], SamplingSettings(steps=steps, height_px=32, width_px=32), EVERYTHING
            )
        )
    (few, small), (many, large) = held
    assert (few, many) == (6, 51)  # PNDM calls the UNet once more than it has steps
    assert small == large > 0


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # schedulers of diffusers with numpy 2
@pytest.mark.parametrize("scheduler", ["pndm", "ddim", "heun", "dpm2", "euler-a", "lcm", "unipc"])
def test_features_are_those_of_the_last_call(
    tiny: Callable[[str], Path], make_spec: Make, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load(ModelSettings(id=str(tiny("sd1")), scheduler=scheduler), "cpu")
    module = dict(backbone.pipe.unet.named_modules())["up_blocks.2.attentions.1.transformer_blocks.0.attn1"]
    seen = []
    with module.to_out[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0])):
        (item,) = drawn(backbone.generate([make_spec()], QUICK, CaptureRequest()))
    last = seen[-1].unflatten(-1, (2, 8)).transpose(1, 2)
    np.testing.assert_array_equal(item.heads[-1].values, last.numpy())
    steps = {"pndm": 4, "heun": 5, "dpm2": 5}.get(scheduler, 3)
    assert len(seen) == steps
    total = item.maps["classes"].values.sum(0)
    np.testing.assert_allclose(
        total, steps * 2 * 6, rtol=1e-4
    )  # 2 heads, 6 layers: each call's shares sum to 1


def test_without_guidance_there_is_one_half(backbone: DiffusersBackbone, make_spec: Make) -> None:
    specs = [make_spec(0), make_spec(1)]
    sampling = SamplingSettings(steps=2, guidance=1.0)
    by_half = {
        half: drawn(backbone.generate(specs, sampling, CaptureRequest(maps=(MapRequest(half=half),))))
        for half in ("unconditional", "conditional", "both")
    }
    for half, items in by_half.items():
        assert {head.values.shape[0] for head in items[1].heads} == {1}
        np.testing.assert_array_equal(
            items[1].maps["classes"].values, by_half["conditional"][1].maps["classes"].values, half
        )


def test_both_halves_add_up(backbone: DiffusersBackbone, make_spec: Make) -> None:
    request = CaptureRequest(
        features=None,
        maps=tuple(MapRequest(name=half, half=half) for half in ("both", "unconditional", "conditional")),
    )
    (item,) = drawn(backbone.generate([make_spec()], QUICK, request))
    one, other = item.maps["unconditional"].values, item.maps["conditional"].values
    assert not np.allclose(one, other)
    np.testing.assert_allclose(item.maps["both"].values, one + other, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(40, 96), (72, 24)])
def test_images_need_not_be_square(
    backbone: DiffusersBackbone, make_spec: Make, height: int, width: int
) -> None:
    (item,) = drawn(
        backbone.generate(
            [make_spec()], SamplingSettings(steps=2, height_px=height, width_px=width), EVERYTHING
        )
    )
    full, half = (height // 4, width // 4), ((height // 4 + 1) // 2, (width // 4 + 1) // 2)
    assert item.image.shape == (height, width, 3)
    assert [head.grid for head in item.heads] == [half, half, full, full]
    assert item.maps["classes"].values.shape[1:] == full
    assert item.affinity is not None
    assert item.affinity.grid == full


def test_sizes_that_do_not_fit_name_the_nearest(backbone: DiffusersBackbone, make_spec: Make) -> None:
    with pytest.raises(ConfigError, match=r"60×130 px .* nearest size is 64×128"):
        backbone.generate([make_spec()], SamplingSettings(height_px=60, width_px=130), NOTHING)


def test_groups_add_up_to_the_whole(backbone: DiffusersBackbone, make_spec: Make) -> None:
    groupings = [("layer",), ("step",), ("head",), ("layer", "step", "head")]
    requests = (MapRequest(), *(MapRequest(name="-".join(by), group_by=by) for by in groupings))
    (item,) = drawn(backbone.generate([make_spec()], QUICK, CaptureRequest(features=None, maps=requests)))
    whole = item.maps["classes"].values
    for by, groups in zip(groupings, (6, 4, 2, 48), strict=True):
        parts = [maps.values for key, maps in item.maps.items() if key.startswith("-".join(by) + "/")]
        assert len(parts) == groups
        np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-4)
    assert group_key("step", step=3) in item.maps


def test_requests_that_share_attention_do_not_disturb_each_other(
    backbone: DiffusersBackbone, make_spec: Make
) -> None:
    requests = (
        MapRequest(),
        MapRequest(name="again"),
        MapRequest(name="upper", layers=("up_blocks.*",), downscale=1),
        MapRequest(name="by layer", group_by=("layer",)),
        MapRequest(name="by head", group_by=("head",)),
        MapRequest(name="all heads", group_by=("head", "layer")),
    )
    (item,) = drawn(backbone.generate([make_spec()], QUICK, CaptureRequest(features=None, maps=requests)))
    for request in requests:
        only = CaptureRequest(features=None, maps=(request,))
        (alone,) = drawn(backbone.generate([make_spec()], QUICK, only))
        for key, maps in alone.maps.items():
            np.testing.assert_array_equal(maps.values, item.maps[key].values)


def test_prompt_maps_are_the_models_own_attention(backbone: DiffusersBackbone, make_spec: Make) -> None:
    """Against probabilities recomputed from the layer's own queries and keys, padding included."""
    layer = "up_blocks.2.attentions.1.transformer_blocks.0.attn2"
    attn = dict(backbone.pipe.unet.named_modules())[layer]
    seen: dict[str, torch.Tensor] = {}
    request = CaptureRequest(
        features=None, maps=(MapRequest(name="prompt", text="prompt", half="conditional", layers=(layer,)),)
    )
    with (
        attn.to_q.register_forward_hook(lambda _, __, out: seen.update(q=out)),
        attn.to_k.register_forward_hook(lambda _, __, out: seen.update(k=out)),
    ):
        (item,) = drawn(backbone.generate([make_spec()], SamplingSettings(steps=1, guidance=3.0), request))
    query, key = (attn.head_to_batch_dim(seen[name][1:]) for name in "qk")
    probabilities = attn.get_attention_scores(query, key).sum(0).T
    maps = item.maps["prompt"]
    assert maps.tokens[:4] == ("<SoT>", "a", "photo", "of")
    assert maps.phrase_tokens == ((5,), (8, 9))
    ours = maps.values.reshape(len(maps.tokens), -1)
    np.testing.assert_allclose(ours, probabilities[: len(maps.tokens)].numpy(), rtol=1e-4)
    assert (ours.sum(0) < 2).all()  # two heads; the rest is padding's


def test_affinity_is_the_mean_of_attention_probabilities(
    backbone: DiffusersBackbone, make_spec: Make
) -> None:
    layer = "up_blocks.1.attentions.0.transformer_blocks.0.attn1"
    attn = dict(backbone.pipe.unet.named_modules())[layer]
    seen: dict[str, list[torch.Tensor]] = {"q": [], "k": []}
    request = CaptureRequest(features=None, maps=(), affinity=AffinityRequest(layers=(layer,)))
    with (
        attn.to_q.register_forward_hook(lambda _, __, out: seen["q"].append(out[1:])),
        attn.to_k.register_forward_hook(lambda _, __, out: seen["k"].append(out[1:])),
    ):
        (item,) = drawn(backbone.generate([make_spec()], QUICK, request))
    expected = torch.stack(
        [
            attn.get_attention_scores(attn.head_to_batch_dim(query), attn.head_to_batch_dim(key)).mean(0)
            for query, key in zip(seen["q"], seen["k"], strict=True)
        ]
    ).mean(0)
    assert item.affinity is not None
    np.testing.assert_allclose(item.affinity.values, expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(item.affinity.values.sum(1), 1, rtol=1e-5)


def test_late_calls_are_averaged_or_kept_apart(backbone: DiffusersBackbone, make_spec: Make) -> None:
    (last,) = drawn(backbone.generate([make_spec()], QUICK, CaptureRequest(maps=())))
    each = CaptureRequest(features=FeatureRequest(calls=2, merge="each"), maps=())
    (apart,) = drawn(backbone.generate([make_spec()], QUICK, each))
    mean = CaptureRequest(features=FeatureRequest(calls=2), maps=())
    (merged,) = drawn(backbone.generate([make_spec()], QUICK, mean))
    by_name = {head.layer: head.values for head in apart.heads}
    for one, both in zip(last.heads, merged.heads, strict=True):
        np.testing.assert_array_equal(by_name[f"{one.layer}@-1"], one.values)
        average = (by_name[f"{one.layer}@-2"] + by_name[f"{one.layer}@-1"]) / 2
        np.testing.assert_allclose(both.values, average, atol=1e-6)


def test_bad_items_come_back_as_errors(
    backbone: DiffusersBackbone, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = backbone.pipe.vae.decode

    def spoil(latents: torch.Tensor, **kwargs: Any) -> Any:
        (images,) = decode(latents, **kwargs)
        images[0], images[2] = torch.nan, -1
        return (images,)

    monkeypatch.setattr(backbone.pipe.vae, "decode", spoil)
    first, second, third = backbone.generate(
        [make_spec(index) for index in range(3)], QUICK, CaptureRequest()
    )
    assert isinstance(first, GenerationError)
    assert "item-0" in str(first)
    assert "NaN" in str(first)
    assert isinstance(second, Generation)
    assert isinstance(third, GenerationError)
    assert "black" in str(third)


def test_withheld_images_come_back_as_errors(
    backbone: DiffusersBackbone, make_spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone.pipe, "run_safety_checker", lambda image, *_: (image, [True, False]))
    first, second = backbone.generate([make_spec(0), make_spec(1)], QUICK, NOTHING)
    assert "safety checker withheld" in str(first)
    assert isinstance(second, Generation)


def test_texts_are_remembered_for_a_while(backbone: DiffusersBackbone) -> None:
    encoder = TextEncoder(pipe=backbone.pipe, family=backbone.family)
    first = encoder.encode("dog")
    for number in range(100):
        encoder.encode(f"tree {number}")
        assert encoder.encode("dog") is first
    assert len(encoder.memory) == 64


def test_negative_prompts_are_each_items_own(backbone: DiffusersBackbone, make_spec: Make) -> None:
    default = SamplingSettings(steps=2, negative_prompt="red")
    own = make_spec(0, negative_prompt="tree")
    (plain, named) = drawn(backbone.generate([make_spec(0), own], default, NOTHING))
    assert (plain.image != named.image).any()
    (alone,) = drawn(
        backbone.generate([make_spec(0, negative_prompt="red")], SamplingSettings(steps=2), NOTHING)
    )
    assert np.abs(plain.image.astype(int) - alone.image).max() <= 1


def test_progress_and_timings(backbone: DiffusersBackbone, make_spec: Make) -> None:
    seen: list[tuple[int, int]] = []
    (item,) = drawn(
        backbone.generate([make_spec()], QUICK, EVERYTHING, lambda done, of: seen.append((done, of)))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert set(item.seconds) == {"sampling", "capture"}
    assert all(spent > 0 for spent in item.seconds.values())
    assert backbone.generate([], QUICK, NOTHING) == []


def test_unknown_layers_are_named(backbone: DiffusersBackbone, make_spec: Make) -> None:
    with pytest.raises(ConfigError, match="no cross-attention layer matches sideways"):
        backbone.check([make_spec()], QUICK, CaptureRequest(maps=(MapRequest(layers=("sideways",)),)))
