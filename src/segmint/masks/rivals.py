"""Methods to compare with: OVAM and DAAM, plain class maps, and Dataset Diffusion, which carries coarse ones
along self-attention.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from segmint.artifacts import Affinity, AttentionSummary, RefinedMask, Trace
from segmint.errors import ConfigError
from segmint.masks.evidence import ClassQuery, class_map, maps_of, scaled_evidence
from segmint.masks.resample import bicubic, bilinear
from segmint.masks.settings import MaskSettings
from segmint.vocabulary import BACKGROUND, IGNORE


def threshold_maps(
    attention: AttentionSummary,
    image: UInt8[np.ndarray, "image_h image_w 3"],
    classes: Sequence[ClassQuery],
    settings: MaskSettings,
) -> Trace:
    """Each pixel takes the class of its highest map, or the background where that stays below a threshold.

    Maps (OVAM: the maximum over a class's tokens, DAAM: the mean over a phrase's) are enlarged to the image
    and scaled to [0, 1], each by itself. With the maps of the class phrases this is OVAM, with those of the
    prompt DAAM.

    Args:
        attention: token maps of the text that `settings.thresholding` names.
        image: gives the size.
        classes: what to look for. One that the text does not hold is nowhere.
        settings: section `thresholding`.

    Returns:
        Labels without 255. The agreement is the winner's evidence: the map's value, or for the background how
        far the best map stays below 1.

    Raises:
        ConfigError: the text was not captured, or lacks a class's phrase.

    Source: Marcos-Manchón et al. 2024 (OVAM), Tang et al. 2022 (DAAM); method.md, "Other methods".
    """
    rules = settings.thresholding
    maps = maps_of(attention, rules.text, settings.method)
    size = image.shape[0], image.shape[1]
    ordered = sorted(classes, key=lambda each: each.label_id)
    if not ordered:
        nothing = np.zeros(size, dtype=np.uint8)
        return Trace(
            method=settings.method, mask=RefinedMask(labels=nothing, agreement=nothing.astype(np.float32))
        )
    label_ids = tuple(each.label_id for each in ordered)
    raw = np.stack([class_map(maps, each, tokens=rules.tokens) for each in ordered])
    enlarged = (bicubic if rules.enlarge == "bicubic" else bilinear)(raw, size)
    values = scaled_evidence(enlarged, label_ids).values
    winner, best = winners(values, label_ids)
    is_class = best >= rules.background_below
    mask = RefinedMask(
        labels=np.where(is_class, winner, np.uint8(BACKGROUND)), agreement=np.where(is_class, best, 1 - best)
    )
    return Trace(method=settings.method, mask=mask, evidence=scaled_evidence(raw, label_ids))


def winners(
    values: Float32[np.ndarray, "label image_h image_w"], label_ids: Sequence[int]
) -> tuple[UInt8[np.ndarray, "image_h image_w"], Float32[np.ndarray, "image_h image_w"]]:
    """Label of the highest map at each pixel (the first on a tie), and that map's value."""
    return np.array(label_ids, dtype=np.uint8)[values.argmax(axis=0)], values.max(axis=0)


def dataset_diffusion(
    attention: AttentionSummary,
    image: UInt8[np.ndarray, "image_h image_w 3"],
    classes: Sequence[ClassQuery],
    settings: MaskSettings,
) -> Trace:
    """Each pixel takes its highest class map where that is clear, 255 where it is not, else the background.

    Class maps of the coarse layers are enlarged bicubically to the affinity's grid, passed along the affinity
    some times, scaled to [0, 1] each by itself, and enlarged bicubically to the image.

    Args:
        attention: must hold the class maps that `settings.dataset_diffusion` names, and an affinity.
        image: gives the size.
        classes: what to look for.
        settings: section `dataset_diffusion`.

    Returns:
        Labels; the agreement is the highest map's value within [0, 1], or how far it stays below 1 for the
        background.

    Raises:
        ConfigError: maps or affinity were not captured, or lack a class's phrase.

    Source: Nguyen et al. 2023 as method.md tells it; a phrase is the mean of its tokens.
    """
    rules = settings.dataset_diffusion
    maps = maps_of(attention, rules.text, settings.method)
    if attention.affinity is None:
        raise ConfigError(
            f"method {settings.method!r} needs the self-attention affinity, which was not captured"
        )
    size = image.shape[0], image.shape[1]
    ordered = sorted(classes, key=lambda each: each.label_id)
    if not ordered:
        nothing = np.zeros(size, dtype=np.uint8)
        return Trace(
            method=settings.method, mask=RefinedMask(labels=nothing, agreement=nothing.astype(np.float32))
        )
    label_ids = tuple(each.label_id for each in ordered)
    raw = np.stack([class_map(maps, each, tokens="mean") for each in ordered])
    spread = passed_along(bicubic(raw, attention.affinity.grid), attention.affinity, rules.power)
    evidence = scaled_evidence(spread, label_ids)
    winner, best = winners(bicubic(evidence.values, size), label_ids)
    unclear = np.where(best >= rules.uncertain_from, np.uint8(IGNORE), np.uint8(BACKGROUND))
    labels = np.where(best >= rules.class_from, winner, unclear)
    confidence = np.clip(np.where(labels == BACKGROUND, 1 - best, best), 0, 1)
    return Trace(
        method=settings.method, mask=RefinedMask(labels=labels, agreement=confidence), evidence=evidence
    )


def passed_along(
    maps: Float32[np.ndarray, "label grid_h grid_w"], affinity: Affinity, times: int
) -> Float32[np.ndarray, "label grid_h grid_w"]:
    """Maps multiplied by the affinity's `times`-th power: each position takes the mean of what it attends to.

    The power itself is never formed: multiplying the few maps again and again is the same and far cheaper.
    """
    flat = maps.reshape(len(maps), -1)
    for _ in range(times):
        flat = flat @ affinity.values.T
    return flat.reshape(maps.shape)
