"""What guidance changes, as it is heard while drawing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import CaptureRequest
from segmint.backbone.guidance import GuidanceTap
from segmint.backbone.latents import draw_noise, item_generators
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, ObserveSettings, SamplingSettings

Make = Callable[..., PromptSpec]
# schedulers of diffusers with numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
ONLY = CaptureRequest(features=None, maps=(), guidance=True)


def test_equals_the_formula(tiny: Callable[[str], Path], make_spec: Make) -> None:
    backbone, specs = load(ModelSettings(id=str(tiny("sd1"))), "cpu"), [make_spec(0), make_spec(1)]
    drawn = backbone.generate(specs, SamplingSettings(steps=1, height_px=64, width_px=64, guidance=5.0), ONLY)
    pipe = backbone.pipe
    pipe.scheduler.set_timesteps(1)
    with torch.inference_mode():
        noise = draw_noise(item_generators(specs), (4, *(64 // pipe.vae_scale_factor,) * 2))
        noisy = noise * pipe.scheduler.init_noise_sigma
        for place, item in enumerate(drawn):
            assert isinstance(item, Generation)
            told, nothing = pipe.encode_prompt(item.spec.prompt, "cpu", 1, True, negative_prompt="")
            first, second = (
                pipe.unet(noisy[[place]], pipe.scheduler.timesteps[0], encoder_hidden_states=embeds).sample[0]
                for embeds in (told, nothing)
            )
            change = (first - second).square().mean(0).sqrt()
            assert item.guidance is not None
            expected = F.interpolate((change / change.mean())[None, None], item.guidance.shape, mode="area")[
                0, 0
            ]
            np.testing.assert_allclose(item.guidance, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_nothing_is_heard_without_guidance_or_of_photographs(
    tiny: Callable[[str], Path], make_spec: Make
) -> None:
    backbone, spec = load(ModelSettings(id=str(tiny("sd1"))), "cpu"), make_spec(0)
    small = SamplingSettings(steps=1, height_px=64, width_px=64, guidance=1.0)
    photo = np.full((64, 64, 3), 90, np.uint8)
    for (item,) in (
        backbone.generate([spec], small, ONLY),
        backbone.observe([photo], [spec], ObserveSettings(), ONLY),
    ):
        assert isinstance(item, Generation)
        assert item.guidance is None


@pytest.mark.parametrize("layout", ["rows", "packed", "frames", "list", "variance"])
def test_every_layout_of_a_prediction_is_read_alike(layout: str) -> None:
    told = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    laid_out = {
        "rows": told,
        "packed": told.flatten(2).mT,
        "frames": told[:, :, None],
        "list": [each[:, None] for each in told],
        "variance": torch.cat([told, told * 9], dim=1),
    }[layout]
    tap = GuidanceTap(latent=(8, 12) if layout == "packed" else (4, 6), channels=3)
    tap.read((laid_out,), None)
    change = (told[0] - told[1]).square().mean(0).sqrt()
    assert tap.total is not None
    torch.testing.assert_close(tap.total[0], change / change.mean())


def test_halves_that_come_call_by_call_are_held_against_each_other() -> None:
    told = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    apart, together = (GuidanceTap(latent=(4, 6), channels=3) for _ in range(2))
    together.read((told,), None)
    apart.read((told[:1],), "conditional")
    assert apart.total is None
    apart.read((told[1:],), "unconditional")
    torch.testing.assert_close(apart.total, together.total)
