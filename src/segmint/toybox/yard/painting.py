"""One view of the yard: which surface each sample sees, and the light that it sends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int16

from segmint.toybox.yard import lighting, surroundings, textures, tracing
from segmint.toybox.yard.bodies import Light
from segmint.toybox.yard.camera import SAMPLES, Camera, Window
from segmint.toybox.yard.lighting import Points3, Weather
from segmint.toybox.yard.solids import Points, Values
from segmint.toybox.yard.surroundings import Yard
from segmint.toybox.yard.tracing import Origins, Placed

GRASS_ID, GROUND_ID, WALL_ID, SKY_ID = -1, -2, -3, -4
"""Owners of samples that no thing owns."""
_FAR = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The geometry of a view."""

    view: Camera
    window: Window
    rays: Points
    things: tuple[Placed, ...]
    yard: Yard
    reach: tuple[Values, ...]
    """Length of each ray to each thing, as if it stood alone; infinite where it misses."""
    behind: Values
    """Length to what lies behind all things."""
    behind_owner: Int16[np.ndarray, " sample"]
    tone: Values
    """Tone of the blade of grass, where one is seen."""
    depth: Values
    owner: Int16[np.ndarray, " sample"]
    """Index of the thing that each sample sees, or one of the ids above."""

    def without(self, index: int) -> "Seen":
        """The same view with one thing taken away."""
        left = [i for i in range(len(self.things)) if i != index]
        things, reach = tuple(self.things[i] for i in left), tuple(self.reach[i] for i in left)
        depth, owner = _nearest(reach, self.behind, self.behind_owner)
        return replace(self, things=things, reach=reach, depth=depth, owner=owner)


def look(view: Camera, window: Window, things: Sequence[Placed], yard: Yard) -> Seen:
    """Trace every sample's ray to what it meets first."""
    rays, origin = view.rays(window), view.position()
    behind, owner, tone = _surroundings(rays, origin, yard, footprint=1 / (SAMPLES * view.focal_px))
    reach = tuple(tracing.meet(thing, origin, rays) for thing in things)
    depth, whole = _nearest(reach, behind, owner)
    return Seen(
        view=view,
        window=window,
        rays=rays,
        things=tuple(things),
        yard=yard,
        reach=reach,
        behind=behind,
        behind_owner=owner,
        tone=tone,
        depth=depth,
        owner=whole,
    )


def paint(seen: Seen, weather: Weather) -> tuple[Light, Values]:
    """Light of every sample, and its depth in metres."""
    light = _heavens(seen, weather)
    index = np.flatnonzero(seen.owner != SKY_ID)
    points, bounce = _surfaces(seen, index)
    wall_z = seen.yard.wall_z if seen.yard.wall_height > 0 else _FAR
    unit = seen.yard.unit
    found = lighting.reflected(points, seen.things, weather, bounce=bounce, wall_z=wall_z, unit=unit)
    for thing in seen.things:
        glow = max(part.glow for part in thing.body.parts)
        if glow > 0:
            own = np.asarray((0, 0.9 * thing.body.height, 0), np.float32)
            place = thing.place + own @ thing.frame * np.float32(thing.scale)
            strength = np.asarray((1.0, 0.78, 0.48), np.float32) * np.float32(0.35 * glow)
            found = found + lighting.lamplight(points, place, strength, unit=unit)
    lost = 1 - np.exp(-np.float32(weather.haze / seen.view.distance) * seen.depth[index])
    light[:, index] = found * (1 - lost) + weather.sky.horizon[:, None] * lost
    return light, np.minimum(seen.depth, 50 * np.float32(seen.view.distance))


def _nearest(
    reach: Sequence[Values], behind: Values, behind_owner: Int16[np.ndarray, " sample"]
) -> tuple[Values, Int16[np.ndarray, " sample"]]:
    depth, owner = behind.copy(), behind_owner.copy()
    for index, length in enumerate(reach):
        nearer = length < depth
        depth[nearer], owner[nearer] = length[nearer], index
    return depth, owner


