"""The guided filter against a window-by-window fit, and on edges that an eye can check."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from segmint.masks.guided import guided_filter


def by_windows(one: np.ndarray, image: np.ndarray, radius: int, smoothness: float) -> np.ndarray:
    """The definition: ridge regression in every window, mean of all windows that hold a pixel."""
    height, width = one.shape
    pad = [(radius, radius), (radius, radius)]
    colours = np.pad(image / 255, [*pad, (0, 0)], mode="symmetric")
    values = np.pad(one, pad, mode="symmetric")
    slopes = np.zeros((height, width, 4))
    for row in range(height):
        for col in range(width):
            x = colours[row : row + 2 * radius + 1, col : col + 2 * radius + 1].reshape(-1, 3)
            y = values[row : row + 2 * radius + 1, col : col + 2 * radius + 1].ravel()
            centred = x - x.mean(0)
            a = np.linalg.solve(centred.T @ centred / len(x) + smoothness * np.eye(3), centred.T @ y / len(x))
            slopes[row, col] = [*a, y.mean() - a @ x.mean(0)]
    padded = np.pad(slopes, [*pad, (0, 0)], mode="symmetric")
    out = np.zeros_like(one)
    for row in range(height):
        for col in range(width):
            mean = padded[row : row + 2 * radius + 1, col : col + 2 * radius + 1].mean((0, 1))
            out[row, col] = mean[:3] @ (image[row, col] / 255) + mean[3]
    return out


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2))
def test_equals_its_definition(seed: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (7, 9, 3)).astype(np.uint8)
    maps = rng.random((2, 7, 9)).astype(np.float32)
    found = guided_filter(maps, image, radius_px=radius, smoothness=1e-2)
    expected = np.stack([by_windows(one, image, radius, 1e-2) for one in maps])
    assert np.abs(found - expected).max() < 1e-4


def test_a_blurred_map_snaps_to_the_edge_of_colours() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = (200, 40, 40)
    ramp = np.clip((np.arange(16) - 4) / 8, 0, 1)[None, None].repeat(16, axis=1).astype(np.float32)
    found = guided_filter(ramp, image, radius_px=4, smoothness=1e-3)[0, 8]
    assert found[8] - found[7] > 4 * (ramp[0, 8, 8] - ramp[0, 8, 7])
    assert ((found > 0.5) == (np.arange(16) >= 8)).all()


def test_without_colour_it_is_a_blur_and_a_constant_stays() -> None:
    image = np.full((9, 9, 3), 77, np.uint8)
    maps = np.full((1, 9, 9), 0.25, np.float32)
    assert np.allclose(guided_filter(maps, image, radius_px=2, smoothness=1e-3), 0.25, atol=1e-6)
