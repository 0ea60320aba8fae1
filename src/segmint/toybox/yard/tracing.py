"""Sphere tracing of placed bodies: where rays meet them, what they shade, what they hem in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Integer

from segmint.toybox.yard.bodies import Body
from segmint.toybox.yard.solids import Points, Values, turned

Origins = Float32[np.ndarray, "3 origin"]
Directions = Float32[np.ndarray, "3 direction"]
"""One, or one a ray."""

_STEPS = 48
_SHADOW_STEPS = 18
_TOLERANCE = 6e-4
"""A ray meets a surface nearer than this share of its length: a fifth of a sample's width."""
_NORMAL_STEP = 2e-3
_REACHES = ((0.05, 0.35), (0.15, 0.4), (0.4, 0.45))
"""How far from the surface, in metres, room is measured for ambient light, and the weight of each measure."""
_TETRAHEDRON = np.asarray([(1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A body at its place in the yard."""

    body: Body
    name: str
    """Its class; empty for clutter."""
    colour: str
    place: Float32[np.ndarray, "3"]
    """Where the origin of its frame lies."""
    frame: Float32[np.ndarray, "3 3"]
    """Rows are its axes, seen from the yard."""
    scale: float

    def local(self, p: Points) -> Points:
        """Points of the yard in the body's own frame."""
        scaled = self.frame * np.float32(1 / self.scale)
        result: Points = turned(scaled, p) - turned(scaled, self.place[:, None])
        return result

    def distance(self, p: Points) -> Values:
        """Distance in metres of the yard."""
        result: Values = self.body.distance(self.local(p)) * np.float32(self.scale)
        return result

    def corners(self) -> Points:
        """The eight corners of its box, in the yard."""
        low, high = _box(self.body)
        signs = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3)
        own = low + signs * (high - low)
        result: Points = (own @ self.frame * self.scale + self.place).T.astype(np.float32)
        return result


def meet(thing: Placed, origin: Origins, directions: Points) -> Values:
    """Length of each ray to its first meeting with a thing; infinite where it misses.

    Args:
        thing: What is looked for.
        origin: One point, or one a ray.
        directions: Of unit length.
    """
    start, along, first, last = _through_box(thing, origin, directions, margin=0.0)
    out = np.full(directions.shape[1], np.inf, np.float32)
    index = np.flatnonzero(first < last)
    t, stop = first[index] + np.float32(1e-4), last[index]
    start, along = _take(start, index), along[:, index]
    for _ in range(_STEPS):
        gap = thing.body.distance(start + along * t)
        met = gap < _TOLERANCE * t + 1e-5
        out[index[met]] = t[met] * thing.scale
        t = t + gap
        going = ~met & (t < stop)
        if not going.any():
            break
        index, t, stop = index[going], t[going], stop[going]
        start, along = _take(start, going), along[:, going]
    return out


def normals(thing: Placed, p: Points) -> tuple[Points, Integer[np.ndarray, " point"], Points]:
    """Unit normals at points on a thing; also the part at each point, and the points in its frame."""
    own = thing.local(p)
    slope = np.zeros_like(own)
    for corner in _TETRAHEDRON:
        slope += corner[:, None] * thing.body.distance(own + corner[:, None] * np.float32(_NORMAL_STEP))
    slope = turned(thing.frame.T, slope)
    slope /= np.maximum(np.sqrt((slope * slope).sum(0)), 1e-9)
    return slope, thing.body.nearest(own), own


def sunlight(things: Sequence[Placed], p: Points, sun: Float32[np.ndarray, "3"], *, blur: float) -> Values:
    """Share of the sun (0 to 1) that things leave at each point.

    Args:
        things: What can stand in the way.
        p: Points a little off their surfaces.
        sun: Unit vector towards the sun.
        blur: Width of the sun, as a share of its distance; wider means softer shadows.

    Source: Quilez, improved soft shadows, here with a penumbra on both sides of the edge.
    """
    light = np.ones(p.shape[1], np.float32)
    for thing in things:
        start, along, first, last = _through_box(thing, p, sun[:, None], margin=0.12)
        index = np.flatnonzero((first < last) & (light > 0.01))
        t, stop = np.maximum(first[index], np.float32(0.012)), last[index]
        start, least = start[:, index], np.ones(len(index), np.float32)
        own = np.arange(len(index))
        for _ in range(_SHADOW_STEPS):
            gap = thing.body.distance(start + along * t)
            least[own] = np.minimum(least[own], gap / (blur * t))
            t = t + np.maximum(gap, 0.02)
            going = (least[own] > -1) & (t < stop)
            if not going.any():
                break
            own, t, stop, start = own[going], t[going], stop[going], start[:, going]
        share = np.clip(0.5 + 0.5 * least, 0, 1)
        light[index] *= share * share * (3 - 2 * share)
    return light


def openness(
    things: Sequence[Placed], p: Points, normal: Points, *, wall_z: float, unit: float
) -> Float32[np.ndarray, " point"]:
    """Share of the ambient light that reaches each point past things, the ground and the wall."""
    open_share = np.ones(p.shape[1], np.float32)
    for reach, weight in _REACHES:
        reach_m = np.float32(reach * unit)
        out = p + normal * reach_m
        room = np.minimum(np.minimum(np.maximum(out[1], 0), np.maximum(wall_z - out[2], 0)), reach_m)
        for thing in things:
            own = thing.local(out)
            low, high = _box(thing.body)
            pad = reach_m / thing.scale
            inside = ((own > (low - pad)[:, None]) & (own < (high + pad)[:, None])).all(0)
            index = np.flatnonzero(inside)
            if len(index):
                gap = thing.body.distance(own[:, index]) * np.float32(thing.scale)
                room[index] = np.minimum(room[index], np.maximum(gap, 0))
        open_share -= weight * (1 - room / reach_m)
    return np.maximum(open_share, 0)


def _box(body: Body) -> tuple[Float32[np.ndarray, "3"], Float32[np.ndarray, "3"]]:
    low = np.asarray((-body.half_x, 0, -body.half_z), np.float32)
    return low, np.asarray((body.half_x, body.height, body.half_z), np.float32)


def _through_box(
    thing: Placed, origin: Origins, directions: Directions, *, margin: float
) -> tuple[Origins, Directions, Values, Values]:
    """Rays in the thing's frame, and where each enters and leaves its box, not before its start."""
    start, along = thing.local(origin), turned(thing.frame, directions)
    low, high = _box(thing.body)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / along
        one = ((low - margin)[:, None] - start) * inverse
        two = ((high + margin)[:, None] - start) * inverse
    first = np.maximum(np.minimum(one, two).max(0), 0)
    return start, along, first, np.maximum(one, two).min(0)


def _take(points: Origins, index: np.ndarray) -> Origins:
    return points if points.shape[1] == 1 else points[:, index]
