"""Regression of maps on features: the closed form, and fewer columns with the same answer."""

import numpy as np
import pytest

from segmint.artifacts import LayerComponents
from segmint.masks.resample import bilinear
from segmint.masks.ridge import Features, features_of, regressed

RNG = np.random.default_rng(1)


def features(values: np.ndarray) -> Features:
    return Features(values=values, count=values.shape[1])


def layer(count: int, side: int) -> LayerComponents:
    values = RNG.random((count, side, side)).astype(np.float16).astype(np.float32)
    return LayerComponents(layer=f"{side}", values=values)


def closed_form(maps: np.ndarray, columns: np.ndarray, weight: np.ndarray, ridge: float) -> np.ndarray:
    weight = weight / weight.sum()
    centred, mean = columns - weight @ columns, weight @ maps
    normal = (centred * weight[:, None]).T @ centred
    normal += np.eye(len(normal)) * ridge * np.trace(normal) / len(normal)
    return centred @ np.linalg.solve(normal, (centred * weight[:, None]).T @ (maps - mean)) + mean


def test_what_features_say_is_kept_and_what_they_cannot_say_is_not():
    columns, noise = RNG.random((200, 3)), RNG.standard_normal((200, 1))
    target = columns @ np.array([[1.0], [-2.0], [0.5]]) + 3
    assert np.allclose(regressed(target, features(columns), np.ones(200), 0.0), target, atol=1e-6)
    assert regressed(noise, features(columns), np.ones(200), 0.3).std() < 0.3 * noise.std()
    assert np.allclose(regressed(noise, features(columns[:, :0]), np.ones(200), 0.3), noise.mean())


def test_many_columns_of_a_coarse_layer_become_few_with_the_same_regression():
    layers = [layer(5, 8), layer(30, 4), layer(20, 4), layer(9, 2)]
    found = features_of(layers, (8, 8), levels=3)
    assert (found.values.shape, found.count) == ((64, 5 + 16 + 4), 64)
    columns = np.concatenate([bilinear(each.values, (8, 8)) for each in layers]).reshape(64, 64).T
    maps, weight = RNG.random((64, 3)), RNG.random(64)
    expected = closed_form(maps, columns.astype(np.float64), weight, 0.3)
    np.testing.assert_allclose(regressed(maps, found, weight, 0.3), expected, atol=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_columns_that_are_all_alike_or_constant_are_no_trouble(ridge):
    alike = np.repeat(RNG.random((50, 1)), 40, axis=1)
    for columns in (alike, np.ones((50, 4))):
        found = regressed(RNG.random((50, 2)), features(columns), np.ones(50), ridge)
        assert np.isfinite(found).all()


def test_only_the_finest_levels_count():
    layers = [layer(2, 8), layer(3, 4), layer(4, 2)]
    assert features_of(layers, (8, 8), levels=1).count == 2
    assert features_of(layers, (8, 8), levels=2).count == 5
    assert features_of([], (8, 8), levels=3).values.shape == (64, 0)
