"""Segmint's own method on hand-made maps whose answer an eye can see."""

import numpy as np
import pytest
from competition_scene import BOAT, GRID, TREE, attention, scene
from hypothesis import given
from hypothesis import strategies as st

from segmint.artifacts import AttentionSummary, TokenMaps
from segmint.errors import ConfigError
from segmint.masks.competition import class_shares, foreground, otsu, segmint
from segmint.masks.ridge import Features
from segmint.masks.settings import CompetitionSettings, profile

SETTINGS = profile("segmint")
RULES = CompetitionSettings()


def test_noisy_maps_and_unequal_loudness_give_the_exact_mask() -> None:
    truth, image = scene()
    trace = segmint(attention(truth), image, [TREE, BOAT], SETTINGS)
    assert np.mean(trace.mask.labels == truth.repeat(4, axis=0).repeat(4, axis=1)) > 0.99
    assert not (trace.mask.labels == 255).any()
    assert trace.mask.agreement.min() >= 0
    assert trace.mask.agreement.max() <= 1


def test_the_order_of_the_classes_changes_nothing() -> None:
    truth, image = scene()
    one, other = (segmint(attention(truth), image, order, SETTINGS) for order in ([BOAT, TREE], [TREE, BOAT]))
    assert np.array_equal(one.mask.labels, other.mask.labels)


def test_one_class_takes_the_whole_foreground() -> None:
    truth, image = scene()
    labels = segmint(attention(truth), image, [BOAT], SETTINGS).mask.labels
    assert set(np.unique(labels)) == {0, 1}
    assert np.mean((labels == 1) == (truth > 0).repeat(4, axis=0).repeat(4, axis=1)) > 0.99


def test_without_classes_all_is_background() -> None:
    truth, image = scene()
    assert not segmint(attention(truth), image, [], SETTINGS).mask.labels.any()


@pytest.mark.parametrize("size", [(1, 1), (7, 90), (64, 48)])
def test_any_image_size(size: tuple[int, int]) -> None:
    truth, _ = scene()
    image = np.zeros((*size, 3), np.uint8)
    assert segmint(attention(truth), image, [BOAT, TREE], SETTINGS).mask.labels.shape == size


def test_missing_maps_are_named() -> None:
    truth, image = scene()
    bare = AttentionSummary(grid=GRID, components=(), maps={})
    with pytest.raises(ConfigError, match="classes@fine"):
        segmint(bare, image, [BOAT], SETTINGS)
    assert truth.any()


def test_constant_maps_do_not_break() -> None:
    truth, image = scene()
    found = attention(truth)
    flat = {
        name: TokenMaps(
            tokens=each.tokens,
            phrases=each.phrases,
            phrase_tokens=each.phrase_tokens,
            values=np.ones_like(each.values),
        )
        for name, each in found.maps.items()
    }
    labels = segmint(
        AttentionSummary(grid=GRID, components=found.components, maps=flat), image, [BOAT, TREE], SETTINGS
    ).mask.labels
    assert set(np.unique(labels)) <= {0, 1, 4}


@given(st.floats(0.5, 20), st.floats(-5, 5), st.floats(0.01, 0.3))
def test_otsu_parts_two_groups_wherever_they_lie(gap: float, low: float, width: float) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([low + width * gap * rng.random(50), low + gap + width * gap * rng.random(20)])
    assert ((values > otsu(values)) == (np.arange(70) >= 50)).all()


def test_shares_are_shares() -> None:
    rng = np.random.default_rng(2)
    features = Features(values=rng.random((100, 4)), count=4)
    inside = foreground(rng.random(100), features, RULES)
    shares = class_shares(rng.random((100, 3)), features, inside, RULES)
    assert inside.min() > 0
    assert inside.max() < 1
    assert np.allclose(shares.sum(axis=1), 1)
