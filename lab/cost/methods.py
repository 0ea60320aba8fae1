"""CPU time and memory of every mask method by the number of classes that are looked for."""

import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from scipy import ndimage

from lab.cost.synthetic_scene import Scene, Shape, scene
from segmint.artifacts import Affinity, DenoisingEvidence, Generation, PromptSpec, TokenMaps
from segmint.attention import CONCEPT_MAPS, EXPERT_MAPS, AgreementRequest
from segmint.masks.evidence import ClassQuery
from segmint.masks.features import summarise
from segmint.masks.methods import METHODS
from segmint.masks.settings import profile
from segmint.recipe import Recipe

LOUD = 2
"""Classes that the scene shows; the others are named and absent, and their maps are faint."""
RULES = profile("segmint")
"""As minting asks: each named class has to hold its share, and few of many are asked for by denoising."""
MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCost:
    """One method on one scene, from raw attention to the mask."""

    shape: str
    method: str
    classes: int
    cpu_s: float
    """Median over the repeats, one thread."""
    peak_mb: float
    """Of arrays that were made on the way, beside what was captured."""


def measure(
    shape: Shape,
    methods: Sequence[str],
    class_counts: Sequence[int],
    *,
    repeats: int = 3,
    seen: Callable[[int, int], None] = lambda done, total: None,
) -> list[MethodCost]:
    """Every method with every number of classes, after one mask that only warms up.

    Args:
        shape: sizes of the captured attention and of the image.
        methods: names.
        class_counts: 1 to 254.
        repeats: of each, for the time; memory is taken once more.
        seen: told after each, of how many.
    """
    raw, found = scene(shape, 0), []
    for count in class_counts:
        generation, classes = generation_of(raw, count)
        for method in methods:
            find = _finder(generation, classes, method)
            find()
            spent = [_cpu_s(find) for _ in range(repeats)]
            found.append(
                MethodCost(
                    shape=shape.name,
                    method=method,
                    classes=count,
                    cpu_s=median(spent),
                    peak_mb=_peak_mb(find),
                )
            )
            seen(len(found), len(methods) * len(class_counts))
    return found


def generation_of(raw: Scene, count: int) -> tuple[Generation, tuple[ClassQuery, ...]]:
    """A scene as if so many classes had been named, with what every method captures."""
    names = tuple(f"class {number}" for number in range(1, count + 1))
    rng, (_, side, _) = np.random.default_rng(count), raw.maps.values.shape
    start, *loud = raw.maps.values[: 1 + LOUD]
    faint = ndimage.gaussian_filter(rng.standard_normal((count, side, side)), (0, 2, 2))
    rows = 20 + faint.astype(np.float32)
    for place in range(min(count, LOUD)):
        rows[place] = loud[place]
    whole = TokenMaps(
        tokens=("<SoT>", *names, "<EoT>"),
        phrases=names,
        phrase_tokens=tuple((row,) for row in range(1, count + 1)),
        values=np.concatenate([start[None], rows, start[None]]),
    )
    parted = replace(whole, values=whole.values / whole.values.sum(axis=0))
    half, sixteenth = (
        replace(whole, values=whole.values[:, ::step, ::step].copy()) for step in (2, max(1, side // 16))
    )
    spec = PromptSpec(
        item_id="0", index=0, prompt="", classes=names, label_ids=tuple(range(1, count + 1)),
        phrases=tuple((name,) for name in names), seed=0,
    )  # fmt: skip
    return (
        Generation(
            spec=spec,
            image=raw.image,
            heads=raw.heads,
            maps={
                "classes": whole, "prompt": whole, "classes@fine": whole, "classes@half": half,
                "classes@16": sixteenth, CONCEPT_MAPS: whole, EXPERT_MAPS: whole,
                **{AgreementRequest(reference=each).name: parted for each in ("paper", "published")},
            },
            affinity=_affinity(raw, side // 2),
            refining=_affinity(raw, side),
            denoising=_denoising(names, rows, start),
        ),
        ClassQuery.of_spec(spec, least_share=RULES.presence.named),
    )  # fmt: skip


def _denoising(names: Sequence[str], rows: np.ndarray, start: np.ndarray) -> DenoisingEvidence:
    """Classes help where they are attended to, and all of them change what the start token leaves."""
    asked = rows[: RULES.denoising.most]
    gains = 0.01 * (asked - asked.mean(axis=(1, 2), keepdims=True))
    return DenoisingEvidence(
        classes=tuple(names[: len(asked)]), gains=gains, change=(start.max() - start) / start.mean()
    )


def _affinity(raw: Scene, side: int) -> Affinity:
    """Cells of like colour attend to one another."""
    step = raw.image.shape[0] // side
    colours = raw.image[::step, ::step][:side, :side].reshape(-1, 3).astype(np.float32) / 64
    apart = ((colours[:, None] - colours[None]) ** 2).sum(axis=-1)
    near = np.exp(-apart)
    return Affinity(grid=(side, side), values=near / near.sum(axis=1, keepdims=True))


def _finder(generation: Generation, classes: Sequence[ClassQuery], method: str) -> Callable[[], object]:
    settings = profile(method)
    if METHODS[method].captures(settings, Recipe().capture.reading()).features is None:
        generation = replace(generation, heads=())  # condensing is a cost of those that read features
    return lambda: METHODS[method](summarise(generation, settings), generation.image, classes, settings)


def _cpu_s(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _peak_mb(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / MB
    finally:
        tracemalloc.stop()
