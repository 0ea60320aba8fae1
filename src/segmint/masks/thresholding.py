"""Class maps made a mask by themselves: the plain use of OVAM and DAAM."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from segmint.artifacts import AttentionSummary, RefinedMask, Trace
from segmint.masks.evidence import ClassQuery, class_map, maps_of, scaled_evidence
from segmint.masks.resample import bilinear
from segmint.masks.settings import MaskSettings
from segmint.vocabulary import BACKGROUND


def threshold_maps(
    attention: AttentionSummary,
    image: UInt8[np.ndarray, "image_h image_w 3"],
    classes: Sequence[ClassQuery],
    settings: MaskSettings,
) -> Trace:
    """Each pixel takes the class of its highest map, or the background where that stays below a threshold.

    Maps (the maximum over a class's tokens) are enlarged bilinearly to the image and scaled to [0, 1], each
    by itself. With the maps of the class phrases this is OVAM, with those of the prompt DAAM.

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
    raw = np.stack([class_map(maps, each) for each in ordered])
    values = scaled_evidence(bilinear(raw, size), label_ids).values
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
