"""The method as code: what to draw → image and attention → summary → mask.

    PromptSpec ─ backbone.generate ─> Generation ─ summarise ─> AttentionSummary ─ method ─> Trace ─> Item
    photo ──── look ────────────────> Generation                stored features ─ remake ─> Trace

Every way to a mask leads through here: minting, photographs, and masks made again from what a run has stored.
A method is a function from summary and image to a trace; `masks.methods` names them all.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segmint.artifacts import (
    AnyImage,
    AttentionSummary,
    Generation,
    Image,
    MaskStatistics,
    PromptSpec,
    RefinedMask,
    Trace,
    brief,
)
from segmint.attention import CaptureRequest, joined, unserved
from segmint.backbone.base import Backbone, Callback, Outcome
from segmint.backbone.known import attention_of
from segmint.errors import ConfigError, GenerationError
from segmint.masks.evidence import ClassQuery
from segmint.masks.features import summarise
from segmint.masks.methods import METHODS, class_maps, competition_captures
from segmint.masks.presence import presence_of
from segmint.masks.settings import MaskSettings, profile
from segmint.masks.touching import touching_things
from segmint.plan.photos.reading import drawing_size, resized, to_size
from segmint.recipe import Recipe
from segmint.runs.codec import encode_image
from segmint.vocabulary import IGNORE, voc_colour


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

    __repr__ = brief

    def _repr_png_(self) -> bytes:
        """The image beside its mask's colours, for notebooks."""
        colours = np.asarray([voc_colour(label) for label in range(256)], np.uint8)
        beside = np.concatenate([self.image, colours[self.trace.mask.labels]], axis=1)
        return encode_image(beside, "png")


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


def look(
    backbone: Backbone,
    photos: Sequence[AnyImage],
    specs: Sequence[PromptSpec],
    recipe: Recipe,
    callback: Callback | None = None,
) -> list[Outcome]:
    """The attention of a batch of existing images, in order; the model sees each squeezed to its own size.

    Args:
        backbone: the model.
        photos: RGB, of any sizes; each goes to `finish` with its outcome.
        specs: what each is said to show, and what to look for in it.
        recipe: its sections `observation`, `capture`, `photos` and `masks` count.
        callback: called after each pass of the network.

    Raises:
        DeviceError: the device is out of memory.
    """
    size = (backbone.info.height_px, backbone.info.width_px)
    squeezed = [resized(photo, size) for photo in photos]
    return backbone.observe(squeezed, specs, recipe.observation, capture_for(recipe, photos=True), callback)


def finish(generation: Generation, recipe: Recipe, photo: AnyImage | None = None) -> Item:
    """The mask of one generation, or of the photo that it was made of, at the photo's own size.

    A photo's mask is drawn at a bounded size and carried to its own (see `photos.reading`).

    Raises:
        GenerationError: the captured attention holds NaN or infinity.
    """
    start = time.perf_counter()
    summary = summarise(generation, recipe.masks)
    classes = queries(generation.spec, recipe, photo=photo is not None)
    image = drawn_on = generation.image
    if photo is not None:
        image, model_size = photo, generation.image.shape[:2]
        fit = drawing_size(photo.shape[:2], model_size=model_size, finest=recipe.photos.finest)
        drawn_on = resized(photo, fit)
    trace, statistics = remake(summary, drawn_on, classes, recipe.masks, size=image.shape[:2])
    return Item(
        spec=generation.spec,
        image=image,
        summary=summary,
        trace=trace,
        statistics=statistics,
        seconds={**generation.seconds, "masks": time.perf_counter() - start},
        prompt_truncated=generation.prompt_truncated,
    )


