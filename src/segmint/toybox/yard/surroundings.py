"""What lies about the things: ground, grass, a wall or a hedge, hills and the sky."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from numpy.random import Generator

from segmint.toybox.yard import textures
from segmint.toybox.yard.bodies import Light
from segmint.toybox.yard.palette import Colour, linear
from segmint.toybox.yard.solids import Points, Values

GROUNDS: dict[str, tuple[str, ...]] = {
    "deck": ("deck", "wooden floor", "boards"),
    "gravel": ("gravel", "pebbles"),
    "paving": ("paving", "pavement", "flagstones"),
    "sand": ("sand",),
    "soil": ("soil", "earth", "dirt"),
    "tiles": ("tiles", "checkered floor"),
}
"""Grounds that are not grass, and the words for them."""
BACKDROPS: dict[str, tuple[str, ...]] = {
    "brick": ("a brick wall",),
    "hedge": ("a hedge", "a green hedge"),
    "open": ("the sky", "the horizon", "far hills"),
    "plaster": ("a wall", "a plaster wall"),
    "planks": ("a wooden wall", "a wall of planks"),
}
"""What closes the view, and the words for it."""
_LAYERS = 7
"""Level cuts through the grass that a ray is tried against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Points on a surface, ready for light."""

    normal: Points
    albedo: Light
    hidden: Values
    """Share of light that the surface's own relief keeps away (0 to 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """The light that comes from everywhere."""

    zenith: Colour
    horizon: Colour
    clouds: float
    """How much of it they cover (0 to 1)."""
    shift: tuple[float, float]

    def seen(self, directions: Points, sun: Float32[np.ndarray, "3"], glare: Colour) -> Light:
        """Light from the sky along unit directions."""
        up = np.clip(directions[1], 0, 1)
        share = np.sqrt(up)
        light = self.horizon[:, None] * (1 - share) + self.zenith[:, None] * share
        reach = 1.5 / (up + 0.12)
        pattern = textures.noise().near(
            directions[0] * reach + self.shift[0], directions[2] * reach + self.shift[1], reach * 0.01
        )
        cover = np.clip((pattern[2] + 0.35 * pattern[1]) * 0.5 + self.clouds * 2 - 1, 0, 1)
        cover *= np.clip(up * 8, 0, 1)
        white = (self.horizon + glare * 0.3)[:, None] * (0.9 - 0.12 * cover)
        light = light * (1 - cover) + white * cover
        result: Light = light + glare[:, None] * np.maximum(sun @ directions, 0) ** 48 * np.float32(0.35)
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Meadow:
    """Where grass grows: everywhere, or on one side of a wavy line."""

    edge: tuple[float, float, float]
    """x and z weights and offset of the line; grows where the sum is positive."""
    wave_m: float
    height_m: float
    colour: Colour
    dry: Colour

    def grows(self, x: Values, z: Values, unit: float) -> Bool[np.ndarray, " point"]:
        """Whether grass stands at places on the ground."""
        wave = textures.noise().near(x / (3 * unit), z / (3 * unit), np.full_like(x, 0.03))[2]
        result: np.ndarray = (
            x * self.edge[0] + z * self.edge[1] + self.edge[2] + np.float32(self.wave_m) * wave > 0
        )
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """Everything about a scene that is not a thing."""

    ground: str
    backdrop: str
    wall_z: float
    wall_height: float
    """Height of the wall or hedge; 0 where the view is open."""
    unit: float
    """How large the patterns are, beside a scene of middle size."""
    turn: float
    """Angle of the ground's pattern."""
    shift: tuple[float, float]
    tints: tuple[Colour, Colour]
    """Factors on the colours of ground and wall."""
    meadow: Meadow | None

    def wall_top(self, x: Values) -> Values:
        """Height of the wall at places along it."""
        if self.backdrop != "hedge":
            return np.full_like(x, self.wall_height)
        u = x / (2.0 * self.unit) + self.shift[0]
        bumps = textures.noise().near(u, np.full_like(x, 1.0), np.full_like(x, 0.015))
        return np.asarray(self.wall_height * (1 + 0.05 * bumps[2] + 0.025 * bumps[0]), np.float32)

    def on_ground(self, p: Points, footprint_m: Values) -> Surface:
        """The bare ground at points of it."""
        cos, sin = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        scale = np.float32(1 / self.unit)
        u = (p[0] * cos + p[2] * sin) * scale + np.float32(self.shift[0])
        v = (p[2] * cos - p[0] * sin) * scale + np.float32(self.shift[1])
        found = textures.surface(self.ground).at(u, v, footprint_m * scale)
        broad = textures.noise().near(u / 4, v / 4, np.full_like(u, 0.02))[3]
        along = (found[3] * cos - found[4] * sin, found[3] * sin + found[4] * cos)
        normal = np.stack([-along[0], np.ones_like(u), -along[1]])
        albedo = found[:3] * self.tints[0][:, None] * np.exp(0.07 * broad)
        return Surface(normal=_unit(normal), albedo=albedo, hidden=np.zeros_like(u))

    def on_wall(self, p: Points, footprint_m: Values) -> Surface:
        """The wall or the hedge at points of it."""
        scale = np.float32(1 / self.unit)
        u, v = p[0] * scale + np.float32(self.shift[1]), p[1] * scale
        name = "leaves" if self.backdrop == "hedge" else self.backdrop
        if name == "planks":
            u, v = v, u
        found = textures.surface(name).at(u, v, footprint_m * scale)
        slopes = (found[4], found[3]) if name == "planks" else (found[3], found[4])
        normal = np.stack([-slopes[0], -slopes[1], -np.ones_like(u)])
        dirt = 1 - 0.3 * np.exp(-p[1] / np.float32(0.25 * self.unit))
        albedo = found[:3] * self.tints[1][:, None] * dirt
        return Surface(normal=_unit(normal), albedo=albedo, hidden=np.zeros_like(u))

    def meet_grass(
        self, origin: Float32[np.ndarray, "3 1"], directions: Points, footprint: float
    ) -> tuple[Values, Values]:
        """Length of each ray to the first blade (infinite where none), and the tone of that blade."""
        reach, tone = np.full(directions.shape[1], np.inf, np.float32), np.zeros(directions.shape[1])
        meadow = self.meadow
        if meadow is None:
            return reach, tone.astype(np.float32)
        index = np.flatnonzero(directions[1] < -0.01)
        for layer in range(_LAYERS):
            # The lowest cut is the floor between the blades, and grass all the same.
            share = max(1 - layer / (_LAYERS - 1), 0.02)
            t = (meadow.height_m * share - origin[1, 0]) / directions[1, index]
            x, z = directions[0, index] * t, directions[2, index] * t
            near = np.full_like(t, 0.5 * footprint) * t / self.unit
            scale = np.float32(1 / self.unit)
            found = textures.blades().near(x * scale, z * scale, near)
            met = meadow.grows(x, z, self.unit)
            if layer < _LAYERS - 1:
                met &= found[0] > share
            hit = index[met]
            reach[hit], tone[hit] = t[met], found[1][met]
            index = index[~met]
        return reach, tone.astype(np.float32)

    def on_grass(self, p: Points, tone: Values) -> Surface:
        """Blades at points on them: darker at the root, each of its own tone."""
        meadow = self.meadow
        assert meadow is not None
        share = np.clip(p[1] / meadow.height_m, 0, 1)
        broad = textures.noise().near(p[0] / 3, p[2] / 3, np.full_like(share, 0.02))[2]
        dry = np.clip(0.25 + 0.25 * tone + 0.2 * broad, 0, 1)
        albedo = meadow.colour[:, None] * (1 - dry) + meadow.dry[:, None] * dry
        albedo = albedo * np.exp(0.16 * tone) * (0.65 + 0.5 * share)
        normal = np.stack([0.35 * np.sin(9 * tone), np.ones_like(tone), 0.35 * np.cos(7 * tone)])
        return Surface(normal=_unit(normal), albedo=albedo, hidden=0.55 * (1 - share))


