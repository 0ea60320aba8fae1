"""Run mask methods on the same attention and count what they get right.

Each image is drawn or looked at once, with all that any of the methods reads, and every method then makes its
mask of that; so differences between methods are theirs alone.
"""

import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segmint.artifacts import Generation, Image, Mask, Presence, PromptSpec
from segmint.attention import CaptureRequest, joined
from segmint.backbone.base import Backbone
from segmint.benchmark.rows import Mode, Row, make_row
from segmint.benchmark.samples import Sample
from segmint.benchmark.tally import Tally, tally
from segmint.errors import GenerationError
from segmint.masks.settings import profile
from segmint.pipeline import capture_for, finish
from segmint.plan.photos.reading import resized
from segmint.plan.photos.sources import describe
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe
from segmint.scores import area_under_curve
from segmint.vocabulary import Vocabulary

Judge = Callable[[Image], Mask]
"""Gives the true mask of an image that a model drew."""
MEMORY_IMAGES = 3
"""How many images of a set have their memory measured: it slows the work down, and hardly varies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One image with its attention and its true mask.

    `capture_cpu_s` is what drawing or looking took. If `doubted`, classes asked for may not be there. If
    `drawn`, the model drew the image itself, and its mask is made as `segmint generate` makes it.
    """

    generation: Generation
    image: Image
    truth: Mask
    capture_cpu_s: float
    doubted: bool = False
    drawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One method's mask of one case, and what it cost."""

    mask: Mask
    presence: Presence | None
    cpu_s: float
    peak_memory_mb: float | None


def look(
    samples: Iterable[Sample], backbone: Backbone, recipe: Recipe, capture: CaptureRequest, *, seed: int
) -> Iterator[Looked]:
    """Pictures of the mode `label`; image i takes its noise from seed + i."""
    size = (backbone.info.height_px, backbone.info.width_px)
    vocabulary = recipe.vocabulary.to_vocabulary()
    for index, sample in enumerate(samples):
        spec = _spec_of(sample, vocabulary, recipe, index=index, seed=seed + index)
        start = time.process_time()
        [outcome] = backbone.observe([resized(sample.image, size)], [spec], recipe.observation, capture)
        spent = time.process_time() - start
        if isinstance(outcome, GenerationError):
            raise outcome
        yield Looked(
            generation=outcome,
            image=sample.image,
            truth=sample.truth,
            capture_cpu_s=spent,
            doubted=sample.doubted,
        )


def draw(
    specs: Sequence[PromptSpec], backbone: Backbone, recipe: Recipe, capture: CaptureRequest, *, judge: Judge
) -> Iterator[Looked]:
    """Pictures of the mode `generate`: drawn from prompts, the judge's masks of them as the truth."""
    size = recipe.sampling.batch_size
    for at in range(0, len(specs), size):
        start = time.process_time()
        outcomes = backbone.generate(specs[at : at + size], recipe.sampling, capture)
        spent = (time.process_time() - start) / len(outcomes)
        for outcome in outcomes:
            if isinstance(outcome, GenerationError):
                continue
            yield Looked(
                generation=outcome,
                image=outcome.image,
                truth=judge(outcome.image),
                capture_cpu_s=spent,
                drawn=True,
            )


def rows_of(
    pictures: Iterable[Looked],
    methods: Sequence[str],
    recipe: Recipe,
    *,
    mode: Mode,
    seed: int,
    case: str | None = None,
    keep: Callable[[Looked, dict[str, Mask]], None] | None = None,
) -> list[Row]:
    """One row a method, from the pictures of one seed.

    Args:
        pictures: taken one by one, so that only one image's attention is held.
        methods: names of profiles.
        recipe: all but its masks section counts, which each method brings of its own.
        mode: how the pictures were made.
        seed: what they came from.
        case: the set that they are.
        keep: sees each picture with all methods' masks, for a sheet.
    """
    labels = recipe.vocabulary.to_vocabulary().label_names
    counted = {name: _Count(label_count=len(labels)) for name in methods}
    images, capture_cpu_s = 0, 0.0
    for looked in pictures:
        made = {name: make(looked, name, recipe, memory=images < MEMORY_IMAGES) for name in methods}
        for name, each in made.items():
            trusting = make(looked, name, recipe, memory=False, believed=True) if looked.doubted else each
            counted[name].add(looked, each, trusting)
        images, capture_cpu_s = images + 1, capture_cpu_s + looked.capture_cpu_s
        if keep:
            keep(looked, {name: each.mask for name, each in made.items()})
    return [
        make_row(
            count.given,
            labels,
            believed=count.believed,
            presence_auc=count.presence_auc(),
            method=name,
            mode=mode,
            case=case,
            seed=seed,
            images=images,
            cpu_s=count.cpu_s,
            capture_cpu_s=capture_cpu_s,
            peak_memory_mb=count.peak_memory_mb,
        )
        for name, count in counted.items()
        if images
    ]


