"""Absent classes are told from present ones before any map is scaled by itself."""

from dataclasses import replace

import numpy as np
from competition_scene import BOAT, GRID, TREE, attention, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from segmint.artifacts import AttentionSummary, DenoisingEvidence, TokenMaps
from segmint.masks.competition import segmint
from segmint.masks.contest import Contest, parted
from segmint.masks.evidence import ClassQuery
from segmint.masks.presence import judged, presence_of
from segmint.masks.settings import profile

SETTINGS = profile("segmint")
RULES = SETTINGS.presence
STAR = ClassQuery(name="star", label_id=7, phrases=("star",))


def doubted(*classes: ClassQuery, share: float = SETTINGS.presence.share) -> list[ClassQuery]:
    return [replace(each, least_share=share) for each in classes]


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


def denoised(**regions: np.ndarray) -> DenoisingEvidence:
    """Evidence that each class helps in its own region, and harms elsewhere."""
    return DenoisingEvidence(
        classes=tuple(regions),
        gains=np.stack([np.where(region, 0.5, -0.5) for region in regions.values()]).astype(np.float32),
        change=np.any(list(regions.values()), axis=0).astype(np.float32),
    )


def test_a_word_that_only_echoes_another_is_absent() -> None:
    found = presence_of(with_faint_star(), doubted(BOAT, TREE, STAR), SETTINGS)
    assert found is not None
    assert found.absent == ("star",)
    assert found.scores["star"] < 0.3
    assert min(found.scores["boat"], found.scores["tree"]) > SETTINGS.presence.share


def test_denoising_evidence_tells_a_loud_word_of_an_absent_thing() -> None:
    truth, _ = scene()
    attended = with_faint_star()
    loud = {  # the star answers as loudly as the boat, where the boat is
        name: replace(
            each,
            values=np.stack([*each.values[:3], 1.05 * each.values[1], each.values[4]]).astype(np.float32),
        )
        for name, each in attended.maps.items()
    }
    nowhere = np.zeros(GRID, bool)
    told = denoised(boat=truth == 1, tree=truth == 4, star=nowhere)
    deceived = presence_of(replace(attended, maps=loud), doubted(BOAT, TREE, STAR), SETTINGS)
    known = presence_of(replace(attended, maps=loud, denoising=told), doubted(BOAT, TREE, STAR), SETTINGS)
    assert deceived is not None
    assert known is not None
    assert "star" not in deceived.absent
    assert known.absent == ("star",)
    assert deceived.helped == {}
    assert known.helped["boat"] > known.helped["star"] == -0.5


def test_a_class_that_was_not_asked_for_among_many_is_absent() -> None:
    truth, image = scene()
    found = replace(with_faint_star(), denoising=denoised(boat=truth == 1, tree=truth == 4))
    presence = presence_of(found, doubted(BOAT, TREE, STAR), SETTINGS)
    assert presence is not None
    assert presence.absent == ("star",)
    assert presence.scores["star"] == 0
    labels = segmint(found, image, doubted(BOAT, TREE, STAR), SETTINGS).mask.labels
    assert set(np.unique(labels)) == {0, 1, 4}


def test_a_believed_class_stays_a_lone_one_too_and_none_stays_none() -> None:
    found = with_faint_star()
    believed = presence_of(found, [BOAT, TREE, STAR], SETTINGS)
    assert believed is not None
    assert believed.absent == ()
    alone = presence_of(found, doubted(STAR), SETTINGS)
    assert alone is not None
    assert alone.absent == ()
    assert presence_of(found, [], SETTINGS) is None


def test_an_absent_class_gets_no_pixel_and_the_mask_says_so() -> None:
    _, image = scene()
    trace = segmint(with_faint_star(), image, doubted(BOAT, TREE, STAR), SETTINGS)
    assert trace.presence is not None
    assert trace.presence.absent == ("star",)
    assert not (trace.mask.labels == STAR.label_id).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.booleans())
def test_looking_at_few_classes_again_judges_as_looking_at_all_of_them(seed: int, count: int, told: bool):
    rng = np.random.default_rng(seed)
    maps, gains = rng.standard_normal((60, count)), rng.standard_normal((60, count))
    asked = np.arange(count) % 4 != 3
    inside = rng.random(60)
    known = Contest(
        inside=inside,
        separability=0.9,
        maps=maps,
        standard=maps,
        gains=gains if told else None,
        helps=gains if told else None,
        asked=asked,
    )
    classes = [
        ClassQuery(name=str(place), label_id=place + 1, phrases=(), least_share=rng.random())
        for place in range(count)
    ]
    found = judged(known, classes, RULES)
    scores, absent = plainly_judged(known, classes)
    assert found.absent == tuple(str(place) for place in sorted(absent))
    assert list(found.scores.values()) == [round(float(each), 4) for each in scores]


def plainly_judged(known: Contest, classes: list[ClassQuery]) -> tuple[np.ndarray, list[int]]:
    """Every class's share anew each time one has gone."""
    within = known.inside > 0.5
    odds = known.maps / known.maps[within].std()
    if known.gains is not None:
        odds = odds + RULES.gain * known.gains / known.gains[within].std()
    temperature = RULES.temperature if known.gains is not None else RULES.temperature_alone
    needed = np.array([each.least_share for each in classes]) * (
        1 if known.gains is not None else RULES.alone
    )
    left, gone = list(np.flatnonzero(known.asked)), list(np.flatnonzero(~known.asked))
    held, count = np.zeros(len(classes)), max(1, round(RULES.peak * float(known.inside.sum())))
    while True:
        shares = parted(odds[:, left], temperature) * known.inside[:, None]
        held[left] = np.sort(shares, axis=0)[-count:].mean(axis=0)
        lack = needed[left] - held[left]
        if len(left) == 1 or lack.max() <= 0:
            return held, gone
        gone.append(left.pop(int(lack.argmax())))
