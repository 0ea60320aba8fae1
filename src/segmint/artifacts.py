"""Every typed intermediate of the method, in the order in which they are made.

Axis glossary. One name is one frame; jaxtyping checks them in tests, so that a latent grid never
passes for pixels.

    image_h image_w   pixels of the image
    grid_h grid_w     positions of the largest attention grid (64 × 64 for a 512 px image of SD 2.1)
    layer_h layer_w   positions of one attention layer's own grid
    cell              grid or layer positions, flattened row by row
    half              guidance halves, unconditional first; 1 without guidance, where it is the
                      conditional one
    head channel      attention heads, and the dimensions of one head
    column            principal components of all heads and halves of a layer: half-major, then head,
                      then component
    token             tokens of a text that is held against the image, [SoT, …, EoT]
    label             label ids that can be given: 0 (background), then class ids, ascending
    trial             K-means runs, one for each number of clusters
    ballot            labelings that vote: trial-major, then threshold

Label ids are those of the Vocabulary: 0 background, 1–254 classes, 255 uncertain (IGNORE).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int32, UInt8

BRIEF_LETTERS = 80
"""A list that takes more than this is told by its length."""


def brief(artefact: Any) -> str:
    """An artefact on a line or two: of an array its type and shape, of many things their number."""
    said = (f"{each.name}={_brief(getattr(artefact, each.name))}" for each in fields(artefact))
    return f"{type(artefact).__name__}({', '.join(said)})"


def _brief(value: Any) -> str:
    match value:
        case np.ndarray():
            return f"{value.dtype}[{'×'.join(map(str, value.shape))}]"
        case tuple() | list() if len(repr(value)) > BRIEF_LETTERS:
            return f"<{len(value)} of {type(value[0]).__name__}>"
        case Mapping() if len(value) and not isinstance(next(iter(value.values())), float | int | str):
            return "{" + ", ".join(f"{key!r}: …" for key in value) + "}"
    return repr(value)


Grid = tuple[int, int]
"""(height, width) of an attention grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """One item to mint: what to draw, and which phrases to look for in it.

    `item_id` is a file name without suffix; `index` the place in the plan; `seed` alone fixes the item's
    noise.
    `classes` are vocabulary names, `label_ids` their ids, `phrases` the words that stand for each class.
    """

    item_id: str
    index: int
    prompt: str
    classes: tuple[str, ...]
    label_ids: tuple[int, ...]
    phrases: tuple[tuple[str, ...], ...]
    seed: int
    negative_prompt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFeatures:
    """One self-attention layer's per-head output softmax(QKᵀ/√d)V, before the output projection (method.md
    step 2)."""

    layer: str
    grid: Grid
    values: Float32[np.ndarray, "half head cell channel"] | Float16[np.ndarray, "half head cell channel"]

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMaps:
    """Cross-attention of the image to one text, summed over steps, heads and layers (method.md step 5).

    `tokens` names each row ("<SoT>", "dog", …, "<EoT>"); `phrase_tokens` gives, for each of `phrases`,
    its rows.
    Values are sums of probabilities: ≥ 0, on no fixed scale.
    """

    tokens: tuple[str, ...]
    phrases: tuple[str, ...]
    phrase_tokens: tuple[tuple[int, ...], ...]
    values: Float32[np.ndarray, "token grid_h grid_w"]

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity:
    """Self-attention probabilities at one grid, mean over heads, layers and steps; rows sum to 1
    (Dataset Diffusion)."""

    grid: Grid
    values: Float32[np.ndarray, "cell cell"]

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoisingEvidence:
    """What classes help the model to see in an image's noise (docs/method.md, "Denoising evidence").

    `classes`: names of those that were asked for; of many, only the likeliest.
    `gains`: how much smaller the squared error of the predicted noise is with the class's text than without
    any, as a share of the mean error without; a mean over levels and draws. Above 0 the class helps.
    `change`: how far the texts of classes move the prediction, a mean over classes of the root mean square
    over channels, over its own mean. Both at the largest attention grid.
    """

    classes: tuple[str, ...]
    gains: Float32[np.ndarray, "asked grid_h grid_w"]
    change: Float32[np.ndarray, "grid_h grid_w"]

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What the backbone hands over for one item: the image and the attention that made it, raw.

    `heads` are those of the last UNet call (the largest part in memory: drop it once condensed). `maps`
    holds the token maps of each text asked for, by name: "classes" is the separate text of class phrases
    (OVAM), "prompt" the generating prompt (DAAM).
    """

    spec: PromptSpec
    image: UInt8[np.ndarray, "image_h image_w 3"]
    heads: tuple[HeadFeatures, ...]
    maps: Mapping[str, TokenMaps]
    affinity: Affinity | None = None
    denoising: DenoisingEvidence | None = None
    guidance: Float32[np.ndarray, "grid_h grid_w"] | None = None
    """How far the prompt moved the prediction: root mean square over channels, over its mean, a sum over the
    guided steps; at the largest attention grid. None for photographs, and without guidance."""
    refining: Affinity | None = None
    """Of the layers by which GoCA carries its maps; rows need not sum to 1."""
    prompt_truncated: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerComponents:
    """Principal components of every head of one layer, each column min-max scaled to [0, 1], at the
    layer's own grid.

    Values pass through float16 once (`features.condense`), so that stored components make exactly the
    same mask.
    """

    layer: str
    values: Float32[np.ndarray, "column layer_h layer_w"]

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionSummary:
    """All that any mask method needs of one image's attention; small enough to keep beside the mask."""

    grid: Grid
    components: tuple[LayerComponents, ...]
    maps: Mapping[str, TokenMaps]
    affinity: Affinity | None = None
    denoising: DenoisingEvidence | None = None
    guidance: Float32[np.ndarray, "grid_h grid_w"] | None = None
    refining: Affinity | None = None

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """K-means partitions of the grid and their connected components (method.md step 4).

    `clusters[t]` holds ids 0…counts[t]−1; `segments[t]` numbers the connected components of that
    partition from 0.
    """

    counts: tuple[int, ...]
    clusters: Int32[np.ndarray, "trial grid_h grid_w"]
    segments: Int32[np.ndarray, "trial grid_h grid_w"]

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassEvidence:
    """How much each position looks like each label, in [0, 1] (method.md steps 5–6). Row 0 is the
    background (SoT)."""

    label_ids: tuple[int, ...]
    values: Float32[np.ndarray, "label grid_h grid_w"]
    present: tuple[bool, ...]
    """False where a map was constant and therefore cannot speak (published code: skipped)."""

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class VotedMask:
    """Labels on the grid with the share of ballots that agree (method.md steps 7–8)."""

    ballots: UInt8[np.ndarray, "ballot grid_h grid_w"]
    labels: UInt8[np.ndarray, "grid_h grid_w"]
    agreement: Float32[np.ndarray, "grid_h grid_w"]

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinedMask:
    """Labels of the image's pixels, 255 where uncertain, with the agreement behind each (step 9)."""

    labels: UInt8[np.ndarray, "image_h image_w"]
    agreement: Float32[np.ndarray, "image_h image_w"]
    specks: int | None = None
    """Regions too small to be meant that were given to what surrounds them; None where nobody looked."""

    __repr__ = brief


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskStatistics:
    """The evidence that travels with a mask."""

    areas: Mapping[int, float]
    """Share of all pixels for each label id that appears, ascending, without the uncertain ones."""
    uncertain_fraction: float
    """Share of all pixels that are 255."""
    agreement: float
    """Mean over all pixels of the share of the winning vote, in [0, 1]."""
    specks: int | None = None
    """As the mask has them."""
    separability: float | None = None
    """As the trace has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Which of the classes asked for an image shows."""

    scores: Mapping[str, float]
    """By class: the share of the competition that it holds where it is strongest, in [0, 1]."""
    absent: tuple[str, ...]
    """Classes that get no pixel, since they do not seem to be there."""
    helped: Mapping[str, float] = field(default_factory=dict)
    """By class whose denoising evidence is known: the share of the model's error about the whole image that
    the class's text takes away; below 0 it adds to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A finished mask and, where the method has them, the stages that led to it (None where it has not)."""

    method: str
    mask: RefinedMask
    presence: Presence | None = None
    """Where it was asked which classes there are."""
    separability: float | None = None
    """Where it was asked what stands out: share of that map's variance that lies between foreground and
    background, in [0, 1]."""
    evidence: ClassEvidence | None = None
    clusters: Clusters | None = None
    voted: VotedMask | None = None
    unrefined: UInt8[np.ndarray, "image_h image_w"] | None = None
    """The labels before pixel refinement, nearest-upsampled to the image."""
    touching: tuple[tuple[int, int], ...] = ()
    """(row, column) in each of the things that touch another of their class (`masks.touching`)."""

    __repr__ = brief


Mask = UInt8[np.ndarray, "image_h image_w"]
Image = UInt8[np.ndarray, "image_h image_w 3"]
AnyImage = UInt8[np.ndarray, "_ _ 3"]
"""An image whose size need not be that of its neighbours in a list."""
Binary = Bool[np.ndarray, "grid_h grid_w"]