class _Count:
    """What is counted of one method over a set of pictures."""

    def __init__(self, *, label_count: int) -> None:
        self.given = self.believed = Tally.empty(label_count)
        self.cpu_s = self.peak_memory_mb = 0.0
        self.scores: list[float] = []
        self.shown: list[bool] = []

    def add(self, looked: Looked, made: Made, trusting: Made) -> None:
        """Count one picture's mask, and that for which all classes asked for were believed."""
        count = len(self.given.border_any)
        self.given = self.given + tally(looked.truth, made.mask, label_count=count)
        self.believed = self.believed + tally(looked.truth, trusting.mask, label_count=count)
        self.cpu_s += made.cpu_s
        self.peak_memory_mb = max(self.peak_memory_mb, made.peak_memory_mb or 0.0)
        if made.presence:
            spec = looked.generation.spec
            for name, label in zip(spec.classes, spec.label_ids, strict=True):
                # A class that went ranks below all that stayed: scores of different rounds do not compare.
                self.scores.append(made.presence.scores[name] - (name in made.presence.absent))
                self.shown.append(bool((looked.truth == label).any()))

    def presence_auc(self) -> float | None:
        """Of all judgements together; None if there is none to be right or wrong about."""
        return area_under_curve(np.asarray(self.scores), np.asarray(self.shown, bool))


def make(looked: Looked, method: str, recipe: Recipe, *, memory: bool, believed: bool = False) -> Made:
    """One method's mask of one picture; CPU time is that of all threads of this process.

    Classes that are not doubted, and all where they are `believed`, are known to be there.
    """
    own = _own(recipe, method, doubted=looked.doubted and not believed)
    if looked.doubted:
        asked = recipe.vocabulary.to_vocabulary().subset(looked.generation.spec.classes)
        own = own.model_copy(update={"vocabulary": VocabularySettings.from_vocabulary(asked)})
    seen = _only(looked.generation, capture_for(own))
    peak = _peak_mb(seen, looked.image, own) if memory else None
    start = time.process_time()
    trace = finish(seen, own, None if looked.drawn else looked.image).trace
    spent = time.process_time() - start
    return Made(mask=trace.mask.labels, presence=trace.presence, cpu_s=spent, peak_memory_mb=peak)


def union_capture(methods: Sequence[str], recipe: Recipe, *, doubted: bool = False) -> CaptureRequest:
    """All that any of the methods reads, of pictures whose classes are believed or doubted."""
    return joined(
        *(capture_for(_own(recipe, name, doubted=doubted), photos=doubted) for name in dict.fromkeys(methods))
    )


def _own(recipe: Recipe, method: str, *, doubted: bool) -> Recipe:
    """The recipe with a method's own masks section."""
    photos = recipe.photos.model_copy(update={"absent": "suppress" if doubted else "keep"})
    return recipe.model_copy(update={"masks": profile(method), "photos": photos})


def _only(generation: Generation, capture: CaptureRequest) -> Generation:
    """The generation with nothing but what a method asked for, so that it pays for no more."""
    return replace(
        generation,
        heads=generation.heads if capture.features else (),
        maps={name: generation.maps[name] for name in capture.map_names},
        affinity=generation.affinity if capture.affinity else None,
        denoising=generation.denoising if capture.denoising else None,
        guidance=generation.guidance if capture.guidance else None,
        refining=generation.refining if capture.agreements else None,
    )


def _peak_mb(generation: Generation, image: Image, recipe: Recipe) -> float:
    tracemalloc.start()
    try:
        finish(generation, recipe, image)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def _spec_of(sample: Sample, vocabulary: Vocabulary, recipe: Recipe, *, index: int, seed: int) -> PromptSpec:
    entries = vocabulary.subset(sample.classes).entries
    caption = sample.caption or describe([entry.phrases[0] for entry in entries], recipe.photos.caption)
    return PromptSpec(
        item_id=sample.item_id,
        index=index,
        prompt=caption,
        classes=tuple(entry.name for entry in entries),
        label_ids=tuple(entry.label_id for entry in entries),
        phrases=tuple(entry.phrases for entry in entries),
        seed=seed,
    )
