"""Self-attention features, token maps and an image with the structure of a real scene, from a seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmint.artifacts import HeadFeatures, TokenMaps
from segmint.masks.evidence import ClassQuery

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of one model's capture."""

    name: str
    image_px: int
    layers: tuple[tuple[int, int, int], ...]
    """(grid side, heads, channels) of each layer."""

    @property
    def side(self) -> int:
        """Of the largest grid."""
        return max(side for side, _, _ in self.layers)


SD21 = Shape(
    name="SD 2.1-base, 512 px",
    image_px=512,
    layers=((16, 20, 64),) * 3 + ((32, 10, 64),) * 3 + ((64, 5, 64),) * 3,
)
SDXL = Shape(
    name="SDXL base, 1024 px",
    image_px=1024,
    layers=((32, 20, 64),) * 30 + ((64, 10, 64),) * 6,
)
TOYBOX = Shape(
    name="toybox, 128 px", image_px=128, layers=((8, 6, 24),) * 2 + ((16, 4, 24),) * 2 + ((32, 2, 24),) * 2
)
FLUX = Shape(name="FLUX, 1024 px", image_px=1024, layers=((64, 24, 128),) * 3)
SHAPES = {"sd21": SD21, "sdxl": SDXL, "flux": FLUX, "toybox": TOYBOX}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One item's raw material."""

    heads: tuple[HeadFeatures, ...]
    maps: TokenMaps
    image: Array
    classes: tuple[ClassQuery, ...]


def scene(shape: Shape, seed: int, *, halves: int = 2, objects: int = 5) -> Scene:
    """Blobs of a few classes on a two-part background, seen by every head through its own random mixing."""
    rng = np.random.default_rng(seed)
    parts = shapes_of(rng, shape.image_px, objects)
    classes = tuple(
        ClassQuery(name=name, label_id=label, phrases=(name,)) for label, name in ((3, "bird"), (12, "dog"))
    )
    return Scene(
        heads=tuple(_layer(rng, parts, index, layer, halves) for index, layer in enumerate(shape.layers)),
        maps=_maps(rng, parts, shape.side, tuple(each.name for each in classes)),
        image=picture_of(rng, parts),
        classes=classes,
    )


def shapes_of(rng: np.random.Generator, size: int, objects: int) -> Array:
    """(size, size) ids: 0–1 background halves, then wobbly ellipses, each with an inner part of its own."""
    y, x = np.mgrid[0:size, 0:size] / size
    parts: Array = (y + 0.05 * np.sin(9 * x + rng.uniform(0, 6)) > rng.uniform(0.4, 0.7)).astype(np.int64)
    for index in range(objects):
        cx, cy = rng.uniform(0.15, 0.85, 2)
        rx, ry = rng.uniform(0.06, 0.22, 2)
        angle = np.arctan2(y - cy, x - cx)
        radius = np.hypot((x - cx) / rx, (y - cy) / ry) + 0.15 * np.sin(3 * angle + rng.uniform(0, 6))
        parts[radius < 1] = 2 + 2 * index
        parts[radius < 0.5] = 3 + 2 * index
    return parts


def _layer(
    rng: np.random.Generator, parts: Array, index: int, layer: tuple[int, int, int], halves: int
) -> HeadFeatures:
    side, heads, channels = layer
    count = int(parts.max()) + 1
    onehot = (parts[None] == np.arange(count)[:, None, None]).astype(np.float32)
    block = parts.shape[0] // side
    cover = onehot.reshape(count, side, block, side, block).mean(axis=(2, 4))
    y, x = np.mgrid[0:side, 0:side] / side
    smooth = ndimage.gaussian_filter(rng.standard_normal((6, side, side)), (0, side / 12, side / 12))
    basis = np.concatenate([cover, 0.3 * np.stack([x, y]), smooth / smooth.std()]).reshape(-1, side * side)
    mixing = rng.standard_normal((halves, heads, len(basis), channels)) * rng.gamma(
        0.5, 1, (halves, heads, len(basis), 1)
    )
    values = np.einsum("bc,hkbd->hkcd", basis, mixing)
    values += 0.15 * rng.standard_normal(values.shape)
    return HeadFeatures(layer=f"up.{index}", grid=(side, side), values=values.astype(np.float32))


def _maps(rng: np.random.Generator, parts: Array, side: int, names: tuple[str, ...]) -> TokenMaps:
    block = parts.shape[0] // side
    owner = np.where(parts < 2, 0, 1 + (parts // 2) % len(names))
    rows = []
    for label in (*range(len(names) + 1), 0):
        cover = (owner == label).reshape(side, block, side, block).mean(axis=(1, 3))
        soft = ndimage.gaussian_filter(cover, side / 30) + 0.05 * ndimage.gaussian_filter(
            rng.standard_normal((side, side)), 1
        )
        rows.append(20 + 30 * soft)
    return TokenMaps(
        tokens=("<SoT>", *names, "<EoT>"),
        phrases=names,
        phrase_tokens=tuple((row,) for row in range(1, len(names) + 1)),
        values=np.stack(rows).astype(np.float32),
    )


def picture_of(rng: np.random.Generator, parts: Array) -> Array:
    """Every part in a colour of its own, in light and texture."""
    size = parts.shape[0]
    colours = rng.uniform(30, 225, (int(parts.max()) + 1, 3))[parts]
    light = ndimage.gaussian_filter(rng.standard_normal((size, size)), size / 10)
    texture = ndimage.gaussian_filter(rng.standard_normal((size, size, 3)), (1.5, 1.5, 0))
    picture = colours + 25 * (light / light.std())[..., None] + 8 * texture / texture.std()
    soft = ndimage.gaussian_filter(picture, (0.8, 0.8, 0)) + rng.normal(0, 2, picture.shape)
    image: Array = np.clip(np.rint(soft), 0, 255).astype(np.uint8)
    return image
