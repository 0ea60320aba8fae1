"""What a family of models has to say, so that everything else can ask by role.

A family is one file of `families` and one row of its table. It tells by a model's index whether the model is
one of its own, which parts belong to it, how a pipeline is made of them, and what its layers are.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from segmint.artifacts import Grid, Image
from segmint.attention import AffinityRequest, FeatureRequest, Half, Kind, MapRequest, Part, unserved
from segmint.backbone.settings import ModelSettings
from segmint.backbone.text import TextReader
from segmint.errors import ConfigError, ModelError

Heard = Literal["queries", "keys", "outputs"]
"""Of the image's own positions: what they ask, what they answer to, and what each head made of it."""


KnownFor = Literal["words", "likeness", "refining"]
"""Telling most of words (Seg4Diff); of what is alike, and carrying maps along it (GoCA)."""


@runtime_checkable
class AttentionLayer(Protocol):
    """One attention layer of a loaded model."""

    @property
    def name(self) -> str:
        """The family's own, unique in the model."""
        ...

    @property
    def part(self) -> Part:
        """Where in the model it is."""
        ...

    @property
    def kind(self) -> Kind:
        """What it attends to."""
        ...

    @property
    def level(self) -> int:
        """Halvings of the latent grid above it."""
        ...

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        ...

    @property
    def known_for(self) -> tuple[KnownFor, ...]:
        """What published work takes this layer for."""
        ...

    @property
    def projection(self) -> Tensor | None:
        """Weights of the last projection of its outputs (out, head · channel); None where it is shared."""
        ...

    @property
    def scale(self) -> float:
        """What products of queries and keys are multiplied by."""
        ...

    @property
    def linear(self) -> bool:
        """Whether shares are products of what is positive, not a softmax (Katharopoulos et al. 2020)."""
        ...

    def grid(self, latent: Grid) -> Grid:
        """The layer's grid for latents of this size."""
        ...

    def text_keys(self, embeds: Tensor) -> Tensor:
        """An encoded text (text, token, width) as keys of this layer (text, token, head · channel)."""
        ...

    def listen(self, what: Heard, hear: Callable[[Tensor], None]) -> Any:
        """Let `hear` have (half · item, cell, head · channel) at each call of the layer.

        Nothing that the layer computes may change by it.

        Returns:
            A handle whose `remove` ends it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """One call of a joint layer, its heads apart, after norms and rotary embeddings."""

    queries: Float[Tensor, "batch head cell d"]
    keys: Float[Tensor, "batch head cell d"]
    values: Float[Tensor, "batch head cell d"]
    text_keys: Float[Tensor, "batch head token d"]
    text_values: Float[Tensor, "batch head token d"]
    outputs: Float[Tensor, "batch cell width"]
    """Of the image's positions, before the last projection."""
    real: Bool[Tensor, "batch token"] | None = None
    """Which text rows are attended to; None: all."""
    condition: Any = None
    """What modulates the block, where a stream has to be told."""


@dataclass(slots=True, kw_only=True)
class Stream:
    """Texts on their way through the blocks of a joint model, seen by nobody.

    `rows`: which of the call's batch each text goes with. `seen`: which keys its rows may see among
    themselves; None: all. `state`: their hidden states. `condition`: what modulates the blocks.
    """

    rows: Tensor
    state: Float[Tensor, "text token width"]
    condition: Any
    seen: Tensor | None = None


