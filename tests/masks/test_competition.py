"""Segmint's own method on hand-made maps whose answer an eye can see."""

from dataclasses import replace

import numpy as np
import pytest
from competition_scene import BOAT, GRID, TREE, attention, scene

from segmint.artifacts import AttentionSummary, DenoisingEvidence, TokenMaps
from segmint.errors import ConfigError
from segmint.masks import competition
from segmint.masks.competition import class_shares, segmint
from segmint.masks.contest import contest, summed_maps
from segmint.masks.evidence import ClassQuery
from segmint.masks.meanfield import field_mask
from segmint.masks.settings import CompetitionSettings, MaskSettings, profile

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


def test_shares_are_shares() -> None:
    truth, _ = scene()
    found = attention(truth)
    ground = contest(found, [BOAT, TREE], summed_maps(found, [BOAT, TREE], SETTINGS), SETTINGS)
    shares = class_shares(ground, [0, 1], RULES)
    assert ground.inside.min() > 0
    assert ground.inside.max() < 1
    assert np.allclose(shares.sum(axis=1), 1)


def test_denoising_evidence_tells_classes_apart_where_attention_cannot() -> None:
    truth, image = scene()
    found = attention(truth)
    alike = {  # both words answer to both things
        name: replace(each, values=each.values[[0, 1, 1, 3]] + each.values[[0, 2, 2, 3]])
        for name, each in found.maps.items()
    }
    gains = np.stack([np.where(truth == label, 0.5, -0.5) for label in (1, 4)]).astype(np.float32)
    told = DenoisingEvidence(classes=("boat", "tree"), gains=gains, change=(truth > 0).astype(np.float32))
    labels = segmint(replace(found, maps=alike, denoising=told), image, [BOAT, TREE], SETTINGS).mask.labels
    assert np.mean(labels == truth.repeat(4, axis=0).repeat(4, axis=1)) > 0.99


def test_denoising_evidence_is_left_out_where_the_settings_say_so() -> None:
    truth, image = scene()
    found = attention(truth)
    wrong = DenoisingEvidence(
        classes=("boat", "tree"),
        gains=np.stack([truth == 4, truth == 1]).astype(np.float32),
        change=(truth == 0).astype(np.float32),
    )
    without = SETTINGS.merged({"denoising.use": False})
    labels = segmint(replace(found, denoising=wrong), image, [BOAT, TREE], without).mask.labels
    assert np.array_equal(labels, segmint(found, image, [BOAT, TREE], SETTINGS).mask.labels)


def test_a_thing_that_no_name_fits_is_background_and_a_small_one_keeps_its_name() -> None:
    truth, image = scene()
    helped = np.where(truth == 1, 0.5, -2.0)
    told = DenoisingEvidence(
        classes=("boat", "tree"),
        gains=np.stack([helped, np.where(truth == 4, -0.6, -2.0)]).astype(np.float32),
        change=(truth > 0).astype(np.float32),
    )
    found = replace(attention(truth), denoising=told)
    large = truth.repeat(4, axis=0).repeat(4, axis=1)
    labels = segmint(found, image, [BOAT, TREE], SETTINGS).mask.labels
    assert np.mean(labels == np.where(large == 4, 0, large)) > 0.99
    for believing in ({"competition.helped": -1000.0}, {"competition.helped_from": 0.9}):
        labels = segmint(found, image, [BOAT, TREE], SETTINGS.merged(believing)).mask.labels
        assert np.mean(labels == large) > 0.99


def test_a_name_that_fits_nothing_leaves_background() -> None:
    truth, image = scene()
    told = DenoisingEvidence(
        classes=("boat",),
        gains=np.full((1, *GRID), -2.0, np.float32),
        change=(truth > 0).astype(np.float32),
    )
    trace = segmint(replace(attention(truth), denoising=told), image, [BOAT], SETTINGS)
    assert not trace.mask.labels.any()


def test_only_classes_that_lead_somewhere_reach_pixels_and_the_mask_is_that_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A third word that is believed, though nothing speaks for it anywhere."""
    truth, image = scene()
    found = attention(truth)
    maps = {
        name: TokenMaps(
            tokens=("<SoT>", "boat", "tree", "star", "<EoT>"),
            phrases=("boat", "tree", "star"),
            phrase_tokens=((1,), (2,), (3,)),
            values=np.stack([*each.values[:3], each.values[0], each.values[-1]]),
        )
        for name, each in found.maps.items()
    }
    told = DenoisingEvidence(
        classes=("boat", "tree", "star"),
        gains=np.stack([truth == 1, truth == 4, np.full(GRID, False)]).astype(np.float32),
        change=(truth > 0).astype(np.float32),
    )
    seen = []

    def watched(soft, *rest):
        seen.append(len(soft))
        return field_mask(soft, *rest)

    monkeypatch.setattr(competition, "field_mask", watched)
    star = ClassQuery(name="star", label_id=7, phrases=("star",))
    asked = replace(found, maps=maps, denoising=told)
    masks = []
    for led in (0.0, RULES.led):
        rules = MaskSettings.parse({"competition": {"led": led, "temperature": 0.3}}, source="test")
        masks.append(segmint(asked, image, [BOAT, TREE, star], rules).mask.labels)
    assert seen == [4, 3]
    assert (masks[0] == masks[1]).mean() >= 0.9999
