"""Cases of a benchmark: pictures and names that each ask something else of a method.

Every case is made by the world's own renderer, with its exact mask, and is decided by split, seed and place.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator

from segmint.artifacts import Image, Mask
from segmint.benchmark.samples import SEED_STRIDE, USUAL_COUNTS, ClassCounts, Sample, first_seed
from segmint.errors import DatasetError
from segmint.toybox.worlds import SPLITS, Scene, Split, World

Picture = tuple[UInt8[np.ndarray, "row col 3"], UInt8[np.ndarray, "row col"]]
"""An image and its mask; a case may cut them to another size."""
Span = tuple[float, float]
"""Least and most."""
Names = tuple[str, ...]

_STREAM = 40
"""Sets the cases' random choices apart from the renderers'."""
_TRIES = 60
"""Scenes of things of a size that are drawn for one picture; if none fits, the next seed has its turn."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey. Source: ITU-R BT.601."""


def _usual(scene: Scene) -> bool:
    return True


def _as_it_is(image: Image, mask: Mask, rng: Generator) -> Picture:
    return image, mask


def _as_shown(shown: Names, classes: Names, rng: Generator) -> Names:
    return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """How pictures of a case are generated, in what departs from the usual."""

    class_counts: ClassCounts = USUAL_COUNTS
    """Weights of prompts of one, two and three classes."""
    across: float = 1.0
    """Width of the pictures, in widths that the model has of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One set of pictures, and the names that are asked for in them."""

    about: str
    """What it has, for people."""
    sizes_px: tuple[Span, ...] = ()
    """Ranges of the things' sizes; without any, scenes are those of the world."""
    fits: Callable[[Scene], bool] = _usual
    """Which scenes are of this case; the others are passed over."""
    seen: Callable[[Image, Mask, Generator], Picture] = _as_it_is
    """What becomes of a scene's picture."""
    named: Callable[[Names, Names, Generator], Names] = _as_shown
    """From the classes shown and all that there are to those asked for."""
    doubted: bool = False
    """Whether the method may find that a class asked for is not there."""
    drawn: Drawn | None = None
    """How its pictures are generated, where a prompt can ask for them."""


def _shares(scene: Scene) -> list[float]:
    """Shares of the picture that its classes cover, the largest first."""
    counts = np.bincount(scene.mask.ravel())[1:]
    return sorted((float(count) / scene.mask.size for count in counts if count), reverse=True)


def _covers(least: float, most: float) -> Callable[[Scene], bool]:
    """One class that covers such a share of the picture."""
    return lambda scene: len(found := _shares(scene)) == 1 and least <= found[0] <= most


def _counts(*numbers: int) -> Callable[[Scene], bool]:
    """So many classes."""
    return lambda scene: len(scene.classes) in numbers


def _unequal(scene: Scene) -> bool:
    """Two classes, one of which covers at least three times as much as the other."""
    found = _shares(scene)
    return len(found) == 2 and found[0] >= 3 * found[1]


def _three(shown: Names, classes: Names, rng: Generator) -> Names:
    """The classes shown and others, three together."""
    return (*shown, *_absent(shown, classes, rng))[:3]


def _misnamed(shown: Names, classes: Names, rng: Generator) -> Names:
    """Of three classes shown or more one or two, with others, three together; so one shown may be missing."""
    kept = 1 + int(rng.integers(2)) if len(shown) > 2 else len(shown)
    return (*rng.permutation(shown)[:kept].tolist(), *_absent(shown, classes, rng))[:3]


def _all(shown: Names, classes: Names, rng: Generator) -> Names:
    return classes


def _absent(shown: Names, classes: Names, rng: Generator) -> list[str]:
    return [str(name) for name in rng.permutation([name for name in classes if name not in shown])]


def _grey(image: Image, mask: Mask, rng: Generator) -> Picture:
    grey = np.rint(image @ np.asarray(LUMA)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2), mask


