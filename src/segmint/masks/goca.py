"""GoCA: the prompt's maps, parted among its content words, and carried along the image's own structure.

    maps of all tokens, weighed by head and layer (`backbone/agreement.py`)
    ─ each entity's share of the content words ─ blur ─ min–max ─> entities
    ─ classes, and the strongest of the other words ─ times self-attention ─ min–max ─ argmax ─> mask

Source: GoCA (2026), steps 3 to 5.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from scipy import ndimage

from segmint.artifacts import Affinity, AttentionSummary, Image, RefinedMask, TokenMaps, Trace
from segmint.errors import ConfigError
from segmint.masks.evidence import ClassQuery, maps_of, scaled_evidence, token_rows
from segmint.masks.methods import agreement
from segmint.masks.resample import bilinear
from segmint.masks.settings import GocaSettings, MaskSettings
from segmint.vocabulary import BACKGROUND

_LISTED = (
    "a about above across after against along among an and are around as at be before behind below "
    "beneath beside between beyond but by down during for from has have in inside into is it its near "
    "next of off on one onto or out outside over past some that the their them there these this those "
    "through to toward towards under up upon with within without"
)
FUNCTION_WORDS = frozenset(_LISTED.split())
"""Words that name nothing."""


def goca(
    attention: AttentionSummary, image: Image, classes: Sequence[ClassQuery], settings: MaskSettings
) -> Trace:
    """Each pixel takes the class, or another word of the prompt, that has most of it once parted.

    A word that is no class speaks for the background; where the prompt has none, what the tokens without
    content (start, end, padding) have does. Both are found in the prompt itself: classes that it does not
    name are nowhere.

    Args:
        attention: must hold the weighed maps, and the refining layers' self-attention.
        image: gives the size.
        classes: what to look for.
        settings: section `goca`.

    Returns:
        Labels without 255; the agreement is the winner's value.

    Raises:
        ConfigError: maps or self-attention were not captured, or lack a class's phrase.

    Source: GoCA (2026). No class is read from a true mask, and no offset of the background is fitted.
    """
    maps = maps_of(attention, agreement(settings).name, settings.method)
    if attention.refining is None:
        raise ConfigError(
            f"method {settings.method!r} needs the refining self-attention, which was not captured"
        )
    named = [each for each in sorted(classes, key=lambda each: each.label_id) if token_rows(maps, each)]
    label_ids = (BACKGROUND, *(each.label_id for each in named))
    groups = [token_rows(maps, each) for each in named]
    others = background_rows(maps, groups)
    content = sorted({row for rows in (*groups, *others) for row in rows})
    if not named:
        raw = np.ones((1, *maps.values.shape[1:]), np.float32)
    else:
        parted = entities(maps.values, (*groups, *others), content, settings.goca)
        rest = parted[len(groups) :].max(axis=0) if others else contentless(maps, content, settings.goca)
        raw = np.concatenate([rest[None], parted[: len(groups)]])
        raw = refined(raw, attention.refining, settings.goca.order)
    large = bilinear(raw, image.shape[:2])
    mask = RefinedMask(
        labels=np.array(label_ids, np.uint8)[large.argmax(axis=0)],
        agreement=np.clip(large.max(axis=0), 0, 1).astype(np.float32),
    )
    return Trace(method=settings.method, mask=mask, evidence=scaled_evidence(raw, label_ids))


def background_rows(maps: TokenMaps, classes: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Tokens with content that belong to no class, each by itself; the first and the last row are none."""
    taken = {row for rows in classes for row in rows}
    return [
        (row,)
        for row, token in enumerate(maps.tokens)
        if 0 < row < len(maps.tokens) - 1 and row not in taken and _has_content(token)
    ]


def _has_content(token: str) -> bool:
    word = token.strip("▁Ġ ").removesuffix("</w>").lower()
    return any(letter.isalnum() for letter in word) and word not in FUNCTION_WORDS


def entities(
    values: Float32[np.ndarray, "token grid_h grid_w"],
    groups: Sequence[Sequence[int]],
    content: Sequence[int],
    rules: GocaSettings,
) -> Float32[np.ndarray, "entity grid_h grid_w"]:
    """Each entity's mean over its tokens, as a share of all tokens with content, blurred, from 0 to 1.

    Args:
        values: weighed maps, summing to 1 or less at each position.
        groups: rows of each entity.
        content: rows of all tokens with content.
        rules: the blur; without `rescale` the means as they are.
    """
    raw = np.stack([values[list(rows)].mean(axis=0) for rows in groups])
    if not rules.rescale:
        return raw
    shares = raw / np.maximum(values[list(content)].sum(axis=0), np.finfo(np.float32).tiny)
    return _from_0_to_1(_blurred(shares, rules))


def contentless(
    maps: TokenMaps, content: Sequence[int], rules: GocaSettings
) -> Float32[np.ndarray, "grid_h grid_w"]:
    """What tokens without content have of each position, blurred, from 0 to 1."""
    rest = 1 - maps.values[list(content)].sum(axis=0, keepdims=True)
    found: Float32[np.ndarray, "grid_h grid_w"] = _from_0_to_1(_blurred(rest, rules))[0]
    return found


def refined(
    values: Float32[np.ndarray, "label grid_h grid_w"], alike: Affinity, order: int
) -> Float32[np.ndarray, "label grid_h grid_w"]:
    """Maps passed along the self-attention `order` times, then from 0 to 1; its rows need not sum to 1."""
    grid = values.shape[1:]
    flat = bilinear(values, alike.grid).reshape(len(values), -1)
    for _ in range(order):
        flat = flat @ alike.values.T
    found: Float32[np.ndarray, "label grid_h grid_w"] = bilinear(
        _from_0_to_1(flat.reshape(len(values), *alike.grid)), (grid[0], grid[1])
    )
    return found


def _blurred(values: np.ndarray, rules: GocaSettings) -> Float32[np.ndarray, "label grid_h grid_w"]:
    if rules.blur_cells == 0:
        return np.asarray(values, np.float32)
    return np.asarray(
        ndimage.gaussian_filter(
            values.astype(np.float64),
            (0, rules.blur_cells, rules.blur_cells),
            mode="mirror",
            radius=(0, 2, 2),
        ),
        np.float32,
    )


def _from_0_to_1(values: np.ndarray) -> Float32[np.ndarray, "label grid_h grid_w"]:
    """Each map by itself; a constant one, such as one that is zero all over, becomes 0."""
    low, high = (side(values, axis=(1, 2), keepdims=True) for side in (np.min, np.max))
    span = high - low
    return np.asarray(np.where(span > 0, (values - low) / np.where(span > 0, span, 1), 0), np.float32)
