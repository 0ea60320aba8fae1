"""Absent classes are told from present ones by loudness, before any map is scaled by itself."""

from dataclasses import replace

import numpy as np
from competition_scene import BOAT, TREE, attention, scene

from segmint.artifacts import AttentionSummary, TokenMaps
from segmint.masks.evidence import ClassQuery
from segmint.masks.presence import presence_scores, present_classes
from segmint.masks.settings import profile

SETTINGS = profile("segmint")
STAR = ClassQuery(name="star", label_id=7, phrases=("star",))


def with_faint_star() -> AttentionSummary:
    """The scene with a third word that answers faintly to the boat."""
    truth, _ = scene()
    found = attention(truth)
    maps = {}
    for name, each in found.maps.items():
        star = 0.4 * each.values[1]
        tree = each.values[2] / 10
        values = np.stack([each.values[0], each.values[1], tree, star, each.values[3]])
        maps[name] = TokenMaps(
            tokens=("<SoT>", "boat", "tree", "star", "<EoT>"),
            phrases=("boat", "tree", "star"),
            phrase_tokens=((1,), (2,), (3,)),
            values=values.astype(np.float32),
        )
    return replace(found, maps=maps)


def test_a_word_that_only_echoes_another_is_absent() -> None:
    found = with_faint_star()
    kept = present_classes(found, [BOAT, TREE, STAR], SETTINGS)
    assert [each.name for each in kept] == ["boat", "tree"]
    scores = presence_scores(found, [BOAT, TREE, STAR], SETTINGS)
    assert scores[2] < 0.3
    assert min(scores[:2]) > SETTINGS.presence.share


def test_a_lone_class_is_believed_and_none_stays_none() -> None:
    found = with_faint_star()
    assert present_classes(found, [STAR], SETTINGS) == (STAR,)
    assert present_classes(found, [], SETTINGS) == ()
