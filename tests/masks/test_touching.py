"""Touching things of one class: cut at necks whose sides look alike, and nowhere else."""

import numpy as np
import pytest

from segmint.artifacts import AttentionSummary, LayerComponents
from segmint.masks.instances import part
from segmint.masks.touching import CutRules, middle_features, touching_things

SIDE = 8
"""Of the largest grid here; the middle one has half of it."""


def dumbbell():
    mask = np.zeros((20, 44), np.uint8)
    mask[2:18, 2:18], mask[2:18, 26:42], mask[9:11, 18:26] = 1, 1, 1
    return mask


def summary(left, right):
    """A column of features: one value in each half, with a gradient of 0.1 within it."""
    middle = np.zeros((1, SIDE // 2, SIDE // 2), np.float32)
    middle[0, :, :2], middle[0, :, 2:] = left, right
    middle += np.linspace(0, 0.1, SIDE // 2, dtype=np.float32)[None, :, None]
    fine = np.zeros((1, SIDE, SIDE), np.float32)
    layers = (LayerComponents(layer="fine", values=fine), LayerComponents(layer="middle", values=middle))
    return AttentionSummary(grid=(SIDE, SIDE), components=layers, maps={})


def test_a_neck_with_like_sides_parts_two_things():
    points = touching_things(dumbbell(), summary(0.5, 0.5))
    assert len(points) == 2
    found = part(dumbbell(), points=points)
    assert found.label_ids == (1, 1)
    assert (found.numbers[2:18, 2:18] == 1).all()
    assert (found.numbers[2:18, 26:42] == 2).all()
    assert ((found.numbers > 0) == (dumbbell() > 0)).all()


def test_a_thing_whose_parts_differ_stays_whole():
    assert touching_things(dumbbell(), summary(0.1, 0.9)) == ()


@pytest.mark.parametrize("rules", [CutRules(neck=0.05), CutRules(even=1.01)])
def test_necks_are_narrow_and_parts_even(rules):
    assert touching_things(dumbbell(), summary(0.5, 0.5), rules) == ()


def test_without_features_nothing_is_told_apart():
    bare = AttentionSummary(grid=(SIDE, SIDE), components=(), maps={})
    assert middle_features(bare) is None
    assert touching_things(dumbbell(), bare) == ()


def test_points_outside_or_on_no_thing_are_passed_over():
    mask = dumbbell()
    points = ((10, 10), (-1, 3), (5, 400), (0, 0), (10, 30))
    assert part(mask, points=points).label_ids == (1, 1)
    mask[9:11, 18:26] = 2  # corrected by hand: what touched is of two regions now
    assert part(mask, points=points).label_ids == (1, 1, 2)
    assert part(mask, points=points[:2]).label_ids == (1, 1, 2)
