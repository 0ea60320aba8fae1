"""FLUX.2 dev: blocks as klein's, but guidance is an input, and a Mistral reads the prompt by a processor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_models import model

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import NOTHING, CaptureRequest, MapRequest, Reading
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.settings import ObserveSettings, SamplingSettings
from segmint.masks.methods import prompt_maps

Make = Callable[..., PromptSpec]
WIDE = SamplingSettings(steps=2, height_px=64, width_px=96)
ALL = CaptureRequest(maps=(MapRequest(), prompt_maps(Reading())))


@pytest.fixture
def backbone(family_folder: Callable[[str], Path]) -> DiffusersBackbone:
    return model(family_folder("flux2-dev"))


def test_it_is_known_by_its_pipeline(backbone: DiffusersBackbone) -> None:
    assert backbone.info.family == "flux2-dev"
    assert (backbone.info.default_steps, backbone.info.default_guidance) == (50, 4.0)
    assert backbone.family.halves(backbone.pipe, 4.0).names == ("conditional",)


def test_rows_are_those_of_the_processors_own_tokens(backbone: DiffusersBackbone) -> None:
    """Behind padding, the system's message and the template."""
    prompt = "a skyscraper, beside a pot plant"
    text, told = backbone.reader.prompt_text(prompt, ("pot plant", "skyscraper")), []
    words = backbone.pipe.tokenizer.tokenizer
    hook = backbone.pipe.text_encoder.register_forward_pre_hook(
        lambda _, __, kwargs: told.append(kwargs["input_ids"][0]), with_kwargs=True
    )
    with hook:
        backbone.family.encode(backbone.pipe, prompt, negative=False)
    read = {
        phrase: words.decode([told[0][row] for place in places for row in text.rows[place]]).strip()
        for phrase, places in zip(text.phrases, text.phrase_rows, strict=True)
    }
    assert read == {"pot plant": "pot plant", "skyscraper": "skyscraper"}


def test_it_draws_and_is_read_and_looks_at_photographs(backbone: DiffusersBackbone, make_spec: Make) -> None:
    guidance: list[Any] = []
    specs = [make_spec(0), make_spec(1, classes=("car", "skyscraper"))]
    hook = backbone.network.register_forward_pre_hook(
        lambda _, __, kwargs: guidance.append(float(kwargs["guidance"][0])), with_kwargs=True
    )
    with hook:
        plain, read = (backbone.generate(specs, WIDE, each) for each in (NOTHING, ALL))
        (seen,) = backbone.observe([plain[0].image], specs[:1], ObserveSettings(), ALL)
    assert set(guidance) == {4.0}
    for one, other in zip(plain, read, strict=True):
        assert isinstance(one, Generation)
        assert isinstance(other, Generation)
        np.testing.assert_array_equal(one.image, other.image)
        assert {name: maps.values.shape[1:] for name, maps in other.maps.items()} == {
            "classes": (4, 6),
            "prompt": (4, 6),
        }
    assert isinstance(seen, Generation)
    assert np.ptp(seen.maps["classes"].values) > 0
