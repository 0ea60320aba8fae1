"""The toybox world: small scenes with exact masks and captions, each decided by one number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator

from segmint.errors import SegmintError
from segmint.toybox import backgrounds, brush, captions, shapes

Split = Literal["train", "val", "test", "reserve"]

SIDE_PX = 128
"""Side of a scene."""
CLOSE_UP_PX = 64
"""Side of a close-up."""
CLASSES: tuple[str, ...] = tuple(shapes.KINDS)
"""Class names in the order of their ids, from 1; 0 is the background."""
SPLIT_STARTS: dict[str, int] = {"train": 0, "val": 10_000_000, "test": 20_000_000, "reserve": 30_000_000}
"""`reserve` is the second test range: gate, benchmark and experiment had looked at `test`."""
SEEDS_PER_SPLIT = 10_000_000
"""Seeds 0 to SEEDS_PER_SPLIT - 1 of a split are its own: no two splits share a scene."""

_SIZES_PX = {1: (58.0, 96.0), 2: (48.0, 76.0), 3: (42.0, 60.0)}
"""Range of the things' size by how many there are in a scene."""
_CLOSE_UP_SIZES_PX = {1: (42.0, 72.0), 2: (34.0, 44.0)}
_COUNT_SHARES = (0.3, 0.4, 0.3)
"""Shares of scenes with one, two and three things."""
_LEAST_VISIBLE = 0.62
"""Share of every thing that the things before it must leave in sight."""
_COVERED = 128
"""A pixel belongs to a thing that covers at least half of it (128 of 255)."""
_TRIES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One rendered scene."""

    image: UInt8[np.ndarray, "row col 3"]
    """RGB."""
    mask: UInt8[np.ndarray, "row col"]
    """Class ids; 0 is the background."""
    caption: str
    classes: tuple[str, ...]
    """Names of the classes in the picture, by id."""
    colours: tuple[str, ...]
    """The colour of the thing of each class."""
    ground: str

    @property
    def things(self) -> tuple[str, ...]:
        """The class of every thing: each comes once."""
        return self.classes

    @property
    def instances(self) -> UInt8[np.ndarray, "row col"]:
        """Number of the thing at each pixel, from 1, in the order of `things`; 0 is the background."""
        numbers = np.zeros(len(CLASSES) + 1, np.uint8)
        for number, name in enumerate(self.things, start=1):
            numbers[CLASSES.index(name) + 1] = number
        found: UInt8[np.ndarray, "row col"] = numbers[self.mask]
        return found


def render(seed: int, *, split: Split) -> Scene:
    """Render one 128 × 128 scene of one to three different things.

    Args:
        seed: 0 to 9 999 999; with the split it decides everything.
        split: Scenes of different splits never come from the same random stream.

    Returns:
        The scene.

    Raises:
        SegmintError: The seed is outside the split's range.
    """
    rng = _stream(seed, split=split, purpose=0)
    count = 1 + int(rng.choice(3, p=_COUNT_SHARES))
    return _compose(rng, side_px=SIDE_PX, sizes_px=[_SIZES_PX[count]] * count)


def render_sized(seed: int, *, split: Split, sizes_px: Sequence[tuple[float, float]]) -> Iterator[Scene]:
    """Scenes of one thing in each range of sizes, as many as are asked for; see `render`."""
    rng = _stream(seed, split=split, purpose=2)
    while True:
        yield _compose(rng, side_px=SIDE_PX, sizes_px=sizes_px)


def render_close_up(seed: int, *, split: Split) -> Scene:
    """Render one 64 × 64 view of one or two things at the scale of a scene; see `render`."""
    rng = _stream(seed, split=split, purpose=1)
    count = 1 + int(rng.random() < 0.3)
    return _compose(rng, side_px=CLOSE_UP_PX, sizes_px=[_CLOSE_UP_SIZES_PX[count]] * count)


def _stream(seed: int, *, split: Split, purpose: int) -> Generator:
    if not 0 <= seed < SEEDS_PER_SPLIT:
        raise SegmintError(
            f"toybox seed {seed}: expected 0 to {SEEDS_PER_SPLIT - 1} within the split {split!r}"
        )
    return np.random.default_rng([purpose, SPLIT_STARTS[split] + seed])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A thing's picture on the full canvas."""

    class_id: int
    rgb: UInt8[np.ndarray, "row col 3"]
    coverage: UInt8[np.ndarray, "row col"]
    foot_px: float


