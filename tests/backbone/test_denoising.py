"""Denoising evidence: gains by the formula, the same whatever the batch, of any number of classes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from segmint.artifacts import Generation, PromptSpec, TokenMaps
from segmint.attention import CaptureRequest, DenoisingRequest
from segmint.backbone.denoising import NOISE_OF_ITS_OWN, likeliest, phrased
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.latents import add_noise, draw_noise, encode_images
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, ObserveSettings, SamplingSettings

Make = Callable[..., PromptSpec]
# schedulers of diffusers with numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

ASKED = DenoisingRequest(levels=(300,), at_once=2)
ONLY = CaptureRequest(features=None, maps=(), denoising=ASKED)
DRAWN = SamplingSettings(steps=2, height_px=64, width_px=64)


@pytest.fixture(scope="module", params=["sd1", "sdxl", "sd2v"])
def backbone(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> DiffusersBackbone:
    return load(ModelSettings(id=str(tiny(request.param))), "cpu")


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)


def generated(backbone: DiffusersBackbone, spec: PromptSpec, capture: CaptureRequest) -> Generation:
    [outcome] = backbone.generate([spec], DRAWN, capture)
    assert isinstance(outcome, Generation)
    return outcome


def test_equals_the_formula(tiny: Callable[[str], Path], make_spec: Make) -> None:
    backbone = load(ModelSettings(id=str(tiny("sd1"))), "cpu")
    image, spec = picture(0), make_spec()
    [item] = backbone.observe([image], [spec], ObserveSettings(), ONLY)
    assert isinstance(item, Generation)
    pipe, told = backbone.pipe, item.denoising
    assert told is not None
    with torch.inference_mode():
        clean = encode_images(pipe, [image])
        generator = torch.Generator().manual_seed(spec.seed + NOISE_OF_ITS_OWN)
        noise = draw_noise([generator], tuple(clean.shape[1:]))
        noisy = add_noise(clean, noise, pipe.scheduler.alphas_cumprod[300])

        def error(text: str) -> torch.Tensor:
            embeds = pipe.encode_prompt(text, "cpu", 1, False)[0]
            predicted = pipe.unet(noisy, 300, encoder_hidden_states=embeds).sample
            return (predicted - noise)[0].square().mean(0)

        nothing = error("")
        texts = [phrased(each[0], "a photo of {}") for each in spec.phrases]
        gains = [(nothing - error(text)) / nothing.mean() for text in texts]
    side = told.gains.shape[1]
    expected = torch.nn.functional.interpolate(torch.stack(gains)[None], (side, side), mode="area")[0]
    assert told.classes == spec.classes
    np.testing.assert_allclose(told.gains, expected.numpy(), atol=2e-5)


def test_neither_the_image_nor_any_map_depends_on_it(backbone: DiffusersBackbone, make_spec: Make) -> None:
    spec = make_spec()
    plain = generated(backbone, spec, CaptureRequest())
    asked = generated(backbone, spec, replace(CaptureRequest(), denoising=ASKED))
    assert np.array_equal(plain.image, asked.image)
    assert np.array_equal(plain.maps["classes"].values, asked.maps["classes"].values)
    assert plain.denoising is None
    assert asked.denoising is not None


def test_change_is_a_share_of_its_mean_and_both_are_at_the_largest_grid(
    backbone: DiffusersBackbone, make_spec: Make
) -> None:
    item = generated(backbone, make_spec(), replace(CaptureRequest(), denoising=ASKED))
    told = item.denoising
    assert told is not None
    assert told.change.shape == item.maps["classes"].values.shape[1:]
    assert told.gains.shape[1:] == told.change.shape
    assert told.change.min() >= 0
    assert told.change.mean() == pytest.approx(1, abs=0.05)


def test_an_item_is_asked_by_itself_whatever_its_batch(backbone: DiffusersBackbone, make_spec: Make) -> None:
    images, specs = [picture(1), picture(2)], [make_spec(seed=5), make_spec(seed=6, classes=("cat",))]
    both = backbone.observe(images, specs, ObserveSettings(), ONLY)
    [alone] = backbone.observe(images[1:], specs[1:], ObserveSettings(), ONLY)
    assert isinstance(both[1], Generation)
    assert isinstance(alone, Generation)
    assert both[1].denoising is not None
    assert alone.denoising is not None
    np.testing.assert_allclose(both[1].denoising.gains, alone.denoising.gains, atol=1e-5)


def test_how_many_texts_go_together_changes_no_more_than_rounding(
    backbone: DiffusersBackbone, make_spec: Make
) -> None:
    found = []
    for at_once in (1, 3):
        capture = replace(ONLY, denoising=replace(ASKED, at_once=at_once))
        [item] = backbone.observe([picture(3)], [make_spec()], ObserveSettings(), capture)
        assert isinstance(item, Generation)
        assert item.denoising is not None
        found.append(item.denoising.gains)
    np.testing.assert_allclose(*found, atol=1e-4)


def test_of_too_many_classes_the_loudest_are_asked_for(make_spec: Make) -> None:
    spec = make_spec(classes=("dog", "cat", "boat"))
    values = np.stack([np.full((4, 4), loud, np.float32) for loud in (9, 1, 3, 2, 9)])
    phrases = tuple(each[0] for each in spec.phrases)
    maps = TokenMaps(
        tokens=("<SoT>", *phrases, "<EoT>"), phrases=phrases, phrase_tokens=((1,), (2,), (3,)), values=values
    )
    assert likeliest(spec, {"classes": maps}, 2) == [1, 2]
    assert likeliest(spec, {}, 2) == [0, 1]
    assert likeliest(spec, {"classes": maps}, 3) == [0, 1, 2]


@pytest.mark.parametrize(
    ("phrase", "text"),
    [("boat", "a photo of a boat"), ("apple", "a photo of an apple"), ("Ox", "a photo of an Ox")],
)
def test_a_class_is_asked_for_under_its_article(phrase: str, text: str) -> None:
    assert phrased(phrase, "a photo of {}") == text
