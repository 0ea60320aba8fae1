"""What the model saw goes to another machine and is the same there."""

from dataclasses import replace

import numpy as np
import pytest

from segmint.attention import (
    AffinityRequest,
    AgreementRequest,
    CaptureRequest,
    DenoisingRequest,
    FeatureRequest,
    MapRequest,
)
from segmint.backbone.fake import FakeBackbone
from segmint.backbone.settings import SamplingSettings
from segmint.errors import GenerationError, ImageError
from segmint.jobs.engines.handover import decode_seen, encode_seen
from segmint.jobs.work import Seen
from segmint.plan.photos.reading import Photo
from small_jobs import job_at

SPEC = job_at("x", count=1).request.plan[0]
EVERYTHING = CaptureRequest(
    features=FeatureRequest(),
    maps=(MapRequest(), MapRequest(name="half", downscale=2)),
    affinity=AffinityRequest(),
    agreements=(AgreementRequest(),),
    denoising=DenoisingRequest(),
)


def test_a_generation_is_the_same_to_the_bit():
    sampling = SamplingSettings(height_px=32, width_px=32, steps=2)
    [generation] = FakeBackbone().generate([SPEC], sampling, EVERYTHING)
    generation = replace(generation, guidance=np.linspace(0, 2, 16, dtype=np.float32).reshape(4, 4))
    back = decode_seen(encode_seen(Seen(spec=SPEC, outcome=generation, attempts=2)))
    found = back.outcome
    assert (back.spec, back.attempts, back.photo, found.spec) == (SPEC, 2, None, SPEC)
    assert np.array_equal(found.image, generation.image)
    for one, other in zip(found.heads, generation.heads, strict=True):
        assert (one.layer, one.grid) == (other.layer, other.grid)
        assert one.values.dtype == other.values.dtype
        assert np.array_equal(one.values, other.values)
    assert list(found.maps) == list(generation.maps) == ["classes", "half", "prompt@agreed"]
    for name, maps in generation.maps.items():
        assert found.maps[name].phrase_tokens == maps.phrase_tokens
        assert (found.maps[name].tokens, found.maps[name].phrases) == (maps.tokens, maps.phrases)
        assert np.array_equal(found.maps[name].values, maps.values)
    assert found.affinity.grid == generation.affinity.grid
    assert np.array_equal(found.affinity.values, generation.affinity.values)
    assert np.array_equal(found.refining.values, generation.refining.values)
    assert np.array_equal(found.guidance, generation.guidance)
    assert found.denoising.classes == generation.denoising.classes
    assert np.array_equal(found.denoising.gains, generation.denoising.gains)
    assert np.array_equal(found.denoising.change, generation.denoising.change)
    assert (found.prompt_truncated, found.seconds) == (generation.prompt_truncated, generation.seconds)


@pytest.mark.parametrize("kind", [GenerationError, ImageError])
def test_a_failure_keeps_its_kind_and_reason(kind):
    back = decode_seen(encode_seen(Seen(spec=SPEC, outcome=kind("no luck"), attempts=3)))
    assert type(back.outcome) is kind
    assert (str(back.outcome), back.attempts) == ("no luck", 3)


@pytest.mark.parametrize("original", [None, b"\xff\xd8 as it was"])
def test_a_photograph_goes_along(original):
    photo = Photo(rgb=np.arange(12, dtype=np.uint8).reshape(2, 2, 3), notes=("2 frames",), original=original)
    back = decode_seen(encode_seen(Seen(spec=SPEC, outcome=GenerationError("x"), photo=photo)))
    assert np.array_equal(back.photo.rgb, photo.rgb)
    assert (back.photo.notes, back.photo.original) == (("2 frames",), original)