def _uneven_light(image: Image, mask: Mask, rng: Generator) -> Picture:
    """Light that falls across the picture in a random direction, from 1.2 to a quarter of what it was."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, cols = (np.linspace(-0.5, 0.5, side) for side in mask.shape)
    along = np.cos(angle) * cols[None, :] + np.sin(angle) * rows[:, None]
    light = np.clip(0.75 + 0.8 * along, 0.25, 1.2)
    return np.clip(image * light[..., None], 0, 255).astype(np.uint8), mask


def _oblong(image: Image, mask: Mask, rng: Generator) -> Picture:
    """Two thirds of the picture, full across or upright: the strip that shows most of the things."""
    turned = bool(rng.random() < 0.5)
    if turned:
        image, mask = image.swapaxes(0, 1), mask.swapaxes(0, 1)
    side = 2 * mask.shape[0] // 3
    ahead = np.concatenate([[0], np.cumsum(np.count_nonzero(mask, axis=1))])
    start = int(np.argmax(ahead[side:] - ahead[:-side]))
    image, mask = image[start : start + side], mask[start : start + side]
    return (image.swapaxes(0, 1), mask.swapaxes(0, 1)) if turned else (image, mask)


CASES: dict[str, Case] = {
    "exact": Case(about="the world's usual scenes, named exactly", drawn=Drawn()),
    "exact-doubted": Case(about="the same, not believed", doubted=True),
    "over-named": Case(
        about="three classes named, of which one or two are not there",
        fits=_counts(1, 2),
        named=_three,
        doubted=True,
    ),
    "misnamed": Case(
        about="three classes named, one or two of them not there; of three there, one or two not named",
        named=_misnamed,
        doubted=True,
    ),
    "all-named": Case(about="all classes of the world named", named=_all, doubted=True),
    "one-class": Case(
        about="scenes of one class", fits=_counts(1), drawn=Drawn(class_counts=(1.0, 0.0, 0.0))
    ),
    "unequal": Case(
        about="one thing large, the other at most a third of it",
        sizes_px=((72.0, 96.0), (20.0, 32.0)),
        fits=_unequal,
    ),
    "small": Case(
        about="one thing of 0.4 to 2 % of the picture", sizes_px=((10.0, 22.0),), fits=_covers(0.004, 0.02)
    ),
    "medium-small": Case(
        about="one thing of 2 to 5 % of the picture", sizes_px=((20.0, 38.0),), fits=_covers(0.02, 0.05)
    ),
    "half": Case(
        about="one thing of 40 to 55 % of the picture", sizes_px=((86.0, 130.0),), fits=_covers(0.4, 0.55)
    ),
    "large": Case(
        about="one thing of more than 70 % of the picture", sizes_px=((120.0, 190.0),), fits=_covers(0.7, 1.0)
    ),
    "grey": Case(about="usual scenes without colour", seen=_grey),
    "uneven-light": Case(about="usual scenes with a shadow across", seen=_uneven_light),
    "oblong": Case(about="two thirds of a scene, upright or across", seen=_oblong, drawn=Drawn(across=1.5)),
}
"""Rows by the name that `segmint benchmark toybox --case` knows."""


def case_samples(case: str, world: World, split: Split, *, seed: int, count: int) -> Iterator[Sample]:
    """The first pictures of a case among those that a benchmark seed owns.

    Raises:
        ConfigError: the seed or the count is out of range.
        DatasetError: the seed's scenes hold too few of this case.
    """
    rules, first = CASES[case], first_seed(seed, count)
    numbers = range(first, first + SEED_STRIDE)
    found = (each for number in numbers if (each := _sample(rules, world, split, number)) is not None)
    yielded = 0
    for sample in islice(found, count):
        yield sample
        yielded += 1
    if yielded < count:
        raise DatasetError(
            f"seed {seed} of {world.name} {split} holds {yielded} pictures of the case {case!r}; "
            f"expected {count}: ask for fewer by --count"
        )


def _sample(rules: Case, world: World, split: Split, number: int) -> Sample | None:
    scene = next((each for each in _scenes(rules, world, split, number) if rules.fits(each)), None)
    if scene is None:
        return None
    rng = np.random.default_rng([_STREAM, SPLITS.index(split), number])
    image, truth = rules.seen(scene.image, scene.mask, rng)
    shown = tuple(world.classes[label - 1] for label in np.unique(truth) if label)
    named = rules.named(shown, world.classes, rng)
    return Sample(
        item_id=f"{split}-{number}",
        image=image,
        truth=truth,
        classes=tuple(name for name in world.classes if name in named),
        doubted=rules.doubted,
    )


def _scenes(rules: Case, world: World, split: Split, number: int) -> Iterator[Scene]:
    if not rules.sizes_px:
        return iter((world.render(number, split=split),))
    return islice(world.render_sized(number, split=split, sizes_px=rules.sizes_px), _TRIES)
