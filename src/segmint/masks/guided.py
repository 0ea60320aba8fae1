"""Soft labels sharpened by the image: the guided filter.

Within every small window a map is fitted as a linear function of the pixels' colours; the mean of the
windows' fits is the result. So a map changes where colours change, and nowhere else.
"""

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

Maps = Float32[np.ndarray, "label image_h image_w"]
Planes = Float32[np.ndarray, "plane image_h image_w"]


def guided_filter(
    maps: Maps, image: UInt8[np.ndarray, "image_h image_w 3"], *, radius_px: int, smoothness: float
) -> Maps:
    """Maps fitted to the colours of an image, window by window.

    Args:
        maps: at the image's size.
        image: RGB.
        radius_px: windows are squares of 2 · radius_px + 1 pixels; at the image's edge they are mirrored.
        smoothness: ridge weight, as a variance of colours in [0, 1]: contrasts well below its root are noise.

    Returns:
        Filtered maps; they can leave the input's range a little.

    Source: He, Sun and Tang 2013, Guided Image Filtering, equations 12-14 (colour guide).
    """
    colours = np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)
    mean_colour = _box(colours, radius_px)
    inverse = _inverse_covariance(colours, mean_colour, radius_px, smoothness)
    out = np.empty_like(maps)
    for label, one in enumerate(maps):
        mean = _box(one[None], radius_px)[0]
        covariance = _box(colours * one, radius_px) - mean_colour * mean
        slope = np.stack([(inverse[axis] * covariance).sum(axis=0) for axis in range(3)])
        offset = mean - (slope * mean_colour).sum(axis=0)
        smooth = _box(np.concatenate([slope, offset[None]]), radius_px)
        out[label] = (smooth[:3] * colours).sum(axis=0) + smooth[3]
    return out


def _inverse_covariance(
    colours: Planes, mean: Planes, radius_px: int, smoothness: float
) -> Float32[np.ndarray, "3 3 image_h image_w"]:
    """Inverse of each window's colour covariance plus `smoothness` on its diagonal, by cofactors."""
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    products = _box(np.stack([colours[i] * colours[j] for i, j in pairs]), radius_px)
    matrix = np.empty((3, 3, *colours.shape[1:]), np.float32)
    for plane, (i, j) in zip(products, pairs, strict=True):
        matrix[i, j] = matrix[j, i] = plane - mean[i] * mean[j] + (smoothness if i == j else 0.0)
    cofactors = np.empty_like(matrix)
    for i in range(3):
        for j in range(3):
            a, b = (i + 1) % 3, (i + 2) % 3
            c, d = (j + 1) % 3, (j + 2) % 3
            cofactors[j, i] = matrix[a, c] * matrix[b, d] - matrix[a, d] * matrix[b, c]
    cofactors /= (matrix[0] * cofactors[:, 0]).sum(axis=0)
    return cofactors


def _box(planes: Planes, radius_px: int) -> Planes:
    """Mean over each pixel's window."""
    size = 2 * radius_px + 1
    return np.asarray(ndimage.uniform_filter(planes, size=(1, size, size), mode="reflect"))
