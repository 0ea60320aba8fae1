import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmint.training.data.readers.outlines import Runs, checked, draw

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools

SQUARE = [0, 0, 4, 0, 4, 4, 0, 4]


@pytest.mark.parametrize(
    "outline",
    [
        [SQUARE],
        SQUARE,
        [[0, 0], [4, 0], [4, 4], [0, 4]],
        [[[0, 0], [4, 0], [4, 4], [0, 4]]],
        [SQUARE, [5, 5, 5, 9]],
        [SQUARE, []],
        [SQUARE, [3, 3]],
        [SQUARE, SQUARE],
        {"size": [6, 8], "counts": [0, 4, 2, 4, 2, 4, 2, 4, 26]},
        {"size": [6, 8], "counts": "0424000000f0"},
    ],
)
def test_outlines_of_any_shape(outline):
    expected = np.zeros((6, 8), bool)
    expected[:4, :4] = True
    if isinstance(outline, dict) and isinstance(outline["counts"], str):
        outline = {**outline, "counts": compressed(expected)}
    assert draw(checked(outline), height_px=6, width_px=8).tolist() == expected.tolist()


def compressed(inside):
    from pycocotools import mask as coco

    return coco.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"].decode()


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 20))
def test_run_lengths_as_the_coco_api_writes_them(pixels, stretch):
    inside = np.repeat(np.array(pixels), stretch)[None, :]
    found = checked({"size": list(inside.shape), "counts": compressed(inside)})
    if found is None:
        assert not inside.any()
    else:
        assert (draw(found, height_px=1, width_px=inside.shape[1]) == inside).all()


@pytest.mark.parametrize(
    "outline", [None, [], [[]], [[5, 5, 5, 9]], [[1, 2], [3, 4]], {"size": [2, 2], "counts": [4]}]
)
def test_what_encloses_nothing(outline):
    assert checked(outline) is None


@pytest.mark.parametrize("size", [[64, 64], [1, 4096]])
@pytest.mark.parametrize(
    "counts",
    [
        [10, 100],
        [-5, 4101],
        [4096, 1],
        [5, "4091"],
        [4096.0],
        [True, 4095],
        None,
        7,
        "~~",
        "P",
        "\u0100",
        [10**30],
    ],
)
def test_run_lengths_that_do_not_fit_are_refused(counts, size):
    with pytest.raises(ValueError, match="run lengths"):
        checked({"size": size, "counts": counts})


@pytest.mark.parametrize(
    "size", [None, [], [64], [0, 64], [-1, -4096], ["64", "64"], [64.0, 64.0], "64", [64, 64, 1]]
)
def test_run_lengths_without_a_size_are_refused(size):
    with pytest.raises(ValueError, match="size"):
        checked({"size": size, "counts": [0, 4096]})


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), None, "3", True, {}, [], 10**400], ids=str
)
@pytest.mark.parametrize("place", range(8))
def test_a_corner_that_is_no_number_is_refused(value, place):
    polygon = list(SQUARE)
    polygon[place] = value
    with pytest.raises(ValueError, match="polygon"):
        checked([polygon])


@pytest.mark.parametrize("value", [1e9, -1e9, 1e300, 10**20, 40])
def test_a_corner_far_outside_is_refused(value):
    with pytest.raises(ValueError, match="corner at"):
        draw(checked([[0, 0, value, 0, 4, 4]]), height_px=6, width_px=8)


def test_a_corner_a_little_outside_is_not():
    assert draw(checked([[-3, -3, 12, -3, 12, 9, -3, 9]]), height_px=6, width_px=8).all()


@pytest.mark.parametrize("outline", ["text", 7, True, [[0, 0, 1]], [[0, 0, 1, 1, 2, 2], 7], ["a"]])
def test_what_is_no_outline_is_refused(outline):
    with pytest.raises(ValueError, match=r"segmentation|polygon"):
        checked(outline)


def test_run_lengths_for_an_image_of_another_size():
    with pytest.raises(ValueError, match="made for 3×2 px, the image is 8×6"):
        draw(Runs(counts=(0, 6), height_px=2, width_px=3), height_px=6, width_px=8)
