"""What a family of models has to say, so that everything else can ask by role.

A family is one file of `families` and one row of its table. It tells by a model's index whether the model is
one of its own, which parts belong to it, how a pipeline is made of them, and what its layers are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from segmint.artifacts import Grid
from segmint.attention import AffinityRequest, FeatureRequest, Kind, MapRequest, Part
from segmint.backbone.settings import ModelSettings
from segmint.errors import ConfigError

Heard = Literal["queries", "keys", "outputs"]
"""Of the image's own positions: what they ask, what they answer to, and what each head made of it."""


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
    def scale(self) -> float:
        """What products of queries and keys are multiplied by."""
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
class Parts:
    """Folders of a model that have to be there; those with weights, and files of settings in the others."""

    all: tuple[str, ...]
    weighted: frozenset[str]
    configs: Mapping[str, str]


@runtime_checkable
class Family(Protocol):
    """One way in which models are built."""

    @property
    def supported(self) -> str:
        """Which models it covers, for messages."""
        ...

    def recognises(self, index: Mapping[str, Any]) -> bool:
        """Whether a `model_index.json` describes a model of this family."""
        ...

    def parts(self, index: Mapping[str, Any]) -> Parts:
        """What has to be there.

        Raises:
            ModelError: the index lacks a part that the family cannot do without.
        """
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

    def network(self, pipe: Any) -> Any:
        """The module of a loaded pipeline that denoises."""
        ...

    def layers(self, pipe: Any) -> tuple[AttentionLayer, ...]:
        """All attention layers, in the order of the model.

        Raises:
            ModelError: the model's layout is not understood.
        """
        ...

    def describe(self, pipe: Any) -> tuple[str, int, float]:
        """A model's branch of the family, and its usual steps and guidance, where it is not known by name."""
        ...


def largest_grid(layers: Sequence[AttentionLayer], latent: Grid) -> Grid:
    """The largest attention grid G (method.md), which need not be the latents' own (SDXL has none there)."""
    return min(layers, key=lambda layer: layer.level).grid(latent)


def select(
    layers: Sequence[AttentionLayer], kind: Kind, wanted: MapRequest | FeatureRequest | AffinityRequest
) -> tuple[AttentionLayer, ...]:
    """Layers of a kind that a request means: of its parts, or matching its patterns, at its grid.

    Args:
        layers: all of the model's.
        kind: self- or cross-attention; joint attention is both.
        wanted: with `downscale`, those nearest to that fraction of the largest grid.

    Raises:
        ConfigError: nothing matches.
    """
    fit = [each for each in layers if each.kind in (kind, "joint")]
    if wanted.layers:
        chosen = [each for each in fit if any(fnmatchcase(each.name, one) for one in wanted.layers)]
    else:
        chosen = [each for each in fit if each.part in wanted.parts]
    if not chosen:
        asked = ", ".join(wanted.layers) or f"the parts {', '.join(wanted.parts)}"
        names = ", ".join(each.name for each in fit)
        raise ConfigError(f"no {kind}-attention layer matches {asked}; the model has {names}")
    downscale = getattr(wanted, "downscale", None)
    if downscale is None:
        return tuple(chosen)
    level = min(layer.level for layer in layers) + max(downscale, 1).bit_length() - 1
    nearest = min({layer.level for layer in chosen}, key=lambda each: (abs(each - level), each))
    return tuple(layer for layer in chosen if layer.level == nearest)