def _surroundings(
    rays: Points, origin: Origins, yard: Yard, *, footprint: float
) -> tuple[Values, Int16[np.ndarray, " sample"], Values]:
    """Depth and owner of what lies behind the things, and the grass's tone."""
    depth = np.full(rays.shape[1], np.float32(_FAR))
    owner = np.full(rays.shape[1], SKY_ID, np.int16)
    down = rays[1] < -1e-4
    depth[down], owner[down] = -origin[1, 0] / rays[1, down], GROUND_ID
    if yard.wall_height > 0:
        length = yard.wall_z / np.maximum(rays[2], 1e-4)
        height = origin[1, 0] + rays[1] * length
        wall = (length < depth) & (height < yard.wall_top(rays[0] * length)) & (height > 0)
        depth[wall], owner[wall] = length[wall], WALL_ID
    grass, tone = yard.meet_grass(origin, rays, footprint)
    nearer = grass < depth
    depth[nearer], owner[nearer] = grass[nearer], GRASS_ID
    return depth, owner, tone


def _heavens(seen: Seen, weather: Weather) -> Light:
    """Light of the samples that see the sky or far hills; zero elsewhere."""
    light = np.zeros_like(seen.rays)
    index = np.flatnonzero(seen.owner == SKY_ID)
    rays = seen.rays[:, index]
    found = weather.sky.seen(rays, weather.sun, weather.sun_light)
    hill = surroundings.hills(rays, seen.yard.shift[0])
    green = np.asarray((0.10, 0.16, 0.10), np.float32) * (weather.sun_light + weather.sky.zenith) * 0.4
    far = 0.45 * weather.sky.horizon + 0.55 * green
    light[:, index] = np.where(hill, far[:, None], found)
    return light


def _grained(albedo: Light, own: Points, grain: float) -> Light:
    """Colour with streaks that run upwards and a few stains."""
    u, v = 1.7 * (own[0] + 0.8 * own[2]), own[1]
    pattern = textures.noise().near(u, 0.35 * v, np.full_like(u, 0.012))
    result: Light = albedo * np.exp(np.float32(grain) * (0.8 * pattern[1] + 0.5 * pattern[2]))
    return result


def _surfaces(seen: Seen, index: np.ndarray) -> tuple[Points3, Float32[np.ndarray, "3"]]:
    """What the light finds at the samples of an index, and the ground's mean albedo."""
    owner, depth, view = seen.owner[index], seen.depth[index], seen.rays[:, index]
    place = seen.view.position() + view * depth
    normal, albedo = np.zeros_like(place), np.zeros_like(place)
    gloss, glow, hidden = (np.zeros_like(depth) for _ in range(3))
    footprint = depth / np.float32(SAMPLES * seen.view.focal_px)
    slanted = footprint / np.maximum(np.abs(view[1]), 0.04) ** 0.75
    bounce = np.full(3, 0.3, np.float32)
    for each in np.unique(owner):
        spot = np.flatnonzero(owner == each)
        p = place[:, spot]
        if each >= 0:
            thing = seen.things[each]
            normal[:, spot], part, own = tracing.normals(thing, p)
            for number, material in enumerate(thing.body.parts):
                inside = part == number
                mine = spot[inside]
                albedo[:, mine] = _grained(material.paint(own[:, inside]), own[:, inside], material.grain)
                gloss[mine], glow[mine] = material.gloss, material.glow
            continue
        if each == GRASS_ID:
            surface = seen.yard.on_grass(p, seen.tone[index][spot])
        elif each == GROUND_ID:
            surface = seen.yard.on_ground(p, slanted[spot])
        else:
            surface = seen.yard.on_wall(p, footprint[spot])
        normal[:, spot], albedo[:, spot], hidden[spot] = surface.normal, surface.albedo, surface.hidden
        if each in (GRASS_ID, GROUND_ID):
            bounce = np.asarray(surface.albedo.mean(1), np.float32)
    return (
        Points3(place=place, normal=normal, view=view, albedo=albedo, gloss=gloss, glow=glow, hidden=hidden),
        bounce,
    )