def _compose(rng: Generator, *, side_px: int, sizes_px: Sequence[tuple[float, float]]) -> Scene:
    chosen = [CLASSES[i] for i in rng.permutation(len(CLASSES))[: len(sizes_px)]]
    colours = [
        shapes.KINDS[name].colours[int(rng.integers(len(shapes.KINDS[name].colours)))] for name in chosen
    ]
    ground = tuple(backgrounds.GROUNDS)[int(rng.integers(len(backgrounds.GROUNDS)))]
    placed = _arrange(rng, chosen, colours, side_px=side_px, sizes_px=sizes_px)
    image = backgrounds.paint(ground, side_px=side_px, rng=rng)
    mask = np.zeros((side_px, side_px), np.uint8)
    for thing in placed:
        alpha = thing.coverage[..., None].astype(np.float32) / 255
        image = np.rint(image * (1 - alpha) + thing.rgb * alpha).astype(np.uint8)
        mask[thing.coverage >= _COVERED] = thing.class_id
    things = sorted(zip(chosen, colours, strict=True))
    return Scene(
        image=image,
        mask=mask,
        caption=captions.write(things, ground=ground, rng=rng),
        classes=tuple(name for name, _ in things),
        colours=tuple(colour for _, colour in things),
        ground=ground,
    )


def _arrange(
    rng: Generator,
    names: Sequence[str],
    colours: Sequence[str],
    *,
    side_px: int,
    sizes_px: Sequence[tuple[float, float]],
) -> list[_Placed]:
    """Things at random places, farthest first; the last of many tries stands if none leaves all in sight."""
    sizes = [rng.uniform(*span) for span in sizes_px]
    sprites = [
        shapes.draw(name, colour=colour, size_px=float(size), rng=rng)
        for name, colour, size in zip(names, colours, sizes, strict=True)
    ]
    best: list[_Placed] = []
    best_visible = -1.0
    for _ in range(_TRIES):
        placed = [
            _place(rng, sprite, CLASSES.index(name) + 1, size_px=float(size), side_px=side_px)
            for sprite, name, size in zip(sprites, names, sizes, strict=True)
        ]
        placed.sort(key=lambda thing: thing.foot_px)
        visible = _least_visible(placed)
        if visible > best_visible:
            best, best_visible = placed, visible
        if visible >= _LEAST_VISIBLE:
            break
    return best


def _place(rng: Generator, sprite: brush.Sprite, class_id: int, *, size_px: float, side_px: int) -> _Placed:
    margin = min(size_px * 0.47, side_px / 2)
    centre_x, centre_y = rng.uniform(margin, side_px - margin, 2)
    extent = sprite.coverage.shape[0]
    left, top = round(centre_x - extent / 2), round(centre_y - extent / 2)
    rgb = np.zeros((side_px, side_px, 3), np.uint8)
    coverage = np.zeros((side_px, side_px), np.uint8)
    rows = slice(max(top, 0), min(top + extent, side_px))
    cols = slice(max(left, 0), min(left + extent, side_px))
    source = (slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left))
    rgb[rows, cols] = sprite.rgb[source]
    coverage[rows, cols] = sprite.coverage[source]
    return _Placed(class_id=class_id, rgb=rgb, coverage=coverage, foot_px=float(centre_y + size_px / 2))


def _least_visible(placed: Sequence[_Placed]) -> float:
    """The smallest share of a thing that later things do not hide."""
    hidden = np.zeros(placed[0].coverage.shape, bool)
    least = 1.0
    for thing in reversed(placed):
        area = thing.coverage >= _COVERED
        least = min(least, float((area & ~hidden).sum() / max(int(area.sum()), 1)))
        hidden |= area
    return least
