"""Own K-means against scikit-learn's, in both representations, and against its own plain arithmetic."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from segmint.artifacts import LayerComponents
from segmint.masks import kmeans
from segmint.masks.gridpoints import GridSamples, dense_points, levels_of, relative_positions
from segmint.masks.pixels import PixelSamples, colour_position_points

QUIET = settings(max_examples=15, deadline=None)


def sklearn_labels(points: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct points than clusters
        return KMeans(clusters, random_state=seed).fit(points).labels_


def own(samples: kmeans.Samples, clusters: int, seed: int) -> np.ndarray:
    return kmeans.cluster(samples, clusters, seed=seed, iterations=300, tolerance=1e-4)


def layers(seed: int, shapes: list[tuple[int, int, int]]) -> tuple[LayerComponents, ...]:
    rng = np.random.default_rng(seed)
    return tuple(
        LayerComponents(layer=str(i), values=rng.random(shape, dtype=np.float32))
        for i, shape in enumerate(shapes)
    )


@QUIET
@given(seed=st.integers(0, 1000), clusters=st.integers(1, 9))
def test_grid_labels_are_scikit_learns(seed: int, clusters: int) -> None:
    levels = levels_of(layers(seed, [(3, 3, 2), (2, 6, 4), (4, 12, 8)]), (12, 8), 1.0)
    np.testing.assert_array_equal(
        own(GridSamples(levels), clusters, seed), sklearn_labels(dense_points(levels), clusters, seed)
    )


@QUIET
@given(seed=st.integers(0, 1000), clusters=st.integers(1, 24))
def test_pixel_labels_are_scikit_learns(seed: int, clusters: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (23, 17, 3), dtype=np.uint8)
    points = colour_position_points(image, 255.0)
    np.testing.assert_array_equal(
        own(PixelSamples(points), clusters, seed), sklearn_labels(points, clusters, seed)
    )


@QUIET
@given(seed=st.integers(0, 1000))
def test_few_distinct_points_leave_no_cluster_astray(seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 2, (40, 2)).astype(np.float64)
    labels = own(PixelSamples(points), 6, seed)
    distinct = np.unique(points, axis=0)
    assert len(np.unique(labels)) == len(distinct)
    for point in distinct:
        assert len(np.unique(labels[(points == point).all(axis=1)])) == 1


def test_two_clumps_on_a_line() -> None:
    points = np.array([[0.0], [1.0], [2.0], [100.0], [101.0], [102.0]])
    labels = own(PixelSamples(points), 2, 0)
    assert labels[0] == labels[1] == labels[2] != labels[3]
    assert labels[3] == labels[4] == labels[5]


def test_no_more_clusters_than_samples() -> None:
    assert sorted(own(PixelSamples(np.array([[0.0], [5.0], [9.0]])), 10, 0)) == [0, 1, 2]


def test_samples_spread_over_many_windows() -> None:
    points = np.random.default_rng(0).random((3 * kmeans.WINDOW + 5, 3))
    np.testing.assert_array_equal(own(PixelSamples(points), 7, 3), sklearn_labels(points, 7, 3))


def test_an_emptied_cluster_gets_the_farthest_sample() -> None:
    samples = PixelSamples(np.array([[0.0], [1.0], [2.0], [50.0]]))
    centre = samples.rows([0, 1, 3]).mean()
    centres = np.array([[samples.rows([1])[0, 0]], [centre + 1000.0]])
    samples.assign(centres)
    moved = kmeans._means(samples, centres)
    assert moved[1, 0] == pytest.approx(samples.rows([3])[0, 0])
    assert moved[0, 0] == pytest.approx(samples.rows([0, 1, 2]).mean())


@QUIET
@given(seed=st.integers(0, 1000), centres=st.integers(2, 40))
def test_certified_slack_never_exceeds_the_exact_one(seed: int, centres: int) -> None:
    rng = np.random.default_rng(seed)
    rows, places = rng.normal(0, 80, (200, 5)), rng.normal(0, 80, (centres, 5))
    exact_labels, exact = kmeans.two_nearest_exactly(rows, places)
    squared = ((rows[None] - places[:, None]) ** 2).sum(axis=2).astype(np.float32)
    error = kmeans.rounding_error(5, float(kmeans.squared_norms(np.concatenate([rows, places])).max()))
    labels, slack = kmeans.two_nearest(squared, error)
    certain = slack > 0
    assert (slack <= exact + 1e-9)[certain].all()
    np.testing.assert_array_equal(labels[certain], exact_labels[certain])
    assert certain.mean() > 0.9


def test_levels_hold_each_layer_once_and_positions_at_the_grid() -> None:
    levels = levels_of(layers(0, [(3, 2, 2), (5, 2, 2), (2, 4, 6)]), (4, 6), 1.0)
    assert [level.values.shape for level in levels] == [(4, 8), (24, 4)]
    assert dense_points(levels).shape == (24, 12)


def test_relative_positions_span_zero_to_one() -> None:
    x, y = relative_positions((3, 5))
    assert x[0].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert y[:, 0].tolist() == [0, 0.5, 1]
    assert relative_positions((1, 1)).tolist() == [[[0.0]], [[0.0]]]
