"""Classification and vote on 4×4 arrays whose answers can be read off."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segmint.artifacts import ClassEvidence, Clusters
from segmint.masks.features import connected
from segmint.masks.pcc import binarised, classify, vote
from segmint.masks.settings import VoteSettings

QUIET = settings(max_examples=30, deadline=None)
LEFT_RIGHT = np.array([[0, 0, 1, 1]] * 4, dtype=np.int32)
TOP_BOTTOM = LEFT_RIGHT.T.copy()


def evidence(*maps: np.ndarray, ids: tuple[int, ...]) -> ClassEvidence:
    return ClassEvidence(label_ids=ids, values=np.stack(maps).astype(np.float32), present=(True,) * len(ids))


def partition(*segments: np.ndarray) -> Clusters:
    stacked = np.stack(segments)
    return Clusters(
        counts=tuple(int(each.max()) + 1 for each in segments), clusters=stacked, segments=stacked
    )


def test_each_half_takes_the_class_that_covers_it() -> None:
    right = (LEFT_RIGHT == 1).astype(float)
    voted = vote(partition(LEFT_RIGHT), evidence(1 - right, right, ids=(0, 7)), VoteSettings())
    assert voted.labels.tolist() == [[0, 0, 7, 7]] * 4
    assert (voted.agreement == 1).all()
    assert voted.ballots.shape == (3, 4, 4)


def test_a_segment_that_nothing_overlaps_is_background() -> None:
    right = (LEFT_RIGHT == 1).astype(float)
    voted = vote(partition(LEFT_RIGHT), evidence(0 * right, right, ids=(0, 7)), VoteSettings())
    assert voted.labels.tolist() == [[0, 0, 7, 7]] * 4


def test_trials_that_disagree_are_uncertain() -> None:
    corner = np.zeros((4, 4))
    corner[:2, :2] = 1
    settings_ = VoteSettings(thresholds=(0.5,))
    voted = vote(
        partition(1 - LEFT_RIGHT, 1 - TOP_BOTTOM), evidence(1 - corner, corner, ids=(0, 5)), settings_
    )
    assert voted.labels.tolist() == [[5, 5, 255, 255]] * 2 + [[255, 255, 0, 0]] * 2
    assert voted.agreement.tolist() == [[1, 1, 0.5, 0.5]] * 2 + [[0.5, 0.5, 1, 1]] * 2


def test_five_of_nine_suffice_for_the_report_and_not_for_the_published_code() -> None:
    whole = np.zeros((4, 4), dtype=np.int32)
    trials = Clusters(counts=(1,) * 3, clusters=np.stack([whole] * 3), segments=np.stack([whole] * 3))
    maps = evidence(np.zeros((4, 4)), np.ones((4, 4)), ids=(0, 9))
    assert (vote(trials, maps, VoteSettings(share=0.5)).labels == 9).all()
    ballots = (*(0.3,) * 5, *(1.0,) * 4)  # the class is above five of the nine thresholds
    one = Clusters(counts=(1,), clusters=whole[None], segments=whole[None])
    for share, label in ((0.5, 9), (0.56, 255)):
        assert (vote(one, maps, VoteSettings(thresholds=ballots, share=share)).labels == label).all()


def test_background_needs_more_evidence() -> None:
    flat = np.full((4, 4), 0.55)
    binary = binarised(evidence(flat, flat, ids=(0, 3)), VoteSettings(thresholds=(0.5,)))
    assert binary.any(axis=(2, 3)).tolist() == [[False, True]]


def test_ties_go_to_the_lowest_id() -> None:
    half = (LEFT_RIGHT == 1).astype(float)
    found = classify(
        LEFT_RIGHT, evidence(half, half, ids=(2, 9)).values[None] > 0.5, np.array([2, 9], np.uint8)
    )
    assert found[0].tolist() == [[0, 0, 2, 2]] * 4


@QUIET
@given(
    maps=arrays(np.float32, (4, 4, 4), elements=st.floats(0, 1, width=32)),
    cut=arrays(np.int32, (4, 4), elements=st.integers(0, 3)),
    ids=st.sets(st.integers(1, 254), min_size=3, max_size=3),
)
def test_renaming_labels_in_order_renames_the_mask(maps: np.ndarray, cut: np.ndarray, ids: set[int]) -> None:
    segments = partition(connected(cut, 4))
    plain = vote(segments, evidence(*maps, ids=(0, 1, 2, 3)), VoteSettings())
    renamed = vote(segments, evidence(*maps, ids=(0, *sorted(ids))), VoteSettings())
    table = np.arange(256)
    table[1:4] = sorted(ids)
    np.testing.assert_array_equal(table[plain.labels], renamed.labels)
    np.testing.assert_array_equal(plain.agreement, renamed.agreement)


@QUIET
@given(
    maps=arrays(np.float32, (3, 4, 4), elements=st.floats(0, 1, width=32)),
    cut=arrays(np.int32, (4, 4), elements=st.integers(0, 3)),
)
def test_every_segment_votes_as_one(maps: np.ndarray, cut: np.ndarray) -> None:
    segments = connected(cut, 8)
    voted = vote(partition(segments), evidence(*maps, ids=(0, 4, 6)), VoteSettings())
    for ballot in voted.ballots:
        for segment in range(segments.max() + 1):
            assert len(np.unique(ballot[segments == segment])) == 1
    assert set(np.unique(voted.labels)) <= {0, 4, 6, 255}
