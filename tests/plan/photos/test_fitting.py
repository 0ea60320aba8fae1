"""Sizes: bounded cost, kept shapes, labels that come back to the image's own size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmint.artifacts import RefinedMask
from segmint.plan.photos.reading import drawing_size, resized, to_size

sides = st.integers(1, 30_000)


def test_the_examples_of_the_docstring() -> None:
    assert drawing_size((200, 20_000), model_size=(128, 128), finest=4.0) == (26, 2560)
    assert drawing_size((1, 1), model_size=(128, 128), finest=4.0) == (128, 128)
    assert drawing_size((375, 500), model_size=(512, 512), finest=4.0) == (443, 591)


@given(sides, sides)
def test_cost_is_bounded_whatever_comes(height: int, width: int) -> None:
    drawn = drawing_size((height, width), model_size=(512, 512), finest=4.0)
    assert drawn[0] * drawn[1] <= 4.1 * 512 * 512 + max(drawn)


@given(st.integers(512, 1000), st.integers(512, 1000))
def test_a_usual_photo_is_drawn_at_its_own_size(height: int, width: int) -> None:
    assert drawing_size((height, width), model_size=(512, 512), finest=4.0) == (height, width)


def test_an_image_of_the_right_size_is_not_touched() -> None:
    image = np.zeros((3, 5, 3), np.uint8)
    assert resized(image, (3, 5)) is image
    assert resized(image, (7, 2)).shape == (7, 2, 3)


def test_labels_go_where_their_centres_lie() -> None:
    mask = RefinedMask(
        labels=np.array([[1, 2], [3, 255]], np.uint8), agreement=np.full((2, 2), 0.5, np.float32)
    )
    assert to_size(mask, (4, 3)).labels.tolist() == [[1, 2, 2], [1, 2, 2], [3, 255, 255], [3, 255, 255]]
    assert to_size(mask, (1, 1)).labels.tolist() == [[255]]
    assert to_size(mask, (2, 2)) is mask


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3, 7)])
def test_any_size_comes_back(size: tuple[int, int]) -> None:
    mask = RefinedMask(labels=np.ones((16, 16), np.uint8), agreement=np.ones((16, 16), np.float32))
    assert to_size(mask, size).agreement.shape == size
