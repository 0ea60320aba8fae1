import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from segmint.export.polygons import bridged, regions, signed_area


def filled(line, shape):
    """The line's inside by parity, asked at every pixel's centre: cross-checks the tracing by another way."""
    y, x = np.indices(shape) + 0.5
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(line, np.roll(line, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def pixels(text):
    return np.array([[int(c) for c in row] for row in text.split()], dtype=np.uint8)


def test_one_pixel_is_a_square():
    [region], _ = regions(pixels("000 010 000"))
    assert sorted(map(tuple, region.outer.tolist())) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert region.area_px == signed_area(region.outer) == 1


def test_corners_only():
    [region], _ = regions(pixels("1111 1111"))
    assert len(region.outer) == 4
    assert signed_area(region.outer) == 8


def test_a_ring_has_a_hole():
    [region], _ = regions(pixels("11111 10001 10001 11111"))
    assert region.area_px == 14
    [hole] = region.holes
    assert signed_area(region.outer) == 20
    assert signed_area(hole) == -6
    assert signed_area(bridged(region)) == 14


def test_pixels_that_touch_at_a_corner_are_two_regions():
    found, _ = regions(pixels("10 01"))
    assert [region.area_px for region in found] == [1, 1]


def test_a_hole_that_touches_its_outline_at_a_corner():
    [region], _ = regions(pixels("1111 1011 1101 1111"))
    assert region.area_px == 14
    assert signed_area(bridged(region)) == 14


def test_neighbouring_classes_and_the_uncertain():
    labels = pixels("112 112 002")
    labels[2, 0] = 255
    found, _ = regions(labels)
    assert {(region.label_id, region.area_px) for region in found} == {(1, 4), (2, 3)}


def test_nothing_has_no_region():
    found, _ = regions(np.zeros((3, 3), np.uint8))
    assert found == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 12), st.floats(0.2, 0.9))
def test_polygons_hold_exactly_their_pixels(seed, height, width, density):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((height, width)) < density, rng.integers(1, 3, (height, width)), 0).astype(
        np.uint8
    )
    labels[rng.random((height, width)) < 0.1] = 255
    found, components = regions(labels)
    covered = np.zeros((height, width), np.uint8)
    for region in found:
        mine = filled(bridged(region), labels.shape)
        assert (mine == (components == region.component)).all()
        assert mine.sum() == region.area_px == signed_area(bridged(region))
        covered[mine] = region.label_id
    assert (covered == np.where(labels == 255, 0, labels)).all()


@pytest.mark.parametrize("scale", [8])
def test_pillow_fills_the_same_pixels(scale):
    """At eight times the size Pillow's own inclusive edges stay under one pixel of the mask."""
    labels = pixels("11110 10010 11110 00000")
    [region], _ = regions(labels)
    height, width = labels.shape
    canvas = Image.new("L", (width * scale, height * scale))
    ImageDraw.Draw(canvas).polygon([(x * scale, y * scale) for x, y in bridged(region).tolist()], fill=1)
    centres = np.asarray(canvas)[scale // 2 :: scale, scale // 2 :: scale]
    assert (centres == labels).all()