@runtime_checkable
class JointLayer(AttentionLayer, Protocol):
    """A layer in which text and image attend to both at once."""

    def hear_all(self, hear: Callable[[Joint], None]) -> Any:
        """Let `hear` have all of each call; a handle as of `listen`."""
        ...

    @property
    def begin(self) -> Callable[[Mapping[str, Any], Tensor, Tensor, Tensor | None], Stream] | None:
        """From the network's arguments, encoded texts, their rows in the batch, and which of their tokens are
        no padding (None: all), to a stream of texts.

        None where a layer takes no stream.
        """
        ...

    @property
    def follow(self) -> Callable[[Any, Stream, Joint], Tensor] | None:
        """Takes a stream through the layer: its outputs (text, token, width) before the last projection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A text as the model sees it.

    `pooled`: the text as one vector, where the model takes one. `real`: which rows are text and not padding,
    for a model that masks its padding.
    """

    tokens: Float[Tensor, "1 token width"]
    pooled: Float[Tensor, "1 channel"] | None = None
    real: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """How a model is guided: which halves it sees, in its order, and whether in one batch or call by call."""

    names: tuple[Half, ...] = ("conditional",)
    by: Literal["batch", "call"] = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a loaded model says about itself; `steps` and `guidance` are usual ones of its branch.

    `timesteps` are those that a few-step model was trained for, none where it was trained for all. `notes`
    say what had to be decided about it. `guided`: whether it can be guided at all.
    """

    branch: str
    steps: int
    guidance: float
    size_px: Grid
    size_multiple_px: int
    prediction: str
    timesteps: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    guided: bool = True


@runtime_checkable
class Family(Protocol):
    """One way in which models are built."""

    @property
    def supported(self) -> str:
        """Which models it covers, for messages."""
        ...

    @property
    def attends(self) -> Literal["cross", "joint"]:
        """How its image attends to text."""
        ...

    @property
    def network(self) -> str:
        """The part that denoises."""
        ...

    @property
    def architecture(self) -> str:
        """The class of that part; a `model_index.json` that names it describes a model of this family."""
        ...

    @property
    def required(self) -> tuple[str, ...]:
        """Parts that the family cannot do without."""
        ...

    @property
    def optional(self) -> tuple[str, ...]:
        """Parts that some of its models have."""
        ...

    @property
    def pack(self) -> int:
        """Latent positions on a side of what the network takes as one; 1 where it packs none."""
        ...

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """The class of diffusers to load it with, and arguments of its own.

        Raises:
            ModelError: the settings ask for a part that the model has not.
        """
        ...

    def check(self, pipe: Any) -> None:
        """Refuse a loaded pipeline whose parts do not fit one another.

        Raises:
            ModelError: names the part.
        """
        ...

    def layers(self, pipe: Any) -> tuple[AttentionLayer, ...]:
        """All attention layers, in the order of the model.

        Raises:
            ModelError: the model's layout is not understood.
        """
        ...

    def describe(self, pipe: Any) -> Facts:
        """What the model is, where it is not known by name."""
        ...

    def reader(self, pipe: Any) -> TextReader:
        """What finds a text's phrases among the rows of its embedding."""
        ...

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """One text's embedding; a negative None is what the pipeline makes of no negative prompt."""
        ...

    def halves(self, pipe: Any, guidance: float) -> Halves:
        """What the model sees at this guidance scale."""
        ...

    def arguments(
        self,
        pipe: Any,
        noise: Float[Tensor, "item channel row col"],
        positive: Sequence[Embedding],
        negative: Sequence[Embedding] | None,
        *,
        guidance: float,
        on_step: Callable[[int, int], None] | None,
    ) -> dict[str, Any]:
        """Keyword arguments of the pipeline's call beside size, steps and generators.

        Args:
            pipe: the pipeline.
            noise: standard normal, float32.
            positive: the prompts, one an item.
            negative: texts of the unconditional half, one an item; None without guidance.
            guidance: scale, as the model takes it.
            on_step: called with the steps done and the steps in all.
        """
        ...

    def clean(self, pipe: Any, images: Sequence[Image]) -> Float[Tensor, "item channel row col"]:
        """Images of one size as latents, float32, scaled as the network expects them."""
        ...

    def noised(
        self,
        pipe: Any,
        clean: Float[Tensor, "item channel row col"],
        noise: Float[Tensor, "item channel row col"],
        level: int,
    ) -> tuple[Tensor, Tensor]:
        """Latents at a noise level, and what the network should then predict, of their shape.

        Args:
            pipe: the pipeline.
            clean: from `clean`.
            noise: standard normal.
            level: training timestep, 0 (clean) to 999 (noise).
        """
        ...

    def predict(
        self,
        pipe: Any,
        noisy: Float[Tensor, "item channel row col"],
        level: int,
        embeddings: Sequence[Embedding],
        guidance: float = 1.0,
    ) -> Tensor:
        """What the network predicts, of the shape of `noisy`, in one call without mixing halves.

        Args:
            pipe: the pipeline.
            noisy: from `noised`.
            level: the same.
            embeddings: one an item.
            guidance: scale, for a model that takes it as an input.
        """
        ...


def present(index: Mapping[str, Any], part: str) -> bool:
    """Whether a `model_index.json` lists a part."""
    entry = index.get(part)
    return isinstance(entry, list | tuple) and len(entry) == 2 and entry[1] is not None


