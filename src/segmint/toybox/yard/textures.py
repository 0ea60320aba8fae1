"""Tileable surface maps, made once, and looked up with the blur that distance asks for."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32
from numpy.random import Generator
from scipy.spatial import cKDTree

from segmint.toybox.yard.palette import linear

SIDE = 512
"""Texels along a map; it repeats after them."""
PER_METRE = 128
"""Texels in a metre."""
_LEVELS = 8

Map = Float32[np.ndarray, "SIDE SIDE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """A map in all its blurs, each half the size of the one before."""

    texels: Float32[np.ndarray, "texel channel"]
    offsets: np.ndarray
    """First texel of every blur."""

    def at(
        self, u: Float32[np.ndarray, " point"], v: Float32[np.ndarray, " point"], footprint_m: np.ndarray
    ) -> Float32[np.ndarray, "channel point"]:
        """Values at places in metres, averaged over about `footprint_m`."""
        scale, mask, offset = self._level(footprint_m)
        x, y = u * scale, v * scale
        left, top = np.floor(x), np.floor(y)
        fx, fy = (x - left)[:, None], (y - top)[:, None]
        i, j = left.astype(np.int32), top.astype(np.int32)
        rows = (offset + (j & mask) * (mask + 1), offset + ((j + 1) & mask) * (mask + 1))
        columns = (i & mask, (i + 1) & mask)
        upper, lower = (
            (1 - fx) * self.texels.take(row + columns[0], axis=0)
            + fx * self.texels.take(row + columns[1], axis=0)
            for row in rows
        )
        return np.ascontiguousarray((upper * (1 - fy) + lower * fy).T)

    def near(
        self, u: Float32[np.ndarray, " point"], v: Float32[np.ndarray, " point"], footprint_m: np.ndarray
    ) -> Float32[np.ndarray, "channel point"]:
        """Values of the nearest texels: for patterns in which their edges cannot be seen."""
        scale, mask, offset = self._level(footprint_m)
        i, j = np.floor(u * scale).astype(np.int32), np.floor(v * scale).astype(np.int32)
        return np.ascontiguousarray(self.texels.take(offset + (j & mask) * (mask + 1) + (i & mask), axis=0).T)

    def _level(self, footprint_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Texels a metre, side less one, and first texel, of the blur for each point."""
        level = np.clip(np.log2(np.maximum(footprint_m * PER_METRE, 1e-6)), 0, _LEVELS - 1).astype(np.int32)
        scale = (PER_METRE / (1 << np.arange(_LEVELS))).astype(np.float32)[level]
        return scale, (SIDE >> level) - 1, self.offsets[level]


def pyramid(channels: list[Map]) -> Texture:
    """A texture of several channels with all its blurs."""
    level = np.stack(channels, -1).astype(np.float32)
    levels, offsets = [], [0]
    for _ in range(_LEVELS):
        levels.append(level.reshape(-1, level.shape[-1]))
        offsets.append(offsets[-1] + len(levels[-1]))
        half = level.shape[0] // 2
        level = level.reshape(half, 2, half, 2, -1).mean(axis=(1, 3))
    return Texture(texels=np.concatenate(levels), offsets=np.asarray(offsets[:-1], np.int32))


def relief(colour: Float32[np.ndarray, "SIDE SIDE 3"], height_m: Map) -> Texture:
    """Channels: red, green, blue, and the height's slopes along u and v."""
    slopes = [(np.roll(height_m, -1, axis) - np.roll(height_m, 1, axis)) * (PER_METRE / 2) for axis in (1, 0)]
    return pyramid([*np.moveaxis(colour, -1, 0), *slopes])


def cloud(
    rng: Generator, *, roughness: float, smallest: float | int = 2.0, stretch: float | int = 1.0
) -> Map:
    """Fractal noise with mean 0 and deviation 1.

    Args:
        rng: Decides the pattern.
        roughness: Power of the fall with frequency; 1 is rough, 2.5 is smooth.
        smallest: Length in texels of the finest detail.
        stretch: How much longer detail is along u than along v.
    """
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None] * stretch
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = 1
    weight = frequency**-roughness * np.exp(-((frequency * smallest) ** 2))
    weight[0, 0] = 0
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * weight)
    return np.asarray(field / field.std(), np.float32)


