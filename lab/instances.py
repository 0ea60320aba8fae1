"""`python -m lab.instances`: how well the parting of things of one class finds them, without labels.

Touching: two or three toybox things of one class side by side, whose exact semantic mask is given and whose
exact instances are known. Then each world's own scenes; in the yard a class may come twice, and things hide
one another. Panoptic quality over all objects of things (Kirillov et al., Panoptic Segmentation, CVPR 2019):
true and found objects match where they overlap by more than half. Boundary PQ takes the overlap of their
borders where that is less (Cheng et al., Boundary IoU, CVPR 2021, section 6).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Bool, Float, Int, Integer, UInt8
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from skimage.segmentation import watershed

from segmint.artifacts import Image, Mask
from segmint.benchmark.tally import border, border_width_px
from segmint.masks.instances import MIN_AREA_SHARE, Instances, part, settled
from segmint.toybox import backgrounds, shapes
from segmint.toybox.world import CLASSES, SIDE_PX
from segmint.toybox.worlds import WORLDS, World

TOUCHING = 0.72
"""Distance of two centres, in sizes, at which most things touch."""
COVERED = 128
"""A pixel belongs to a thing that covers at least half of it, as in the world."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One picture with its truth."""

    image: Image
    mask: Mask
    instances: Integer[np.ndarray, "image_h image_w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Panoptic quality and its two factors' parts, over all pictures."""

    matched: int = 0
    missed: int = 0
    invented: int = 0
    overlap: float = 0.0
    """Sum of the matches' overlaps."""

    def __add__(self, other: "Quality") -> "Quality":
        """That of both sets of pictures."""
        return Quality(
            matched=self.matched + other.matched,
            missed=self.missed + other.missed,
            invented=self.invented + other.invented,
            overlap=self.overlap + other.overlap,
        )

    @property
    def pq(self) -> float:
        """Sum of the matches' overlaps over matches and half of all errors."""
        return self.overlap / max(self.matched + (self.missed + self.invented) / 2, 1)


def touching(count: int, seed: int = 0) -> Iterator[Case]:
    """Scenes of two or three things of one class, each beside the one before."""
    for index in range(count):
        rng = np.random.default_rng([7, seed, index])
        name = CLASSES[int(rng.integers(len(CLASSES)))]
        colours = shapes.KINDS[name].colours
        image = backgrounds.paint(
            tuple(backgrounds.GROUNDS)[int(rng.integers(len(backgrounds.GROUNDS)))], side_px=SIDE_PX, rng=rng
        )
        numbers = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        things = 2 + int(rng.random() < 0.3)
        size = float(rng.uniform(36, 48))
        left = (SIDE_PX - (things - 1) * size * TOUCHING) / 2
        for place in range(things):
            sprite = shapes.draw(name, colour=colours[int(rng.integers(len(colours)))], size_px=size, rng=rng)
            at = (left + place * size * TOUCHING, float(rng.uniform(54, 74)))
            image = _pasted(image, numbers, sprite.rgb, sprite.coverage, at=at, number=place + 1)
        mask = np.where(numbers > 0, CLASSES.index(name) + 1, 0).astype(np.uint8)
        yield Case(image=image, mask=mask, instances=numbers)


def _pasted(
    image: Image,
    numbers: UInt8[np.ndarray, "row col"],
    rgb: UInt8[np.ndarray, "r c 3"],
    coverage: UInt8[np.ndarray, "r c"],
    *,
    at: tuple[float, float],
    number: int,
) -> Image:
    half = coverage.shape[0] / 2
    left, top = round(at[0] - half), round(at[1] - half)
    rows = slice(max(top, 0), min(top + coverage.shape[0], SIDE_PX))
    cols = slice(max(left, 0), min(left + coverage.shape[1], SIDE_PX))
    inner = (slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left))
    alpha = coverage[inner][..., None].astype(np.float32) / 255
    image = image.copy()
    image[rows, cols] = np.rint(image[rows, cols] * (1 - alpha) + rgb[inner] * alpha).astype(np.uint8)
    numbers[rows, cols][coverage[inner] >= COVERED] = number
    return image


def scenes(world: World, count: int) -> Iterator[Case]:
    """Validation scenes of a world; stuff is no instance here."""
    stuff = [world.classes.index(name) + 1 for name in world.stuff]
    for seed in range(count):
        scene = world.render(seed, split="val")
        things = np.where(np.isin(scene.mask, stuff), 0, scene.mask)
        yield Case(image=scene.image, mask=things, instances=np.where(things > 0, scene.instances, 0))


def quality(cases: list[Case], way: Callable[[Case], Instances]) -> tuple[Quality, Quality]:
    """What a way of parting finds of the true objects, by their pixels and by their borders."""
    plain, bordered = Quality(), Quality()
    for case in cases:
        found, true = way(case).numbers.astype(np.int64), case.instances.astype(np.int64)
        wide = int(true.max(initial=0)) + 1
        both = np.bincount((found * wide + true).ravel(), minlength=wide * (int(found.max(initial=0)) + 1))
        table = both.reshape(-1, wide)
        union = table.sum(1)[:, None] + table.sum(0)[None] - table
        iou = (table / np.maximum(union, 1))[1:, 1:]
        objects = int((table.sum(0)[1:] > 0).sum())
        by_border = np.zeros_like(iou)
        for one, other in np.argwhere(iou > 0.5):  # no other pair can match
            overlap = _border_iou(found == one + 1, true == other + 1)
            by_border[one, other] = min(iou[one, other], overlap)
        plain, bordered = plain + _matched(iou, objects), bordered + _matched(by_border, objects)
    return plain, bordered