def parts_of(family: Family, index: Mapping[str, Any]) -> tuple[str, ...]:
    """The folders that a model has to have.

    Raises:
        ModelError: its `model_index.json` lacks a part that the family cannot do without.
    """
    for part in family.required:
        if not present(index, part):
            raise ModelError(
                f"the model lists no {part} in its model_index.json; supported: {family.supported}"
            )
    return (*family.required, *(part for part in family.optional if present(index, part)))


def weighted(part: str) -> bool:
    """Whether a part has weights; the others are settings alone."""
    return not part.startswith(("tokenizer", "scheduler"))


def noise_shape(family: Family, pipe: Any, size: Grid) -> tuple[int, int, int]:
    """(channel, row, column) of the latents of an image of `size` pixels."""
    channels = getattr(pipe, family.network).config.in_channels // family.pack**2
    return channels, size[0] // pipe.vae_scale_factor, size[1] // pipe.vae_scale_factor


def part_by_depth(place: int, count: int, meaningful: tuple[float, float]) -> Part:
    """The part that a block of equal ones stands for.

    Args:
        place: of the block, from 0.
        count: of blocks.
        meaningful: share of the depth, from and to, where blocks say more of meaning than of place; these are
            the decoder.
    """
    start, stop = meaningful
    return "decoder" if (place + 1) / count > start and place / count < stop else "middle"


def known_for(place: int, count: int, **shares: tuple[float, ...]) -> tuple[KnownFor, ...]:
    """What a block of equal ones is known for.

    Args:
        place: of the block, from 0.
        count: of blocks.
        shares: for each thing, the places of the blocks known for it, as shares of the depth.
    """
    known = get_args(KnownFor)
    return tuple(
        each for each in known if any(int(share * count + 1e-6) == place for share in shares.get(each, ()))
    )


def largest_grid(layers: Sequence[AttentionLayer], latent: Grid) -> Grid:
    """The largest attention grid G (method.md), which need not be the latents' own (SDXL has none there)."""
    return min(layers, key=lambda layer: layer.level).grid(latent)


def select(
    layers: Sequence[AttentionLayer],
    kind: Kind,
    wanted: MapRequest | FeatureRequest | AffinityRequest,
    latent: Grid | None = None,
) -> tuple[AttentionLayer, ...]:
    """Layers of a kind that a request means: of its parts, or matching its patterns, at its grid.

    Args:
        layers: all of the model's.
        kind: self- or cross-attention; joint attention is both.
        wanted: with `downscale` or `side`, those nearest to that grid.
        latent: grid of the latents; without it no layer is chosen by `side` or `least_side`.

    Raises:
        ConfigError: nothing matches.
    """
    fit = [each for each in layers if each.kind in (kind, "joint")]
    if isinstance(wanted, MapRequest) and wanted.only and not any(each.kind == wanted.only for each in fit):
        raise ConfigError(unserved(wanted.only))
    if wanted.layers:
        chosen = [each for each in fit if any(fnmatchcase(each.name, one) for one in wanted.layers)]
    else:
        chosen = [each for each in fit if each.part in wanted.parts]
    if not chosen:
        asked = ", ".join(wanted.layers) or f"the parts {', '.join(wanted.parts)}"
        names = ", ".join(each.name for each in fit)
        raise ConfigError(f"no {kind}-attention layer matches {asked}; the model has {names}")
    if isinstance(wanted, MapRequest) and wanted.expert and not wanted.layers:
        chosen = [each for each in chosen if "words" in each.known_for] or [chosen[len(chosen) // 2]]
    if isinstance(wanted, MapRequest) and wanted.downscale is not None:
        level = min(layer.level for layer in layers) + max(wanted.downscale, 1).bit_length() - 1
        return _nearest(chosen, {each.level: float(abs(each.level - level)) for each in chosen})
    if latent is None or isinstance(wanted, FeatureRequest):
        return tuple(chosen)
    sides = {each.level: math.sqrt(math.prod(each.grid(latent))) for each in chosen}
    if wanted.side is not None:
        return _nearest(chosen, {level: abs(math.log(own / wanted.side)) for level, own in sides.items()})
    if isinstance(wanted, MapRequest) and not wanted.layers:
        chosen = [each for each in chosen if sides[each.level] >= wanted.least_side] or chosen
    return tuple(chosen)


def _nearest(layers: Sequence[AttentionLayer], distances: Mapping[int, float]) -> tuple[AttentionLayer, ...]:
    """Layers of the level that is nearest to what is wanted, of two such the finer."""
    nearest = min(distances, key=lambda level: (distances[level], level))
    return tuple(layer for layer in layers if layer.level == nearest)
