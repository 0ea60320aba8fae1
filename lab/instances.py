"""`python -m lab.instances`: how well the parting of things of one class finds them, without labels.

Touching: two or three toybox things of one class side by side, whose exact semantic mask is given and whose
exact instances are known. Then each world's own scenes; in the yard a class may come twice, and things hide
one another. The toybox's model looks at all of them, also at the yard's, which it was never shown.

Panoptic quality over all objects of things (Kirillov et al., Panoptic Segmentation, CVPR 2019): true and
found objects match where they overlap by more than half. Boundary PQ takes the overlap of their borders where
that is less (Cheng et al., Boundary IoU, CVPR 2021, section 6).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Bool, Float, Integer, UInt8
from rich.console import Console
from rich.table import Table

from segmint.artifacts import AttentionSummary, Image, Mask, PromptSpec
from segmint.attention import CaptureRequest, FeatureRequest
from segmint.backbone.base import Backbone
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, ObserveSettings
from segmint.benchmark.tally import border, border_width_px
from segmint.errors import GenerationError
from segmint.masks.features import summarise
from segmint.masks.instances import MIN_AREA_SHARE, Instances, part
from segmint.masks.settings import MaskSettings
from segmint.masks.touching import CutRules, touching_things
from segmint.toybox import backgrounds, shapes
from segmint.toybox.world import CLASSES, SIDE_PX
from segmint.toybox.worlds import WORLDS, World

TOUCHING = 0.72
"""Distance of two centres, in sizes, at which most things touch."""
UNEQUAL = 0.15
"""Their sizes differ by up to this share from those of the picture."""
AT_ONCE = 4
"""Pictures that the model looks at together."""
COVERED = 128
"""A pixel belongs to a thing that covers at least half of it, as in the world."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture with its truth."""

    image: Image
    mask: Mask
    instances: Integer[np.ndarray, "image_h image_w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a way of parting is given, and the truth."""

    mask: Mask
    attention: AttentionSummary
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


def touching(count: int, seed: int = 0) -> Iterator[Picture]:
    """Scenes of two or three things of one class of unequal size, each beside the one before."""
    for index in range(count):
        rng = np.random.default_rng([7, seed, index])
        name = CLASSES[int(rng.integers(len(CLASSES)))]
        colours = shapes.KINDS[name].colours
        image = backgrounds.paint(
            tuple(backgrounds.GROUNDS)[int(rng.integers(len(backgrounds.GROUNDS)))], side_px=SIDE_PX, rng=rng
        )
        numbers = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        things = 2 + int(rng.random() < 0.3)
        sizes = rng.uniform(36, 48) * rng.uniform(1 - UNEQUAL, 1 + UNEQUAL, things)
        steps = np.concatenate([[0], (sizes[1:] + sizes[:-1]) / 2 * TOUCHING])
        across = (SIDE_PX - steps.sum()) / 2 + steps.cumsum()
        for place, (size, x) in enumerate(zip(sizes.tolist(), across.tolist(), strict=True)):
            sprite = shapes.draw(name, colour=colours[int(rng.integers(len(colours)))], size_px=size, rng=rng)
            at = (x, float(rng.uniform(54, 74)))
            image = _pasted(image, numbers, sprite.rgb, sprite.coverage, at=at, number=place + 1)
        mask = np.where(numbers > 0, CLASSES.index(name) + 1, 0).astype(np.uint8)
        yield Picture(image=image, mask=mask, instances=numbers)


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


def scenes(world: World, count: int, first: int = 0) -> Iterator[Picture]:
    """Validation scenes of a world; stuff is no instance here."""
    stuff = [world.classes.index(name) + 1 for name in world.stuff]
    for seed in range(first, first + count):
        scene = world.render(seed, split="val")
        things = np.where(np.isin(scene.mask, stuff), 0, scene.mask)
        yield Picture(image=scene.image, mask=things, instances=np.where(things > 0, scene.instances, 0))


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
    """Plain components, without specks, cut at every neck, and cut where both sides look alike."""
    least = MIN_AREA_SHARE * SIDE_PX**2

    def cut(rules: CutRules) -> Callable[[Case], Instances]:
        return lambda case: part(
            case.mask, points=touching_things(case.mask, case.attention, rules), min_area_px=least
        )

    return {
        "connected regions": lambda case: part(case.mask),
        "without specks": lambda case: part(case.mask, min_area_px=least),
        **{f"cut at necks under {neck:g}": cut(CutRules(neck=neck, alike=2.0, even=0.0)) for neck in necks},
        "ours: necks with like sides": cut(CutRules()),
    }


def seen(pictures: Iterable[Picture], names: Sequence[str], backbone: Backbone) -> Iterator[Case]:
    """Pictures with what the model sees in them, as `segmint label` would ask it."""
    settings = MaskSettings()
    source = iter(pictures)
    batches = iter(lambda: list(islice(source, AT_ONCE)), [])
    for number, batch in enumerate(batches):
        specs = [_spec(number * AT_ONCE + place, each, names) for place, each in enumerate(batch)]
        asked = CaptureRequest(features=FeatureRequest(), maps=())
        outcomes = backbone.observe([each.image for each in batch], specs, ObserveSettings(), asked)
        for picture, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, GenerationError):
                raise outcome
            yield Case(mask=picture.mask, instances=picture.instances, attention=summarise(outcome, settings))


def _spec(index: int, picture: Picture, names: Sequence[str]) -> PromptSpec:
    ids = tuple(int(each) for each in np.unique(picture.mask) if each)
    shown = tuple(names[each - 1] for each in ids)
    return PromptSpec(
        item_id=f"{index:06d}",
        index=index,
        prompt="a photo of " + " and ".join(f"a {name}" for name in shown),
        classes=shown,
        label_ids=ids,
        phrases=tuple((name,) for name in shown),
        seed=2024 + index,
    )


def main(
    count: Annotated[int, typer.Option(help="Pictures of each exam.")] = 100,
    necks: Annotated[str, typer.Option(help="Shares to try.")] = "0.4,0.7",
    seed: Annotated[int, typer.Option(help="Other pictures; the rules were chosen on those of 0.")] = 1,
) -> None:
    """Print the table."""
    backbone = load(ModelSettings(id="toybox"))
    pictures = {"touching things of one class": (CLASSES, touching(count, seed))}
    for name, world in WORLDS.items():
        pictures[f"{name}, val"] = (world.classes, scenes(world, count, count * seed))
    for title, (names, made) in pictures.items():
        cases = list(seen(made, names, backbone))
        columns = ("parting", "PQ", "boundary PQ", "matched", "missed", "invented")
        table = Table(*columns, title=f"{title}: {count} pictures")
        for name, way in ways([float(each) for each in necks.split(",")]).items():
            got, borders = quality(cases, way)
            counts = (str(got.matched), str(got.missed), str(got.invented))
            table.add_row(name, f"{got.pq:.3f}", f"{borders.pq:.3f}", *counts)
        Console().print(table)


if __name__ == "__main__":
    typer.run(main)
