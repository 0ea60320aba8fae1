import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segmint.artifacts import VotedMask
from segmint.masks.refine import dominant_labels, merged_small, refine, smoothed, through_jpeg
from segmint.masks.settings import RefineSettings, profile

QUIET = settings(max_examples=30, deadline=None)
REPORT, PUBLISHED = RefineSettings(), profile("pcc-published").refine
labels_4x4 = arrays(np.uint8, (4, 4), elements=st.sampled_from([0, 3, 9, 255]))
regions_4x4 = arrays(np.int32, (4, 4), elements=st.integers(0, 3))


def one_region(*counts: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    row = [label for label, count in counts for _ in range(count)]
    return np.zeros((1, len(row)), np.int32), np.array([row], np.uint8)


def test_two_thirds_dominate_by_share_and_two_to_one_does_not_by_ratio() -> None:
    regions, labels = one_region((5, 67), (0, 33))
    assert (dominant_labels(regions, labels, REPORT) == 5).all()
    regions, labels = one_region((5, 66), (0, 34))
    assert (dominant_labels(regions, labels, REPORT) == 255).all()
    regions, labels = one_region((5, 60), (0, 30), (2, 10))
    assert (dominant_labels(regions, labels, PUBLISHED) == 255).all()
    regions, labels = one_region((5, 61), (0, 30), (2, 9))
    assert (dominant_labels(regions, labels, PUBLISHED) == 5).all()


def test_uncertain_is_a_label_that_can_dominate_or_spoil() -> None:
    assert (dominant_labels(*one_region((255, 8), (5, 2)), REPORT) == 255).all()
    assert (dominant_labels(*one_region((255, 5), (5, 5)), REPORT) == 255).all()


def test_small_regions_are_judged_together() -> None:
    regions = np.array([[0, 0, 0, 1, 2, 2]], np.int32)
    assert merged_small(regions, 3).tolist() == [[0, 0, 0, 1, 1, 1]]
    assert merged_small(regions, 0) is regions


@QUIET
@given(regions=regions_4x4, labels=labels_4x4)
def test_dominance_is_idempotent(regions: np.ndarray, labels: np.ndarray) -> None:
    for rule in (REPORT, PUBLISHED):
        once = dominant_labels(regions, labels, rule)
        np.testing.assert_array_equal(dominant_labels(regions, once, rule), once)


@QUIET
@given(labels=labels_4x4)
def test_renaming_labels_renames_the_smoothed_mask(labels: np.ndarray) -> None:
    table = np.arange(256, dtype=np.uint8)
    table[[3, 9]] = 40, 41
    np.testing.assert_array_equal(smoothed(table[labels], PUBLISHED), table[smoothed(labels, PUBLISHED)])


def test_smoothing_drops_specks_fills_holes_and_rings() -> None:
    labels = np.zeros((24, 24), np.uint8)
    labels[6:18, 6:18] = 7
    labels[11, 11] = 0
    labels[2, 20] = 7
    out = smoothed(labels, PUBLISHED)
    expected = np.zeros_like(labels)
    expected[4:20, 4:20] = 255
    expected[6:18, 6:18] = 7
    np.testing.assert_array_equal(out, expected)


def test_colours_carry_grid_labels_to_the_edge_in_the_image() -> None:
    image = np.full((16, 24, 3), 30, np.uint8)
    image[:, 9:] = 220
    labels = np.repeat([[4, 4, 0, 0, 0, 0]], 4, axis=0).astype(np.uint8)
    voted = VotedMask(ballots=labels[None], labels=labels, agreement=np.full((4, 6), 0.75, np.float32))
    mask = refine(voted, image, RefineSettings(clusters=2, position_span=0.0))
    assert mask.labels.tolist() == [[4] * 9 + [0] * 15] * 16
    assert (mask.agreement == 0.75).all()


def test_any_image_size() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (3, 5)).astype(np.uint8)
    voted = VotedMask(ballots=labels[None], labels=labels, agreement=np.ones((3, 5), np.float32))
    for size in ((1, 1), (7, 11), (2, 40)):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        for rules in (REPORT, PUBLISHED):
            assert refine(voted, image, rules).labels.shape == size


def test_jpeg_changes_colours_a_little() -> None:
    y, x = np.mgrid[0:32, 0:32]
    image = np.stack([8 * x, 8 * y, 4 * (x + y)], axis=2).astype(np.uint8)
    seen = through_jpeg(image, 75)
    assert seen.shape == image.shape
    assert 0 < np.abs(seen.astype(int) - image).mean() < 10
