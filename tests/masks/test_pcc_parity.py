"""`pcc-published` against the masks and intermediate steps of the published code, pixel by pixel."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from golden_scenes import SCENES, Scene, load, published_settings, same_partition
from sklearn.cluster import KMeans

from segmint.artifacts import RefinedMask, VotedMask
from segmint.masks.evidence import scaled_evidence
from segmint.masks.features import GridPartition, own_partition, segment_grid
from segmint.masks.gridpoints import Level, dense_points, levels_of
from segmint.masks.pcc import vote
from segmint.masks.pixels import colour_position_points
from segmint.masks.refine import PixelPartition, dominant_labels, merged_small, refine, smoothed
from segmint.masks.refine import own_partition as own_pixel_partition
from segmint.masks.resample import block_means, nearest
from segmint.masks.settings import ClusterSettings, RefineSettings

SETTINGS = published_settings()


@pytest.fixture(params=SCENES)
def scene(request: pytest.FixtureRequest, reference: Path) -> Scene:
    return load(reference, request.param)


@cache
def own_pixels(name: str, reference: Path) -> np.ndarray:
    return own_pixel_partition(colour_position_points(load(reference, name).image, 255.0), SETTINGS.refine)


def sklearn_grid(levels: Sequence[Level], clusters: int, settings: ClusterSettings) -> np.ndarray:
    return KMeans(clusters, random_state=settings.seed).fit(dense_points(levels)).labels_


def sklearn_pixels(points: np.ndarray, settings: RefineSettings) -> np.ndarray:
    return KMeans(settings.clusters, random_state=settings.seed).fit(points).labels_


def voted_as_published(scene: Scene) -> VotedMask:
    return vote(scene.published_clusters, scene.published_evidence, SETTINGS.vote)


def test_segments_are_the_published_components(scene: Scene) -> None:
    for ours, theirs in zip(scene.published_clusters.segments, scene.steps["comps64"], strict=True):
        assert same_partition(ours, theirs)


def test_evidence_is_the_published_activation(scene: Scene) -> None:
    maps = block_means(scene.token_maps, (64, 64))
    rows = [(0,), *(scene.tokens[each] for each in sorted(scene.tokens))]
    values = np.stack([maps[list(each)].max(axis=0) for each in rows])
    evidence = scaled_evidence(values, (0, *sorted(scene.tokens)))
    np.testing.assert_allclose(evidence.values, scene.steps["class_activations"], atol=1e-6)
    assert all(evidence.present)


def test_every_ballot_matches(scene: Scene) -> None:
    np.testing.assert_array_equal(voted_as_published(scene).ballots, scene.steps["votes"])


def test_mode_and_count_match(scene: Scene) -> None:
    voted = voted_as_published(scene)
    np.testing.assert_array_equal(np.rint(voted.agreement * 9), scene.steps["count"])
    expected = np.where(scene.steps["count"] >= 6, scene.steps["mode"], 255)
    np.testing.assert_array_equal(voted.labels, expected)


def test_blocky_mask_matches(scene: Scene) -> None:
    np.testing.assert_array_equal(nearest(voted_as_published(scene).labels, (512, 512)), scene.blocky)


def test_labels_before_morphology_match(scene: Scene) -> None:
    regions = scene.steps["comps512"].astype(np.int32)
    np.testing.assert_array_equal(
        dominant_labels(merged_small(regions, 10), scene.blocky, SETTINGS.refine), scene.steps["assigned"]
    )


def test_refined_mask_matches_given_the_stored_pixel_clusters(scene: Scene) -> None:
    def stored(points: np.ndarray, settings: RefineSettings) -> np.ndarray:
        return scene.steps["kmeans512_labels"].ravel()

    mask = refine(voted_as_published(scene), scene.image, SETTINGS.refine, stored)
    np.testing.assert_array_equal(mask.labels, scene.refined)
    np.testing.assert_array_equal(smoothed(scene.steps["assigned"], SETTINGS.refine), scene.refined)


def end_to_end(scene: Scene, grid: GridPartition, pixels: PixelPartition) -> RefinedMask:
    clusters = segment_grid(scene.components, (64, 64), SETTINGS.clusters, grid)
    voted = vote(clusters, scene.published_evidence, SETTINGS.vote)
    return refine(voted, scene.image, SETTINGS.refine, pixels)


def test_end_to_end_with_scikit_learn_every_pixel_matches(scene: Scene) -> None:
    np.testing.assert_array_equal(end_to_end(scene, sklearn_grid, sklearn_pixels).labels, scene.refined)


@pytest.mark.parametrize("partition", [sklearn_grid, own_partition])
def test_the_detour_through_float16_changes_no_pixel(scene: Scene, partition: GridPartition) -> None:
    """Features pass through it before any mask is made (docs/decisions/0002)."""
    rounded = [
        replace(each, values=each.values.astype(np.float16).astype(np.float32)) for each in scene.components
    ]
    assert any((a.values != b.values).any() for a, b in zip(rounded, scene.components, strict=True))
    clusters = segment_grid(tuple(rounded), (64, 64), SETTINGS.clusters, partition)
    voted = vote(clusters, scene.published_evidence, SETTINGS.vote)
    np.testing.assert_array_equal(nearest(voted.labels, (512, 512)), scene.blocky)


def test_end_to_end_with_own_kmeans(reference: Path) -> None:
    agreement = []
    for name in SCENES:
        scene = load(reference, name)
        mask = end_to_end(
            scene, own_partition, lambda points, settings, name=name: own_pixels(name, reference)
        )
        agreement.append((mask.labels == scene.refined).mean())
    assert np.mean(agreement) >= 0.97, agreement


def inertia(points: np.ndarray, labels: np.ndarray) -> float:
    found = [points[labels == each] for each in np.unique(labels)]
    return float(sum(((each - each.mean(axis=0)) ** 2).sum() for each in found))


def test_own_grid_inertia_is_scikit_learns(scene: Scene) -> None:
    levels = levels_of(scene.components, (64, 64), 1.0)
    points = dense_points(levels)
    for count in SETTINGS.clusters.counts:
        ours = inertia(points, own_partition(levels, count, SETTINGS.clusters))
        assert ours <= 1.01 * inertia(points, sklearn_grid(levels, count, SETTINGS.clusters))


@pytest.mark.parametrize("name", SCENES)
def test_own_pixel_inertia_is_scikit_learns(name: str, reference: Path) -> None:
    scene = load(reference, name)
    points = colour_position_points(scene.image, 255.0)
    theirs = scene.steps["kmeans512_labels"].ravel()
    assert inertia(points, own_pixels(name, reference)) <= 1.01 * inertia(points, theirs)
