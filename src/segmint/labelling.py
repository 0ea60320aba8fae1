"""Existing images labelled: image → attention → summary → mask at the image's own size.

The mirror of `pipeline` for images that no model drew. The model looks at the image squeezed to its own size;
the mask is drawn on the image at a bounded size and carried to the image's own (see `photos.fitting`).
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

from segmint.artifacts import Generation, Image, PromptSpec, Trace
from segmint.backbone.base import Backbone, Callback, CaptureRequest, Outcome, capture_request
from segmint.errors import GenerationError, ImageError
from segmint.masks import METHODS, ClassQuery, mask_statistics, summarise
from segmint.masks.presence import present_classes
from segmint.pipeline import Item, capture_for
from segmint.plan.photos.fitting import drawing_size, resized, to_size
from segmint.plan.photos.plan import plan_photos
from segmint.plan.photos.reading import read_photo
from segmint.plan.photos.sources import Source
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe
from segmint.vocabulary import Vocabulary

AnyImage = UInt8[np.ndarray, "_ _ 3"]
"""RGB of a size of its own."""


def label(
    backbone: Backbone,
    image: Shaped[np.ndarray, "..."] | str | Path,
    classes: Sequence[str] | Vocabulary,
    *,
    caption: str | None = None,
    recipe: Recipe | None = None,
) -> Item:
    """The mask of one existing image.

    Args:
        backbone: a loaded model; see `segmint.load`.
        image: RGB of any size, or an image file of any kind (see `photos.reading.read_photo`).
        classes: what to look for; ids are 1, 2, … in the order given, or the vocabulary's own.
        caption: what the image shows; by default the classes.
        recipe: its sections `observation`, `capture`, `photos` and `masks` count.

    Returns:
        The item: `item.trace.mask.labels` has the image's size, 0 for the background, 255 where uncertain.

    Raises:
        VocabularyError: no class, or an empty or doubled one.
        ImageError: the image cannot be read, or is no 8-bit RGB array.
        GenerationError: the model's attention holds NaN or infinity.
    """
    vocabulary = classes if isinstance(classes, Vocabulary) else Vocabulary.of(classes)
    recipe = with_vocabulary(recipe or Recipe(), vocabulary)
    rgb = read_photo(Path(image)).rgb if isinstance(image, str | Path) else _checked(image)
    source = Source(path=Path("image"), item_id="image", caption=caption)
    [spec] = plan_photos([source], vocabulary, caption=recipe.photos.caption, seed=recipe.observation.seed)
    [outcome] = observe_photos(backbone, [rgb], [spec], recipe)
    if isinstance(outcome, GenerationError):
        raise outcome
    return finish_photo(outcome, rgb, recipe)


def observe_photos(
    backbone: Backbone,
    images: Sequence[AnyImage],
    specs: Sequence[PromptSpec],
    recipe: Recipe,
    callback: Callback | None = None,
) -> list[Outcome]:
    """The attention of a batch of existing images, in order; the model sees each squeezed to its own size.

    Args:
        backbone: the model.
        images: RGB, of any sizes.
        specs: what each is said to show, and what to look for in it.
        recipe: see `label`.
        callback: called after each pass of the network.

    Raises:
        DeviceError: the device is out of memory.
    """
    size = (backbone.info.height_px, backbone.info.width_px)
    squeezed = [resized(image, size) for image in images]
    return backbone.observe(squeezed, specs, recipe.observation, photo_capture(recipe), callback)


def finish_photo(generation: Generation, image: Image, recipe: Recipe) -> Item:
    """The mask of one observed image, at the image's own size.

    Raises:
        GenerationError: the captured attention holds NaN or infinity.
    """
    start = time.perf_counter()
    summary = summarise(generation, recipe.masks)
    size = image.shape[0], image.shape[1]
    drawn_at = drawing_size(size, model_size=generation.image.shape[:2], finest=recipe.photos.finest)
    classes = ClassQuery.of_spec(generation.spec)
    if looks_for_absent(generation.spec, recipe):
        classes = present_classes(summary, classes, recipe.masks)
    trace = METHODS[recipe.masks.method](summary, resized(image, drawn_at), classes, recipe.masks)
    trace = at_own_size(trace, size)
    return Item(
        spec=generation.spec,
        image=image,
        summary=summary,
        trace=trace,
        statistics=mask_statistics(trace),
        seconds={**generation.seconds, "masks": time.perf_counter() - start},
        prompt_truncated=generation.prompt_truncated,
    )


def looks_for_absent(spec: PromptSpec, recipe: Recipe) -> bool:
    """Whether an item is searched for all of the run's classes, so that some may not be there.

    An image that brings classes of its own is believed, and so is a lone class.
    """
    whole = len(spec.classes) == len(recipe.vocabulary.classes)
    return recipe.photos.absent == "suppress" and whole and len(spec.classes) > 1


def photo_capture(recipe: Recipe) -> CaptureRequest:
    """What the recipe's method reads, and what tells absent classes."""
    own = capture_for(recipe)
    if recipe.photos.absent == "keep":
        return own
    extra = capture_request(recipe.capture, class_maps=False, fine_maps=True)
    maps = {each.name: each for each in (*own.maps, *extra.maps)}
    return replace(own, features=own.features or extra.features, maps=tuple(maps.values()))


def at_own_size(trace: Trace, size: tuple[int, int]) -> Trace:
    """The trace with its mask carried to (height, width); the stages that led to it stay as they were."""
    return replace(trace, mask=to_size(trace.mask, size))


def with_vocabulary(recipe: Recipe, vocabulary: Vocabulary) -> Recipe:
    """The recipe with these classes."""
    return recipe.model_copy(update={"vocabulary": VocabularySettings.from_vocabulary(vocabulary)})


def _checked(image: Any) -> Image:
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise ImageError(
            f"expected an RGB image as (height, width, 3) of uint8, found {array.shape} of {array.dtype}; "
            "give the file's path to have any kind of image read"
        )
    return np.ascontiguousarray(array)
