"""What models of flow matching have in common: packed latents, and a pipeline's call."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from segmint.backbone.family import Embedding
from segmint.backbone.latents import step_end


def packed(latents: Tensor) -> Tensor:
    """Latents as one row for each 2×2 positions, channels outermost (FLUX, Qwen-Image)."""
    return rearrange(latents, "item channel (row y) (col x) -> item (row col) (channel y x)", y=2, x=2)


def unpacked(rows: Tensor, height: int, width: int) -> Tensor:
    """The inverse, for latents of `height` × `width`."""
    return rearrange(
        rows,
        "item (row col) (channel y x) -> item channel (row y) (col x)",
        row=height // 2,
        col=width // 2,
        y=2,
        x=2,
    )


def joined(embeddings: Sequence[Embedding]) -> Tensor:
    """Embeddings as one batch."""
    return torch.cat([each.tokens for each in embeddings])


def pooled(embeddings: Sequence[Embedding]) -> Tensor:
    """Their pooled vectors as one batch."""
    return torch.cat([each.pooled for each in embeddings if each.pooled is not None])


def call_arguments(
    positive: Sequence[Embedding],
    negative: Sequence[Embedding] | None,
    on_step: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Arguments that SD 3's and FLUX's pipelines share."""
    found: dict[str, Any] = {
        "prompt_embeds": joined(positive),
        "pooled_prompt_embeds": pooled(positive),
        "callback_on_step_end": step_end(on_step),
    }
    if negative:
        found["negative_prompt_embeds"] = joined(negative)
        found["negative_pooled_prompt_embeds"] = pooled(negative)
    return found