def _matched(overlaps: Float[np.ndarray, "found true"], objects: int) -> Quality:
    hits = overlaps[overlaps > 0.5]
    return Quality(
        matched=len(hits),
        missed=objects - len(hits),
        invented=len(overlaps) - len(hits),
        overlap=float(hits.sum()),
    )


def _border_iou(one: Bool[np.ndarray, "h w"], other: Bool[np.ndarray, "h w"]) -> float:
    width_px = border_width_px(one.shape)
    bands = border(one, width_px=width_px), border(other, width_px=width_px)
    return float((bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum())


def ways(necks: list[float]) -> dict[str, Callable[[Case], Instances]]:
    """Plain components, without specks, and cut at necks."""
    least = MIN_AREA_SHARE * SIDE_PX**2

    def at(neck: float) -> Callable[[Case], Instances]:
        return lambda case: cut_at_necks(case, neck, least)

    return {
        "connected regions": lambda case: part(case.mask),
        "ours: without specks": lambda case: part(case.mask, min_area_px=least),
        **{f"also cut at necks under {neck:g}": at(neck) for neck in necks},
    }


def cut_at_necks(case: "Case", neck: float, min_area_px: int | float) -> Instances:
    """Connected regions, cut where they are narrower than this share of the smaller part's width."""
    components = part(case.mask).numbers
    numbers, last = components.copy(), int(components.max(initial=0))
    for number, box in enumerate(ndimage.find_objects(components), start=1):
        parts = _cut(components[box] == number, neck)
        for extra in range(2, int(parts.max(initial=0)) + 1):
            last += 1
            numbers[box][parts == extra] = last
    return settled(numbers, case.mask, min_area_px)


def _cut(inside: Bool[np.ndarray, "h w"], neck: float) -> Int[np.ndarray, "h w"]:
    """A region's parts, numbered from 1: basins of its depth, joined again unless a neck lies between."""
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    peaks = (depth == ndimage.maximum_filter(depth, size=3)) & inside
    seeds, count = ndimage.label(peaks, structure=np.ones((3, 3)))
    if count < 2:
        return inside.astype(np.int32)
    basins = watershed(-depth, seeds, mask=inside)
    peak = ndimage.maximum(depth, basins, np.arange(count + 1))
    owner = np.arange(count + 1)
    for saddle, one, other in _saddles(basins, depth):
        a, b = _root(owner, one), _root(owner, other)
        if a == b or saddle < neck * min(peak[a], peak[b]):
            continue
        owner[b], peak[a] = a, max(peak[a], peak[b])
    roots = np.array([_root(owner, each) for each in range(count + 1)])
    _, dense = np.unique(roots[basins], return_inverse=True)
    parts: Int[np.ndarray, "h w"] = dense.reshape(inside.shape) + int(bool(inside.all()))
    return parts


def _saddles(basins: Int[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"]) -> list[tuple[float, int, int]]:
    """For each two basins that touch, the depth of the deepest passage, deepest first."""
    passages: dict[tuple[int, int], float] = {}
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        touch = (basins[here] != basins[there]) & (basins[here] > 0) & (basins[there] > 0)
        pairs = np.sort(np.stack([basins[here][touch], basins[there][touch]], axis=1), axis=1)
        lows = np.minimum(depth[here][touch], depth[there][touch])
        for (one, other), low in zip(pairs.tolist(), lows.tolist(), strict=True):
            passages[one, other] = max(passages.get((one, other), 0.0), low)
    return sorted(((low, one, other) for (one, other), low in passages.items()), reverse=True)


def _root(owner: Int[np.ndarray, "basin"], each: int) -> int:
    while owner[each] != each:
        each = int(owner[each])
    return each


def main(
    count: Annotated[int, typer.Option(help="Pictures of each exam.")] = 100,
    necks: Annotated[str, typer.Option(help="Shares to try.")] = "0.3,0.4,0.5,0.6,0.7,0.8",
) -> None:
    """Print the table."""
    exams = {"touching things of one class": list(touching(count))}
    exams |= {f"{name}, val": list(scenes(world, count)) for name, world in WORLDS.items()}
    for title, cases in exams.items():
        columns = ("parting", "PQ", "boundary PQ", "matched", "missed", "invented")
        table = Table(*columns, title=f"{title}: {count} pictures")
        for name, way in ways([float(each) for each in necks.split(",")]).items():
            got, borders = quality(cases, way)
            counts = (str(got.matched), str(got.missed), str(got.invented))
            table.add_row(name, f"{got.pq:.3f}", f"{borders.pq:.3f}", *counts)
        Console().print(table)


if __name__ == "__main__":
    typer.run(main)