def hills(directions: Points, shift: float) -> Bool[np.ndarray, " point"]:
    """Whether rays above the horizon end at far hills."""
    u = np.arctan2(directions[0], directions[2])
    rise = textures.noise().near(u * 0.8 + shift, np.full_like(u, 2.0), np.full_like(u, 0.01))
    result: np.ndarray = directions[1] < 0.035 + 0.016 * rise[3] + 0.004 * rise[1]
    return result


def meadow(rng: Generator, *, distance: float, whole: bool) -> Meadow:
    """Grass for a scene that is looked at from a distance."""
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    offset = -sin * distance + rng.uniform(-0.05, 0.3) * distance
    green = linear(78, 122, 40) * float(rng.uniform(0.75, 1.15))
    return Meadow(
        edge=(0.0, 0.0, 1e6) if whole else (cos, sin, float(offset)),
        wave_m=0.07 * distance,
        height_m=float(rng.uniform(0.012, 0.03)) * distance,
        colour=green * np.asarray(rng.uniform(0.9, 1.1, 3), np.float32),
        dry=linear(150, 150, 66) * float(rng.uniform(0.7, 1.1)),
    )


def _unit(vectors: Points) -> Points:
    result: Points = vectors / np.sqrt((vectors * vectors).sum(0))
    return result.astype(np.float32)
