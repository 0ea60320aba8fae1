"""Token maps turned into evidence for each class (method.md steps 5–6)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float32

from segmint.artifacts import AttentionSummary, ClassEvidence, Grid, PromptSpec, TokenMaps
from segmint.errors import ConfigError
from segmint.masks.resample import bilinear, through_image
from segmint.masks.settings import EvidenceSettings
from segmint.vocabulary import BACKGROUND

SOT_ROW = 0
"""Row of the start-of-text token in every `TokenMaps`: the background's map. Source: report 2.2."""
CONSTANT_ROUNDING = 4 * np.finfo(np.float32).eps
"""Relative contrast that float32 rounding alone can make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassQuery:
    """A class to look for: its name, its label id, and the phrases that stand for it in the text."""

    name: str
    label_id: int
    phrases: tuple[str, ...]
    least_share: float = 0.0
    """Share of the competition that it has to hold at its peak to be there at all (`masks/presence.py`); 0
    believes that it is."""

    @classmethod
    def of_spec(cls, spec: PromptSpec, *, least_share: float = 0.0) -> tuple["ClassQuery", ...]:
        """The classes of an item."""
        return tuple(
            cls(name=name, label_id=label_id, phrases=phrases, least_share=least_share)
            for name, label_id, phrases in zip(spec.classes, spec.label_ids, spec.phrases, strict=True)
        )


def class_evidence(
    maps: TokenMaps, classes: Sequence[ClassQuery], image_size: Grid, settings: EvidenceSettings
) -> ClassEvidence:
    """How much each grid position looks like the background and like each class, in [0, 1].

    A class is the maximum over all tokens of all its phrases; the background is the start-of-text token.
    Every map is scaled to [0, 1] by itself; a constant one says nothing: it becomes 0 and is marked as not
    present.

    Args:
        maps: token maps of the text that holds the class phrases.
        classes: in any order; labels come out ascending.
        image_size: (height, width) of the image, for `through_image`.
        settings: see its fields.

    Raises:
        ConfigError: a phrase of a class was not looked for in `maps`.

    Source: report 2.2; method.md table row 6 for `through_image` and constant maps.
    """
    ordered = sorted(classes, key=lambda each: each.label_id)
    tokens = through_image(maps.values, image_size) if settings.through_image else maps.values
    values = np.stack([tokens[SOT_ROW], *(class_map(maps, each, tokens) for each in ordered)])
    return scaled_evidence(values, (BACKGROUND, *(each.label_id for each in ordered)))


def scaled_evidence(
    values: Float32[np.ndarray, "label grid_h grid_w"], label_ids: tuple[int, ...]
) -> ClassEvidence:
    """Evidence from raw maps, one for each label: every map scaled to [0, 1], a constant one to 0.

    Constant means without contrast at float32's resolution, so that resampling's rounding is never blown up.
    """
    low = values.min(axis=(1, 2), keepdims=True)
    high = values.max(axis=(1, 2), keepdims=True)
    present = high - low > CONSTANT_ROUNDING * np.maximum(np.abs(low), np.abs(high))
    scaled = np.where(present, (values - low) / np.where(present, high - low, np.float32(1)), np.float32(0))
    return ClassEvidence(
        label_ids=label_ids, values=scaled, present=tuple(bool(each) for each in present.ravel())
    )


def class_map(
    maps: TokenMaps,
    query: ClassQuery,
    values: Float32[np.ndarray, "token grid_h grid_w"] | None = None,
    *,
    tokens: Literal["largest", "mean"] = "largest",
) -> Float32[np.ndarray, "grid_h grid_w"]:
    """The maximum over all tokens of a class; zero everywhere if its phrases have no tokens in the text.

    Args:
        maps: names the tokens.
        query: the class.
        values: the tokens' values, if not those of `maps`.
        tokens: "mean" takes the mean over each phrase's tokens first.

    Raises:
        ConfigError: one of its phrases was not looked for.
    """
    values = maps.values if values is None else values
    told = phrase_rows(maps, query)
    if tokens == "mean":
        values = np.stack([values[list(rows)].mean(axis=0) for rows in told] or [np.zeros_like(values[0])])
        return np.asarray(values.max(axis=0))
    rows = [row for rows in told for row in rows]
    found: Float32[np.ndarray, "grid_h grid_w"] = values[rows].max(axis=0, initial=0)
    return found


def token_rows(maps: TokenMaps, query: ClassQuery) -> tuple[int, ...]:
    """Rows of `maps` that speak for a class; none where a prompt does not hold its phrases.

    Raises:
        ConfigError: one of its phrases was not looked for.
    """
    return tuple(row for rows in phrase_rows(maps, query) for row in rows)


def phrase_rows(maps: TokenMaps, query: ClassQuery) -> tuple[tuple[int, ...], ...]:
    """Rows of `maps` of each of a class's phrases; those that a prompt does not hold are left out.

    Raises:
        ConfigError: one of its phrases was not looked for.
    """
    known = dict(zip(maps.phrases, maps.phrase_tokens, strict=True))
    for phrase in query.phrases:
        if phrase not in known:
            raise ConfigError(
                f"class {query.name!r}: no attention was captured for its phrase {phrase!r}; "
                f"captured are {', '.join(map(repr, maps.phrases)) or 'none'}"
            )
    return tuple(known[phrase] for phrase in query.phrases if known[phrase])


def maps_of(attention: AttentionSummary, text: str, method: str) -> TokenMaps:
    """The token maps of one text.

    Raises:
        ConfigError: they were not captured; the message says which were.
    """
    if text not in attention.maps:
        found = ", ".join(sorted(attention.maps)) or "none"
        raise ConfigError(
            f"method {method!r} reads maps of {text!r}, which were not captured; there are: {found}"
        )
    return attention.maps[text]


def at_grid(maps: TokenMaps, grid: Grid) -> TokenMaps:
    """Token maps at a grid: those of another, such as a coarse layer's, are resampled bilinearly."""
    if maps.values.shape[1:] == grid:
        return maps
    return replace(maps, values=bilinear(maps.values, grid))
