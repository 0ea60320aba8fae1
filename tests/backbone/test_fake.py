"""The stand-in behaves like a backbone: deterministic, independent of the batch, and able to fail."""

import subprocess
import sys
import time

import numpy as np
import pytest

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import (
    NOTHING,
    AffinityRequest,
    CaptureRequest,
    FeatureRequest,
    MapRequest,
    Reading,
    group_key,
    joined,
)
from segmint.backbone.base import Backbone
from segmint.backbone.fake import FakeBackbone, class_colour, draw
from segmint.backbone.settings import CaptureSettings, ObserveSettings, SamplingSettings
from segmint.errors import ConfigError, GenerationError, PromptError


def spec(index: int = 0, classes: tuple[str, ...] = ("dog", "pot plant"), **changes: object) -> PromptSpec:
    values: dict[str, object] = {
        "item_id": f"item-{index}",
        "index": index,
        "prompt": f"a photo of a {' and a '.join(classes)}",
        "classes": classes,
        "label_ids": tuple(range(1, len(classes) + 1)),
        "phrases": tuple((name,) for name in classes),
        "seed": 7 + index,
    }
    return PromptSpec(**{**values, **changes})  # type: ignore[arg-type]


def only(outcomes: list[Generation | GenerationError]) -> Generation:
    (outcome,) = outcomes
    assert isinstance(outcome, Generation)
    return outcome


def test_is_a_backbone_and_needs_no_torch() -> None:
    backbone: Backbone = FakeBackbone()
    assert backbone.info.id == "fake"
    script = "import segmint.backbone.fake, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_item_depends_on_its_spec_alone() -> None:
    specs = [spec(0), spec(1, ("boat",)), spec(2)]
    together = FakeBackbone().generate(specs, SamplingSettings(), CaptureRequest())
    for item, outcome in zip(specs, together, strict=True):
        alone = only(FakeBackbone().generate([item], SamplingSettings(), CaptureRequest()))
        assert isinstance(outcome, Generation)
        np.testing.assert_array_equal(alone.image, outcome.image)
        np.testing.assert_array_equal(alone.heads[0].values, outcome.heads[0].values)
        np.testing.assert_array_equal(alone.maps["classes"].values, outcome.maps["classes"].values)


def test_maps_point_at_the_shapes() -> None:
    item = only(FakeBackbone().generate([spec()], SamplingSettings(), CaptureRequest()))
    maps = item.maps["classes"]
    assert maps.tokens == ("<SoT>", "dog", "pot", "plant", "<EoT>")
    assert maps.phrase_tokens == ((1,), (2, 3))
    dog, plant = maps.values[1], maps.values[2]
    truth = (
        np.abs(item.image.astype(int) - class_colour("dog")).sum(-1).reshape(16, 4, 16, 4).mean((1, 3)) < 100
    )
    assert dog[truth].min() > dog[~truth].max()
    assert plant[truth].max() < plant.max() / 2


def test_layers_halves_and_grids() -> None:
    settings = SamplingSettings(height_px=48, width_px=80, guidance=1.0)
    item = only(FakeBackbone().generate([spec()], settings, CaptureRequest(affinity=AffinityRequest())))
    assert [head.grid for head in item.heads] == [(6, 10), (12, 20)]
    assert {head.values.shape[0] for head in item.heads} == {1}
    assert item.affinity is not None
    np.testing.assert_allclose(item.affinity.values.sum(1), 1, rtol=1e-5)


def test_groups_and_late_calls() -> None:
    request = CaptureRequest(
        features=FeatureRequest(calls=2, merge="each"),
        maps=(MapRequest(group_by=("step",), text="prompt", name="prompt"),),
    )
    item = only(FakeBackbone().generate([spec()], SamplingSettings(steps=3), request))
    assert sorted(item.maps) == [group_key("prompt", step=step) for step in range(3)]
    assert [head.layer[-2:] for head in item.heads] == ["-2", "-1", "-2", "-1"]


def test_observes_its_own_pictures() -> None:
    picture = draw(spec(), 64, 64)
    item = only(FakeBackbone().observe([picture], [spec()], ObserveSettings(), CaptureRequest()))
    np.testing.assert_array_equal(item.image, picture)
    assert item.heads[0].values.shape[0] == 2


def test_fails_when_told_to() -> None:
    backbone = FakeBackbone(
        fail_items=frozenset({"item-1"}), fail_seeds=frozenset({9}), crash_items=frozenset({"item-3"})
    )
    first, second, third = backbone.generate([spec(0), spec(1), spec(2)], SamplingSettings(), NOTHING)
    assert isinstance(first, Generation)
    assert isinstance(second, GenerationError)
    assert isinstance(third, GenerationError)
    assert isinstance(backbone.generate([spec(2, seed=99)], SamplingSettings(), NOTHING)[0], Generation)
    with pytest.raises(RuntimeError, match="item-3"):
        backbone.generate([spec(3)], SamplingSettings(), NOTHING)


def test_refuses_bad_sizes_and_phrases() -> None:
    with pytest.raises(ConfigError, match="nearest size is 64×72"):
        FakeBackbone().check([spec()], SamplingSettings(height_px=63, width_px=70), NOTHING)
    with pytest.raises(PromptError, match="item-0"):
        FakeBackbone().check([spec(phrases=((" ".join("x" * 20),), ("b",)))], SamplingSettings(), NOTHING)
    with pytest.raises(ConfigError, match="1 images were given for 0"):
        FakeBackbone().observe([draw(spec(), 64, 64)], [], ObserveSettings(), NOTHING)


def test_reports_progress_and_is_quick() -> None:
    seen: list[tuple[int, int]] = []

    def callback(done: int, of: int) -> None:
        seen.append((done, of))

    backbone = FakeBackbone()
    start = time.process_time()
    for index in range(10):
        backbone.generate(
            [spec(index)],
            SamplingSettings(steps=2),
            CaptureRequest(),
            lambda done, of: seen.append((done, of)),
        )
    assert seen == [(1, 2), (2, 2)] * 10
    assert time.process_time() - start < 0.5


def test_what_is_read_follows_the_settings() -> None:
    settings = CaptureSettings(half="both", feature_halves="conditional", feature_calls=3)
    reading = settings.reading()
    assert reading == Reading(half="both", features=FeatureRequest(half="conditional", calls=3))
    own = CaptureSettings(map_layers=("one.*",), feature_layers=("other",)).reading()
    assert (own.map_layers, own.features.layers) == (("one.*",), ("other",))
    both = joined(NOTHING, CaptureRequest(features=None, affinity=AffinityRequest()), CaptureRequest())
    assert both == CaptureRequest(affinity=AffinityRequest())
