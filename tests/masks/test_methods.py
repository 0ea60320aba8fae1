"""Methods of one's own: registered, named in recipes, refused where that cannot be."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import segmint
from segmint.artifacts import AttentionSummary, Image, RefinedMask, Trace
from segmint.attention import CaptureRequest, MapRequest, Reading
from segmint.backbone.fake import FakeBackbone
from segmint.backbone.settings import ModelSettings
from segmint.errors import ConfigError
from segmint.masks.evidence import ClassQuery
from segmint.masks.methods import METHODS
from segmint.masks.settings import MaskSettings, profile

MODEL = segmint.Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone())


def top_rows(
    attention: AttentionSummary, image: Image, classes: Sequence[ClassQuery], settings: MaskSettings
) -> Trace:
    """The first class everywhere above a share of the image's height."""
    assert set(attention.maps) == {"mine"}
    labels = np.zeros(image.shape[:2], np.uint8)
    labels[: round(len(labels) * settings.vote.share)] = classes[0].label_id
    sure = np.ones(labels.shape, np.float32)
    return Trace(method=settings.method, mask=RefinedMask(labels=labels, agreement=sure))


def wanted(settings: MaskSettings, reading: Reading) -> CaptureRequest:
    return CaptureRequest(features=None, maps=(MapRequest(name="mine", half=reading.half),))


@pytest.fixture
def mine() -> Iterator[str]:
    segmint.register_method("mine", top_rows, captures=wanted, profile={"vote": {"share": 0.25}})
    yield "mine"
    del METHODS["mine"]


def test_a_function_of_ones_own_makes_a_runs_masks(mine: str, tmp_path) -> None:
    run = segmint.generate(
        MODEL, out=tmp_path / "run", classes=["boat"], count=2, settings={"masks.method": mine}
    )
    for record in run.records():
        mask = run.mask(record)
        assert record.method == "mine"
        assert (mask[:16] == 1).all()
        assert not mask[16:].any()


def test_its_profile_can_be_overruled(mine: str) -> None:
    assert profile(mine).vote.share == 0.25
    changed = {"masks.method": mine, "masks.vote.share": 1.0}
    item = segmint.mint(MODEL, "a boat", ["boat"], settings=changed)
    assert (item.trace.mask.labels == 1).all()


def test_what_cannot_be_registered_is_refused() -> None:
    with pytest.raises(ConfigError, match="'pcc' is segmint's own"):
        segmint.register_method("pcc", top_rows)
    with pytest.raises(ConfigError, match=r"profile of method 'mine'.*votes"):
        segmint.register_method("mine", top_rows, profile={"votes": {}})
    with pytest.raises(ConfigError, match="unknown method 'mine'; known are pcc"):
        profile("mine")
