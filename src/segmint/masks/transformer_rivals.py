"""Methods to compare with that read a diffusion transformer's joint attention: ConceptAttention, Seg4Diff."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from segmint.artifacts import AttentionSummary, Image, RefinedMask, TokenMaps, Trace
from segmint.attention import CONCEPT_MAPS, EXPERT_MAPS
from segmint.masks.evidence import SOT_ROW, ClassQuery, class_map, maps_of, scaled_evidence, token_rows
from segmint.masks.resample import bilinear
from segmint.masks.settings import MaskSettings
from segmint.vocabulary import BACKGROUND


def concept_attention(
    attention: AttentionSummary, image: Image, classes: Sequence[ClassQuery], settings: MaskSettings
) -> Trace:
    """Each pixel takes the concept that its outputs agree with most: a class, or the background.

    Concepts share each position among themselves at every step and block (a softmax), so that their maps are
    held against one another as they are. All tokens of a phrase make up its concept; of a class's several
    phrases the strongest speaks.

    Args:
        attention: must hold the maps of concepts.
        image: gives the size.
        classes: what to look for.
        settings: names the method in errors.

    Returns:
        Labels without 255; the agreement is the winner's share.

    Raises:
        ConfigError: the maps were not captured, or lack a class's phrase.

    Source: Helbling et al. 2025. There a concept is the first token of its phrase, and the background is
    told by five more concepts.
    """
    maps = maps_of(attention, CONCEPT_MAPS, settings.method)
    ordered = sorted(classes, key=lambda each: each.label_id)
    raw = np.stack([maps.values[SOT_ROW], *(class_map(maps, each) for each in ordered)])
    label_ids = (BACKGROUND, *(each.label_id for each in ordered))
    total = np.maximum(maps.values.sum(axis=0), np.finfo(np.float32).tiny)
    shares = bilinear(raw / total, image.shape[:2])
    return _highest(shares, raw, label_ids, settings)


def seg4diff(
    attention: AttentionSummary, image: Image, classes: Sequence[ClassQuery], settings: MaskSettings
) -> Trace:
    """Each pixel takes the class whose words it attends to most, in one block, averaged over its heads.

    A class is the mean over all its tokens, wherever they stand in the prompt. There is no background: the
    published protocol names the classes that are there, and something of them is everywhere. A class that the
    prompt does not name is nowhere.

    Args:
        attention: must hold the expert block's maps of the prompt's words.
        image: gives the size.
        classes: what to look for.
        settings: names the method in errors.

    Returns:
        Labels without 255, all background where the prompt names no class; the agreement is the winner's part
        of what the classes have.

    Raises:
        ConfigError: the maps were not captured, or lack a class's phrase.

    Source: Kim et al. 2025 (Seg4Diff), 3.2 and appendix B; their mean over heads and steps is a sum here.
    """
    maps = maps_of(attention, EXPERT_MAPS, settings.method)
    named = [each for each in sorted(classes, key=lambda each: each.label_id) if token_rows(maps, each)]
    if not named:
        raw = np.ones((1, *maps.values.shape[1:]), np.float32)
        return _highest(bilinear(raw, image.shape[:2]), raw, (BACKGROUND,), settings)
    raw = np.stack([mean_map(maps, each) for each in named])
    large = bilinear(raw, image.shape[:2])
    shares = large / np.maximum(large.sum(axis=0), np.finfo(np.float32).tiny)
    return _highest(shares, raw, tuple(each.label_id for each in named), settings)


def mean_map(maps: TokenMaps, query: ClassQuery) -> Float32[np.ndarray, "grid_h grid_w"]:
    """The mean over all tokens of a class, which the text must hold.

    Raises:
        ConfigError: one of its phrases was not looked for.
    """
    found: Float32[np.ndarray, "grid_h grid_w"] = maps.values[list(token_rows(maps, query))].mean(axis=0)
    return found


def _highest(
    shares: Float32[np.ndarray, "label image_h image_w"],
    raw: Float32[np.ndarray, "label grid_h grid_w"],
    label_ids: tuple[int, ...],
    settings: MaskSettings,
) -> Trace:
    labels: UInt8[np.ndarray, "image_h image_w"] = np.array(label_ids, np.uint8)[shares.argmax(axis=0)]
    mask = RefinedMask(labels=labels, agreement=np.clip(shares.max(axis=0), 0, 1).astype(np.float32))
    return Trace(method=settings.method, mask=mask, evidence=scaled_evidence(raw, label_ids))