def cells(rng: Generator, *, count: int) -> tuple[Map, Map, np.ndarray]:
    """A wrapped Voronoi pattern: distance to the nearest seed and to the border, in texels; cell ids."""
    seeds = rng.random((count, 2)) * SIDE
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="xy"), -1).reshape(-1, 2)
    distances, ids = cKDTree(seeds, boxsize=SIDE).query(grid, k=2)
    first, second = distances.reshape(SIDE, SIDE, 2).astype(np.float32).transpose(2, 0, 1)
    return first, second - first, ids[:, 0].reshape(SIDE, SIDE)


@cache
def surface(name: str) -> Texture:
    """The map of a ground or a wall. Every process makes the same one."""
    rng = np.random.default_rng([77, sorted(SURFACES).index(name)])
    colour, height = SURFACES[name](rng)
    return relief(np.clip(colour, 0.004, 0.95).astype(np.float32), height.astype(np.float32))


def _tinted(base: tuple[int, int, int], brightness: np.ndarray) -> np.ndarray:
    result: np.ndarray = linear(*base) * np.exp(brightness)[..., None]
    return result


def _sand(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    warp = cloud(rng, roughness=2.2, smallest=8)
    rows = np.arange(SIDE)[:, None] * (2 * np.pi * 24 / SIDE)
    ripples = np.sin(rows + 1.6 * warp)
    grain = cloud(rng, roughness=0.2)
    tone = 0.06 * grain + 0.07 * cloud(rng, roughness=1.8) + 0.05 * ripples
    return _tinted((214, 186, 140), tone), 0.004 * ripples + 0.0009 * grain


def _gravel(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    _, border, ids = cells(rng, count=2600)
    tones = rng.normal(0, 0.32, 2600)[ids] + 0.08 * cloud(rng, roughness=0.6)
    dome = np.minimum(border / 4.5, 1) ** 0.5
    warm = rng.random(2600)[ids][..., None]
    stone = warm * linear(150, 134, 116) + (1 - warm) * linear(128, 130, 136)
    return stone * np.exp(tones)[..., None] * (0.25 + 0.75 * dome[..., None]), 0.012 * dome


def _paving(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    v, u = np.mgrid[:SIDE, :SIDE]
    row = v // 64
    u = (u + 64 * (row % 2)) % SIDE
    slab = row * 4 + u // 128
    edge = np.minimum(np.minimum(u % 128, 127 - u % 128), np.minimum(v % 64, 63 - v % 64))
    joint = np.clip((edge - 1) / 2.5, 0, 1)
    tone = rng.normal(0, 0.14, slab.max() + 1)[slab] + 0.1 * cloud(rng, roughness=1.4, smallest=1)
    colour = _tinted((158, 152, 144), tone) * (0.3 + 0.7 * joint[..., None])
    return colour, 0.008 * joint + 0.0012 * cloud(rng, roughness=0.9)


def _tiles(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    v, u = np.mgrid[:SIDE, :SIDE]
    dark = (u // 64 + v // 64) % 2
    edge = np.minimum(np.minimum(u % 64, 63 - u % 64), np.minimum(v % 64, 63 - v % 64))
    joint = np.clip(edge / 2, 0, 1)
    base = dark[..., None] * linear(150, 92, 74) + (1 - dark[..., None]) * linear(206, 192, 168)
    tone = rng.normal(0, 0.08, 64)[(u // 64) * 8 + v // 64] + 0.06 * cloud(rng, roughness=1.2)
    return base * np.exp(tone)[..., None] * (0.45 + 0.55 * joint[..., None]), 0.005 * joint


def _boards(rng: Generator, base: tuple[int, int, int], *, wide: int) -> tuple[np.ndarray, np.ndarray]:
    v, u = np.mgrid[:SIDE, :SIDE]
    board = v // wide
    gap = np.clip((np.minimum(v % wide, wide - 1 - v % wide) - 0.3) / 1.6, 0, 1)
    shift = rng.integers(0, SIDE, SIDE // wide)[board]
    grain = cloud(rng, roughness=1.0, smallest=0.5, stretch=14)[v, (u + shift) % SIDE]
    tone = rng.normal(0, 0.13, SIDE // wide)[board] + 0.17 * grain + 0.05 * cloud(rng, roughness=1.5)
    return _tinted(base, tone) * (0.12 + 0.88 * gap[..., None]), 0.01 * gap + 0.0008 * grain


def _soil(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    clumps = cloud(rng, roughness=1.1, smallest=3)
    _, border, ids = cells(rng, count=900)
    stone = (rng.random(900) < 0.12)[ids] * np.clip(border / 6 - 0.3, 0, 1)
    earth = _tinted((98, 74, 54), 0.26 * clumps + 0.1 * cloud(rng, roughness=0.3))
    mixed = earth * (1 - stone[..., None]) + _tinted((150, 142, 130), 0.1 * clumps) * stone[..., None]
    return mixed, 0.007 * clumps + 0.008 * stone


def _brick(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    v, u = np.mgrid[:SIDE, :SIDE]
    row = v // 16
    u = (u + 16 * (row % 2)) % SIDE
    brick = row * 16 + u // 32
    edge = np.minimum(np.minimum(u % 32, 31 - u % 32), np.minimum(v % 16, 15 - v % 16))
    face = np.clip(edge - 0.2, 0, 1)[..., None]
    tone = rng.normal(0, 0.2, brick.max() + 1)[brick] + 0.12 * cloud(rng, roughness=0.8)
    mortar = _tinted((176, 168, 156), 0.1 * cloud(rng, roughness=0.5))
    return _tinted((158, 84, 62), tone) * face + mortar * (1 - face), 0.01 * face[..., 0]


def _plaster(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    rough = cloud(rng, roughness=0.9)
    stains = np.minimum(cloud(rng, roughness=2.0, smallest=6), 0)
    return _tinted((222, 210, 188), 0.03 * rough + 0.1 * stains), 0.0022 * rough


def _leaves(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    first, border, ids = cells(rng, count=3200)
    tilt = rng.normal(0, 0.4, 3200)[ids]
    lumps = cloud(rng, roughness=2.0, smallest=10)
    leaf = np.clip(border / 3, 0, 1)
    colour = _tinted((62, 92, 44), tilt + 0.25 * lumps - 0.03 * first) * (0.25 + 0.75 * leaf[..., None])
    return colour, 0.02 * leaf + 0.05 * lumps


SURFACES = {
    "sand": _sand,
    "gravel": _gravel,
    "paving": _paving,
    "tiles": _tiles,
    "deck": lambda rng: _boards(rng, (150, 116, 84), wide=16),
    "soil": _soil,
    "brick": _brick,
    "plaster": _plaster,
    "planks": lambda rng: _boards(rng, (120, 104, 90), wide=32),
    "leaves": _leaves,
}
"""How each map is made: colours in linear light, and heights in metres."""


@cache
def noise() -> Texture:
    """Fractal noise in four channels, from rough to smooth."""
    rng = np.random.default_rng([77, 99])
    return pyramid([cloud(rng, roughness=roughness) for roughness in (0.5, 1.0, 1.5, 2.2)])


@cache
def blades() -> Texture:
    """Grass seen from above: how high the blade at a texel reaches (0 to 1), and its tone."""
    rng = np.random.default_rng([77, 100])
    first, _, ids = cells(rng, count=9000)
    reach = rng.uniform(0.35, 1.0, 9000)[ids]
    # A blade is widest at its root: higher cuts meet it nearer to its middle.
    height = reach * np.clip(1 - (first / 3.6) ** 2, 0, 1)
    return pyramid([height.astype(np.float32), rng.normal(0, 1, 9000)[ids].astype(np.float32)])
