"""Clusters and connected segments of small grids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from segmint.artifacts import LayerComponents
from segmint.errors import ConfigError
from segmint.masks.features import connected, segment_grid
from segmint.masks.settings import ClusterSettings

DIAGONAL = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]])


def test_corners_touch_under_eight_neighbours_only() -> None:
    assert connected(DIAGONAL, 4).max() == 3
    assert connected(DIAGONAL, 8).tolist() == DIAGONAL.tolist()


@settings(max_examples=30, deadline=None)
@given(
    labels=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)),
    connectivity=st.sampled_from([4, 8]),
)
def test_regions_are_those_of_one_label_at_a_time(labels: np.ndarray, connectivity: int) -> None:
    regions = connected(labels, connectivity)
    structure = np.ones((3, 3)) if connectivity == 8 else None
    counts = [ndimage.label(labels == each, structure)[1] for each in np.unique(labels)]
    assert sorted(np.unique(regions)) == list(range(sum(counts)))
    for region in np.unique(regions):
        assert len(np.unique(labels[regions == region])) == 1
    again = connected(regions, connectivity)
    assert again.max() == regions.max()


def test_features_decide_where_they_differ() -> None:
    values = np.repeat([[0.0, 0.0, 1.0, 1.0]], 4, axis=0).astype(np.float32)
    layer = LayerComponents(layer="a", values=np.stack([values] * 5))
    found = segment_grid([layer], (4, 4), ClusterSettings(counts=(2,), position_weight=0.1))
    left, right = found.clusters[0, 0, 0], found.clusters[0, 0, 3]
    assert left != right
    assert found.clusters[0].tolist() == [[left, left, right, right]] * 4
    assert found.counts == (2,)


def test_coarse_layers_count_on_a_grid_that_is_no_multiple() -> None:
    rng = np.random.default_rng(0)
    layers = [
        LayerComponents(layer=str(i), values=rng.random(shape, dtype=np.float32))
        for i, shape in enumerate([(3, 2, 3), (3, 4, 5), (3, 7, 9)])
    ]
    found = segment_grid(layers, (7, 9), ClusterSettings())
    assert found.clusters.shape == found.segments.shape == (3, 7, 9)
    assert found.counts == (4, 7, 10)


def test_the_same_seed_gives_the_same_clusters() -> None:
    layer = LayerComponents(layer="a", values=np.random.default_rng(0).random((6, 8, 8), dtype=np.float32))
    one, two = (segment_grid([layer], (8, 8), ClusterSettings(seed=3)) for _ in range(2))
    np.testing.assert_array_equal(one.clusters, two.clusters)


def test_nothing_to_cluster_by_is_said() -> None:
    with pytest.raises(ConfigError, match="nothing to cluster by"):
        segment_grid([], (4, 4), ClusterSettings(position_weight=0.0))
    positions_only = segment_grid([], (4, 4), ClusterSettings(counts=(2,)))
    assert positions_only.counts == (2,)