def remake(
    summary: AttentionSummary,
    image: AnyImage,
    classes: Sequence[ClassQuery],
    settings: MaskSettings,
    *,
    size: tuple[int, int] | None = None,
) -> tuple[Trace, MaskStatistics]:
    """The mask that the settings' method makes of attention, new or stored, and what it says about itself.

    Args:
        summary: the attention.
        image: what the mask is drawn on.
        classes: what to look for, as `queries` has it.
        settings: the recipe's section `masks`.
        size: (height, width) to which the mask is carried, the stages that led to it staying as they are;
            None is the image's own.

    Raises:
        ConfigError: the method reads attention that was not captured.
    """
    method, presence = METHODS[settings.method], None
    if not method.judges and any(each.least_share for each in classes):
        presence = presence_of(summary, classes, settings)
    absent = presence.absent if presence else ()
    trace = method(summary, image, [each for each in classes if each.name not in absent], settings)
    mask = to_size(trace.mask, size or image.shape[:2])
    trace = replace(
        trace,
        mask=mask,
        presence=presence or trace.presence,
        touching=touching_things(mask.labels, summary),
    )
    return trace, replace(mask_statistics(mask), separability=trace.separability)


def mask_statistics(mask: RefinedMask) -> MaskStatistics:
    """Areas, uncertain share and mean agreement of a mask."""
    shares = np.bincount(mask.labels.ravel(), minlength=IGNORE + 1) / mask.labels.size
    return MaskStatistics(
        areas={int(label): float(shares[label]) for label in np.flatnonzero(shares[:IGNORE])},
        uncertain_fraction=float(shares[IGNORE]),
        agreement=float(mask.agreement.mean(dtype=np.float64)),
        specks=mask.specks,
    )


def capture_for(recipe: Recipe, *, photos: bool = False) -> CaptureRequest:
    """The attention that the recipe's method reads.

    With features to be kept, also what PCC and OVAM read; what tells presence, where any method wants it.
    """
    doubted = photos and recipe.photos.absent == "suppress"
    reading = replace(recipe.capture.reading(), doubted=doubted)
    own = METHODS[recipe.masks.method].captures(recipe.masks, reading)
    if recipe.output.keep_features:
        own = joined(CaptureRequest(features=None, maps=(class_maps(reading),)), own)
    if recipe.masks.presence.apply == "always":
        own = joined(own, competition_captures(recipe.masks, reading))
    return own


def check_method(recipe: Recipe) -> None:
    """Refuse a method that the model's family cannot serve, where its id or folder tells the family.

    Nothing is loaded for it, and nothing fetched.

    Raises:
        ConfigError: the method reads a kind of attention that the model has not.
    """
    wanted = [each.only for each in capture_for(recipe).maps if each.only]
    has = attention_of(recipe.model.id) if wanted else None
    if has is not None and any(only != has for only in wanted):
        raise ConfigError(
            f"method {recipe.masks.method!r} cannot be had of {recipe.model.id}: {unserved(wanted[0])}"
        )


def methods_of(recipe: Recipe) -> list[str]:
    """All methods that the recipe's model can serve, as far as its id or folder tells."""
    found = []
    for name in METHODS:
        try:
            check_method(recipe.model_copy(update={"masks": profile(name)}))
        except ConfigError:
            continue
        found.append(name)
    return found


def queries(spec: PromptSpec, recipe: Recipe, *, photo: bool) -> tuple[ClassQuery, ...]:
    """The classes of an item, each with the share of the competition that it has to hold to be there.

    A class that a prompt names is most likely drawn; one of all the run's classes, which a photo is searched
    for, may well not be there; those that a photo brings of its own are believed.
    """
    rules = recipe.masks.presence
    own = METHODS[recipe.masks.method].judges
    if rules.apply == "never" or (rules.apply == "own" and not own):
        return ClassQuery.of_spec(spec)
    if not photo:
        return ClassQuery.of_spec(spec, least_share=rules.named)
    return ClassQuery.of_spec(spec, least_share=rules.share if looks_for_absent(spec, recipe) else 0.0)


def looks_for_absent(spec: PromptSpec, recipe: Recipe) -> bool:
    """Whether a photo is searched for all of the run's classes, so that some may not be there.

    A photo that brings classes of its own is believed, and so is a lone class.
    """
    whole = len(spec.classes) == len(recipe.vocabulary.classes)
    return recipe.photos.absent == "suppress" and whole and len(spec.classes) > 1
