"""Where a UNet keeps its attention: the layers, their grids, and which models are understood.

Understood are UNets of the Stable Diffusion family (1.x, 2.x, SDXL and their distillations):
`UNet2DConditionModel` whose attention sits in transformer blocks with a self-attention `attn1` and a
cross-attention `attn2`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from diffusers import UNet2DConditionModel

from segmint.artifacts import Grid
from segmint.attention import AffinityRequest, FeatureRequest, Kind, MapRequest, Part
from segmint.errors import ConfigError, ModelError

SUPPORTED = (
    "Stable Diffusion 1.x, Stable Diffusion 2.x (512 and 768 px), SDXL, their few-step distillations (LCM, "
    "Turbo), and models of the same layout (a UNet2DConditionModel with cross-attention to text)"
)
_PARTS: dict[str, Part] = {"down_blocks": "encoder", "up_blocks": "decoder"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionLayer:
    """One attention module; `level` counts the halvings of the latent grid above it."""

    name: str
    module: Any
    part: Part
    kind: Kind
    level: int

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return int(self.module.heads)

    def grid(self, latent: Grid) -> Grid:
        """The layer's grid for latents of this size; odd sides are rounded up at each halving, as the UNet
        does.
        """
        height, width = latent
        for _ in range(self.level):
            height, width = (height + 1) // 2, (width + 1) // 2
        return height, width


def attention_layers(unet: Any) -> tuple[AttentionLayer, ...]:
    """All attention layers, in the order of the module tree.

    Raises:
        ModelError: the UNet is of no understood layout, or has no cross-attention in its up blocks.
    """
    if not isinstance(unet, UNet2DConditionModel):
        raise ModelError(
            f"found {type(unet).__name__} where a UNet2DConditionModel was expected; supported: {SUPPORTED}"
        )
    if unet.encoder_hid_proj is not None:
        raise ModelError(
            f"the UNet projects its text embeddings, which is not understood; supported: {SUPPORTED}"
        )
    layers = tuple(
        AttentionLayer(
            name=name,
            module=module,
            part=_PARTS.get(name.partition(".")[0], "middle"),
            kind="self" if name.endswith("attn1") else "cross",
            level=_level(unet, name),
        )
        for name, module in unet.named_modules()
        if name.rsplit(".", 1)[-1] in ("attn1", "attn2") and hasattr(module, "to_q")
    )
    odd = [
        layer.name for layer in layers if layer.module.norm_q is not None or layer.module.norm_k is not None
    ]
    if odd:
        raise ModelError(
            f"attention layer {odd[0]} normalises its queries, which is not understood; supported: "
            f"{SUPPORTED}"
        )
    if not any(layer.kind == "cross" and layer.part == "decoder" for layer in layers):
        raise ModelError(f"the UNet has no cross-attention to text in its up blocks; supported: {SUPPORTED}")
    return layers


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


def _level(unet: Any, name: str) -> int:
    block, _, rest = name.partition(".")
    depth = len(unet.config.block_out_channels)
    if block == "down_blocks":
        return int(rest.split(".", 1)[0])
    if block == "up_blocks":
        return depth - 1 - int(rest.split(".", 1)[0])
    return depth - 1
