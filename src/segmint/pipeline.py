"""The method as code: what to draw → image and attention → summary → mask.

    PromptSpec ─ backbone.generate ─> Generation ─ summarise ─> AttentionSummary ─ method ─> Trace ─> Item

A method is a function from summary and image to a trace; `masks.METHODS` names them all. Photographs enter at
the second arrow: `backbone.observe` yields the same Generation.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from segmint.artifacts import AttentionSummary, Generation, Image, PromptSpec, Trace
from segmint.backbone.base import Backbone, Callback, CaptureRequest, capture_request
from segmint.errors import GenerationError
from segmint.masks import METHODS, ClassQuery, MaskStatistics, mask_statistics, needs, summarise
from segmint.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One finished pair of image and mask, with everything that led to it but the raw attention.

    `seconds` holds this item's share of its batch: `sampling`, `capture`, `masks`.
    """

    spec: PromptSpec
    image: Image
    summary: AttentionSummary
    trace: Trace
    statistics: MaskStatistics
    seconds: Mapping[str, float]
    prompt_truncated: bool = False


def mint(
    backbone: Backbone, specs: Sequence[PromptSpec], recipe: Recipe, callback: Callback | None = None
) -> list[Item | GenerationError]:
    """One batch of images with their masks; an item that failed is its error.

    Args:
        backbone: the model; see `backbone.loading.load`.
        specs: items to draw together.
        recipe: its sections `sampling`, `capture` and `masks` count.
        callback: called after each denoising step.
    """
    outcomes = backbone.generate(specs, recipe.sampling, capture_for(recipe), callback)
    return [each if isinstance(each, GenerationError) else finish(each, recipe) for each in outcomes]


def finish(generation: Generation, recipe: Recipe) -> Item:
    """The mask of one generation.

    Raises:
        GenerationError: the captured attention holds NaN or infinity.
    """
    start = time.perf_counter()
    summary = summarise(generation, recipe.masks)
    trace = METHODS[recipe.masks.method](
        summary, generation.image, ClassQuery.of_spec(generation.spec), recipe.masks
    )
    statistics = mask_statistics(trace)
    return Item(
        spec=generation.spec,
        image=generation.image,
        summary=summary,
        trace=trace,
        statistics=statistics,
        seconds={**generation.seconds, "masks": time.perf_counter() - start},
        prompt_truncated=generation.prompt_truncated,
    )


def capture_for(recipe: Recipe) -> CaptureRequest:
    """The attention that the recipe's method reads; with features to be kept, also what PCC and OVAM read."""
    wanted = asdict(needs(recipe.masks))
    if recipe.output.keep_features:
        wanted["class_maps"] = True
    return capture_request(recipe.capture, **wanted)
