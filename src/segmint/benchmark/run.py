"""Run mask methods on the same attention and count what they get right.

Each image is drawn or looked at once, with all that any of the methods reads, and every method then makes its
mask of that; so differences between methods are theirs alone.
"""

import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from segmint.artifacts import Generation, Image, Mask, PromptSpec
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
from segmint.recipe import Recipe
from segmint.vocabulary import Vocabulary

Judge = Callable[[Image], Mask]
"""Gives the true mask of an image that a model drew."""
MEMORY_IMAGES = 3
"""How many images of a set have their memory measured: it slows the work down, and hardly varies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One image with its attention and its true mask; `capture_cpu_s` is what drawing or looking took."""

    generation: Generation
    image: Image
    truth: Mask
    capture_cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One method's mask of one case, and what it cost."""

    mask: Mask
    cpu_s: float
    peak_memory_mb: float | None


def look(
    samples: Iterable[Sample], backbone: Backbone, recipe: Recipe, capture: CaptureRequest, *, seed: int
) -> Iterator[Case]:
    """Cases of the mode `label`; image i takes its noise from seed + i."""
    size = (backbone.info.height_px, backbone.info.width_px)
    vocabulary = recipe.vocabulary.to_vocabulary()
    for index, sample in enumerate(samples):
        spec = _spec_of(sample, vocabulary, recipe, index=index, seed=seed + index)
        start = time.process_time()
        [outcome] = backbone.observe([resized(sample.image, size)], [spec], recipe.observation, capture)
        spent = time.process_time() - start
        if isinstance(outcome, GenerationError):
            raise outcome
        yield Case(generation=outcome, image=sample.image, truth=sample.truth, capture_cpu_s=spent)


def draw(
    specs: Sequence[PromptSpec], backbone: Backbone, recipe: Recipe, capture: CaptureRequest, *, judge: Judge
) -> Iterator[Case]:
    """Cases of the mode `generate`: images drawn from prompts, and the judge's masks of them as the truth."""
    size = recipe.sampling.batch_size
    for at in range(0, len(specs), size):
        start = time.process_time()
        outcomes = backbone.generate(specs[at : at + size], recipe.sampling, capture)
        spent = (time.process_time() - start) / len(outcomes)
        for outcome in outcomes:
            if isinstance(outcome, GenerationError):
                continue
            yield Case(
                generation=outcome, image=outcome.image, truth=judge(outcome.image), capture_cpu_s=spent
            )


def rows_of(
    cases: Iterable[Case],
    methods: Sequence[str],
    recipe: Recipe,
    *,
    mode: Mode,
    seed: int,
    keep: Callable[[Case, dict[str, Mask]], None] | None = None,
) -> list[Row]:
    """One row a method, from the cases of one seed.

    Args:
        cases: taken one by one, so that only one image's attention is held.
        methods: names of profiles.
        recipe: all but its masks section counts, which each method brings of its own.
        mode: how the cases were made.
        seed: what they came from.
        keep: sees each case with all methods' masks, for pictures.
    """
    labels = recipe.vocabulary.to_vocabulary().label_names
    counted: dict[str, Tally] = {}
    costs: dict[str, list[Made]] = {name: [] for name in methods}
    images, capture_cpu_s = 0, 0.0
    for case in cases:
        made = {name: make(case, name, recipe, memory=images < MEMORY_IMAGES) for name in methods}
        for name, each in made.items():
            found = tally(case.truth, each.mask, label_count=len(labels))
            counted[name] = counted[name] + found if name in counted else found
            costs[name].append(replace(each, mask=each.mask[:0]))
        images, capture_cpu_s = images + 1, capture_cpu_s + case.capture_cpu_s
        if keep:
            keep(case, {name: each.mask for name, each in made.items()})
    return [
        make_row(
            counted[name],
            labels,
            method=name,
            mode=mode,
            seed=seed,
            images=images,
            cpu_s=sum(each.cpu_s for each in costs[name]),
            capture_cpu_s=capture_cpu_s,
            peak_memory_mb=max(each.peak_memory_mb or 0.0 for each in costs[name]),
        )
        for name in counted
    ]


def make(case: Case, method: str, recipe: Recipe, *, memory: bool) -> Made:
    """One method's mask of one case; CPU time is that of all threads of this process."""
    believed = recipe.photos.model_copy(
        update={"absent": "keep"}
    )  # a benchmark's classes are known to be there
    own = recipe.model_copy(update={"masks": profile(method), "photos": believed})
    seen = _only(case.generation, capture_for(own))
    peak = _peak_mb(seen, case.image, own) if memory else None
    start = time.process_time()
    item = finish(seen, own, case.image)
    return Made(mask=item.trace.mask.labels, cpu_s=time.process_time() - start, peak_memory_mb=peak)


def union_capture(methods: Sequence[str], recipe: Recipe) -> CaptureRequest:
    """All that any of the methods reads."""
    return joined(*(capture_for(recipe.model_copy(update={"masks": profile(name)})) for name in methods))


def _only(generation: Generation, capture: CaptureRequest) -> Generation:
    """The generation with nothing but what a method asked for, so that it pays for no more."""
    return replace(
        generation,
        heads=generation.heads if capture.features else (),
        maps={request.name: generation.maps[request.name] for request in capture.maps},
        affinity=generation.affinity if capture.affinity else None,
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
