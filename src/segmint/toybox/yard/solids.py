"""Signed distances of simple solids, as lower bounds that sphere tracing can step by.

Points are columns of a (3, point) array: x to the right, y up, z away from the viewer.
Source: Hart 1996, Sphere tracing; the distance to most of these solids is elementary geometry.
"""

from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Float32

Points = Float32[np.ndarray, "3 point"]
Values = Float32[np.ndarray, " point"]
Number = float | int
Vector = tuple[Number, Number, Number]


def length(*axes: Any) -> Any:
    """Euclidean length of vectors given by their coordinates."""
    total = axes[0] * axes[0]
    for axis in axes[1:]:
        total = total + axis * axis
    return np.sqrt(total)


def turned(matrix: Float32[np.ndarray, "3 3"], p: Points) -> Points:
    """Matrix times points, without the threads that a linear algebra library would start for it."""
    return np.stack([row[0] * p[0] + row[1] * p[1] + row[2] * p[2] for row in matrix])


def box(p: Points, centre: Vector, half: Vector) -> Values:
    """A box; distances from its edges are measured along the axes."""
    inner = np.maximum(np.abs(p[0] - centre[0]) - half[0], np.abs(p[1] - centre[1]) - half[1])
    result: Values = np.maximum(inner, np.abs(p[2] - centre[2]) - half[2])
    return result


def ball(p: Points, centre: Vector, radius: Number) -> Values:
    """A sphere."""
    result: Values = length(p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]) - radius
    return result


def ellipsoid(p: Points, centre: Vector, radii: Vector) -> Values:
    """An ellipsoid; the distance is right at the surface and roughly right elsewhere."""
    x, y, z = ((p[i] - centre[i]) / radii[i] for i in range(3))
    stretched = length(x, y, z)
    slope = length(x / radii[0], y / radii[1], z / radii[2])
    result: Values = stretched * (stretched - 1) / np.maximum(slope, 1e-4)
    return result


def rod(p: Points, start: Vector, stop: Vector, radius: Number) -> Values:
    """A straight round rod with round ends."""
    a, along = np.asarray(start, np.float32)[:, None], np.subtract(stop, start).astype(np.float32)
    away = p - a
    share = np.clip((along @ away) / float(along @ along), 0, 1)
    away -= along[:, None] * share
    result: Values = length(away[0], away[1], away[2]) - radius
    return result


def post(p: Points, low: Number, high: Number, radius: Number, *, x: Number = 0.0, z: Number = 0.0) -> Values:
    """An upright cylinder from height `low` to `high`."""
    middle, half = (low + high) / 2, (high - low) / 2
    result: Values = np.maximum(length(p[0] - x, p[2] - z) - radius, np.abs(p[1] - middle) - half)
    return result


def taper(p: Points, low: Number, high: Number, radii: tuple[Number, Number]) -> Values:
    """An upright cone's section, of the given radii at its lower and its upper end."""
    slope = (radii[1] - radii[0]) / (high - low)
    side = (length(p[0], p[2]) - radii[0] - slope * (p[1] - low)) / (1 + slope * slope) ** 0.5
    result: Values = np.maximum(side, np.abs(p[1] - (low + high) / 2) - (high - low) / 2)
    return result


def cup(p: Points, low: Number, high: Number, radii: tuple[Number, Number], wall: Number) -> Values:
    """An open vessel: a cone's section with a bottom, hollow from above."""
    outer = taper(p, low, high, radii)
    inner = taper(p, low + 2 * wall, high + wall, (radii[0] - wall, radii[1] - wall))
    result: Values = np.maximum(outer, -inner)
    return result


def ring(p: Points, height: Number, radius: Number, thickness: Number) -> Values:
    """A torus that lies flat at a height."""
    result: Values = length(length(p[0], p[2]) - radius, p[1] - height) - thickness
    return result


def handle(p: Points, height: Number, radius: Number, thickness: Number, *, lean: Number) -> Values:
    """Half a torus above a height, leant over by an angle in radians about the x axis."""
    cos, sin = float(np.cos(lean)), float(np.sin(lean))
    up, depth = (p[1] - height) * cos + p[2] * sin, p[2] * cos - (p[1] - height) * sin
    below = np.minimum(up, 0)
    result: Values = length(length(p[0], np.maximum(up, 0)) - radius, below, depth) - thickness
    return result


def union(*solids: Values) -> Values:
    """All of several solids."""
    result: Values = reduce(np.minimum, solids)
    return result


def overlap(*solids: Values) -> Values:
    """What several solids share."""
    result: Values = reduce(np.maximum, solids)
    return result


def blend(a: Values, b: Values, width: Number) -> Values:
    """Union of two solids with a smooth seam. Source: Quilez, polynomial smooth minimum."""
    share = np.maximum(width - np.abs(a - b), 0) / width
    result: Values = np.minimum(a, b) - share * share * (width / 4)
    return result


def nearest_multiple(x: Values, spacing: Number, *, count: int) -> Values:
    """Centre of the nearest of `2 * count + 1` copies at multiples of a spacing."""
    result: Values = np.clip(np.round(x / spacing), -count, count) * spacing
    return result
