import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segmint.masks.resample import bicubic, bilinear, block_means, nearest, through_image

QUIET = settings(max_examples=25, deadline=None)
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def test_nearest_repeats_blocks() -> None:
    small = np.array([[1, 2], [3, 4]])
    assert nearest(small, (4, 4)).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_nearest_to_a_size_that_is_no_multiple() -> None:
    assert nearest(np.array([[1, 2]]), (1, 5)).tolist() == [[1, 1, 1, 2, 2]]


@QUIET
@given(grid=sizes, scale=st.tuples(st.integers(1, 4), st.integers(1, 4)), seed=st.integers(0, 99))
def test_resampling_is_torchs(grid: tuple[int, int], scale: tuple[int, int], seed: int) -> None:
    maps = np.random.default_rng(seed).random((2, *grid), dtype=np.float32)
    size = (grid[0] * scale[0] + 1, grid[1] * scale[1])
    batch = torch.from_numpy(maps)[None]
    smooth = torch.nn.functional.interpolate(batch, size=size, mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(bilinear(maps, size), smooth.numpy(), atol=1e-5)
    cubic = torch.nn.functional.interpolate(batch, size=size, mode="bicubic", align_corners=False)[0]
    np.testing.assert_allclose(bicubic(maps, size), cubic.numpy(), atol=1e-5)
    blocky = torch.nn.functional.interpolate(batch, size=size, mode="nearest")[0]
    np.testing.assert_array_equal(nearest(maps[0], size), blocky[0].numpy())


def test_block_means_of_a_multiple_and_of_a_cut_pixel() -> None:
    maps = np.arange(6, dtype=np.float32).reshape(1, 1, 6)
    assert block_means(maps, (1, 3)).tolist() == [[[0.5, 2.5, 4.5]]]
    assert block_means(maps[:, :, :3], (1, 2))[0, 0].tolist() == [np.float32(1 / 3), np.float32(5 / 3)]


@QUIET
@given(grid=sizes, seed=st.integers(0, 99))
def test_through_image_is_bilinear_then_block_means(grid: tuple[int, int], seed: int) -> None:
    maps = np.random.default_rng(seed).random((2, *grid), dtype=np.float32)
    size = (grid[0] * 3 + 1, grid[1] * 2)
    np.testing.assert_allclose(through_image(maps, size), block_means(bilinear(maps, size), grid), atol=1e-5)
