"""Moving arrays between the attention grid and the image."""

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

from segmint.artifacts import Grid

Part = tuple[slice, slice]
"""Rows and columns of an image."""
EVERYWHERE: Part = (slice(None), slice(None))


def nearest(
    grid_values: Shaped[np.ndarray, "low_h low_w"], size: Grid
) -> Shaped[np.ndarray, "high_h high_w"]:
    """Values of a coarse array at `size` (height, width), each from the coarse position that holds it.

    Repeats rows and columns where `size` is a multiple; works for any other size too.
    """
    rows, columns = (nearest_index(low, high) for low, high in zip(grid_values.shape, size, strict=True))
    enlarged: Shaped[np.ndarray, "high_h high_w"] = grid_values[rows[:, None], columns[None, :]]
    return enlarged


def nearest_index(low: int, high: int) -> Int64[np.ndarray, "high"]:
    """For each of `high` positions the coarse one, of `low`, that it lies in: floor(i · low / high)."""
    return np.arange(high, dtype=np.int64) * low // high


def bilinear(
    maps: Float32[np.ndarray, "token low_h low_w"], size: Grid, part: Part = EVERYWHERE
) -> Float32[np.ndarray, "token high_h high_w"]:
    """Maps resampled to `size` between the centres of positions; beyond the outer ones the edge value holds.

    Args:
        maps: at any size.
        size: (height, width).
        part: rows and columns of it that are computed.

    Equals `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`.
    """
    on_rows, on_columns = (
        _bilinear_matrix(low, high)[lines].astype(np.float32)
        for low, high, lines in zip(maps.shape[1:], size, part, strict=True)
    )
    return np.asarray(np.matmul(np.matmul(on_rows, maps), np.ascontiguousarray(on_columns.T)))


def bicubic(
    maps: Float32[np.ndarray, "token low_h low_w"], size: Grid
) -> Float32[np.ndarray, "token high_h high_w"]:
    """Maps resampled to `size` by cubic convolution; edges are repeated, values can overshoot.

    Equals `torch.nn.functional.interpolate(mode="bicubic", align_corners=False)`.
    """
    return _apply(maps, _bicubic_matrix(maps.shape[1], size[0]), _bicubic_matrix(maps.shape[2], size[1]))


def block_means(
    maps: Float32[np.ndarray, "token high_h high_w"], grid: Grid
) -> Float32[np.ndarray, "token low_h low_w"]:
    """Mean over each grid position's share of the image; positions that a border cuts count in part."""
    return _apply(maps, _area_matrix(maps.shape[1], grid[0]), _area_matrix(maps.shape[2], grid[1]))


def through_image(
    maps: Float32[np.ndarray, "token grid_h grid_w"], image_size: Grid
) -> Float32[np.ndarray, "token grid_h grid_w"]:
    """Block means of the maps' bilinear enlargement to the image: a slight smoothing, as one matrix product.

    Source: method.md, table row 6 (block sums there; the factor vanishes in the min-max scaling after it).
    """
    down_h, down_w = (_area_matrix(high, low) for high, low in zip(image_size, maps.shape[1:], strict=True))
    up_h, up_w = (_bilinear_matrix(low, high) for high, low in zip(image_size, maps.shape[1:], strict=True))
    return _apply(maps, down_h @ up_h, down_w @ up_w)


def _apply(
    maps: Float32[np.ndarray, "token from_h from_w"],
    on_rows: Float64[np.ndarray, "to_h from_h"],
    on_columns: Float64[np.ndarray, "to_w from_w"],
) -> Float32[np.ndarray, "token to_h to_w"]:
    moved: Float64[np.ndarray, "token to_h to_w"] = np.matmul(np.matmul(on_rows, maps), on_columns.T)
    return moved.astype(np.float32)


def _bilinear_matrix(low: int, high: int) -> Float64[np.ndarray, "high low"]:
    centre = np.clip((np.arange(high) + 0.5) * low / high - 0.5, 0, low - 1)
    left = np.minimum(np.floor(centre).astype(np.int64), max(low - 2, 0))
    right = np.minimum(left + 1, low - 1)
    weights = np.zeros((high, low))
    weights[np.arange(high), left] = 1 - (centre - left)
    weights[np.arange(high), right] += centre - left
    return weights


def _bicubic_matrix(low: int, high: int) -> Float64[np.ndarray, "high low"]:
    centre = (np.arange(high) + 0.5) * low / high - 0.5
    first = np.floor(centre).astype(np.int64) - 1
    weights = np.zeros((high, low))
    for place in (first + step for step in range(4)):
        np.add.at(weights, (np.arange(high), np.clip(place, 0, low - 1)), _cubic(np.abs(centre - place)))
    return weights


def _cubic(distance: Float64[np.ndarray, "high"]) -> Float64[np.ndarray, "high"]:
    """Keys' cubic convolution kernel (1981) with a = −0.75, the value that torch and OpenCV use."""
    a = -0.75
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    weight: Float64[np.ndarray, "high"] = np.where(distance <= 1, near, far)
    return weight


def _area_matrix(high: int, low: int) -> Float64[np.ndarray, "low high"]:
    edges = np.arange(low + 1) * high / low
    starts, stops = edges[:-1, None], edges[1:, None]
    pixel = np.arange(high)[None, :]
    overlap = np.clip(np.minimum(stops, pixel + 1) - np.maximum(starts, pixel), 0, None)
    share: Float64[np.ndarray, "low high"] = overlap / overlap.sum(axis=1, keepdims=True)
    return share
