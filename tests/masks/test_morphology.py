"""Squares grow and shrink: what refining stands on."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from segmint.masks.refine import dilate, erode

SQUARE = np.ones((3, 3), dtype=bool)
masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14))


def test_one_pixel_grows_to_a_square_and_shrinks_back() -> None:
    dot = np.zeros((5, 6), dtype=bool)
    dot[1, 2] = True
    square = dilate(dot, 1)
    assert square.astype(int).tolist()[:3] == [[0, 1, 1, 1, 0, 0]] * 3
    np.testing.assert_array_equal(erode(square, 1)[1:], dot[1:])


def test_the_images_edge_does_not_erode() -> None:
    half = np.zeros((4, 4), dtype=bool)
    half[:, :3] = True
    assert erode(half, 1).astype(int).tolist() == [[1, 1, 0, 0]] * 4


@settings(max_examples=40, deadline=None)
@given(mask=masks, radius=st.integers(0, 7))
def test_equal_to_repeated_three_by_three_steps(mask: np.ndarray, radius: int) -> None:
    grown, shrunk = mask, mask
    for _ in range(radius):
        grown = ndimage.binary_dilation(grown, SQUARE)
        shrunk = ndimage.binary_erosion(shrunk, SQUARE, border_value=1)
    np.testing.assert_array_equal(dilate(mask, radius), grown)
    np.testing.assert_array_equal(erode(mask, radius), shrunk)
