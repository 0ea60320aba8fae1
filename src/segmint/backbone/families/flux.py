"""The family of FLUX.1: joint attention over [text, image] in double and in single blocks.

Guidance is distilled into the model (dev) or there is none (schnell), so that it sees one half only. Latents
are packed 2×2. Words are looked up in T5's rows; CLIP gives a pooled vector.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import FluxPipeline
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor

from segmint.backbone.family import (
    Embedding,
    Facts,
    Halves,
    Stream,
    known_for,
    part_by_depth,
)
from segmint.backbone.fitting import flow_problems, transformer_problems
from segmint.backbone.flow import call_arguments, joined, packed, pooled, unpacked
from segmint.backbone.joint import DoubleLayer, follow_zero
from segmint.backbone.latents import encode_images, noised_by_flow
from segmint.backbone.offsets import OffsetReader
from segmint.backbone.settings import ModelSettings
from segmint.backbone.shared import SharedLayer, text_first
from segmint.errors import ModelError

SUPPORTED = "FLUX.1 (a FluxTransformer2DModel)"
PARTS = (
    "transformer",
    "vae",
    "text_encoder",
    "tokenizer",
    "text_encoder_2",
    "tokenizer_2",
    "scheduler",
)
T5_ROWS = {True: 512, False: 256}
"""Rows of a prompt, by whether guidance is distilled: FLUX.1-dev's and schnell's, as their cards say."""
MEANINGFUL = (12 / 19, 1.0)
"""Share of the double blocks that say more of meaning than of place. Source: Seg4Diff (12 and 17),
ConceptAttention (15 to 18).
"""
EXPERT = 12 / 19
"""How deep the block lies that tells most of words. Source: Seg4Diff, which names 12 and 17."""
DEEPEST = 18 / 19
"""GoCA refines by the blocks 12 and 18."""
LIKENESS = 8 / 38
"""How deep among the single blocks the one lies whose outputs say what is alike. Source: GoCA (27 of 57)."""
PACK = 2


@dataclass(frozen=True, slots=True)
class FluxFamily:
    """FLUX.1's pipeline."""

    supported: str = SUPPORTED
    attends: Literal["cross", "joint"] = "joint"
    network: str = "transformer"
    architecture: str = "FluxTransformer2DModel"
    required: tuple[str, ...] = PARTS
    optional: tuple[str, ...] = ()
    pack: int = PACK

    clean = staticmethod(encode_images)
    noised = staticmethod(noised_by_flow)

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`."""
        return FluxPipeline, {"variant": settings.variant}

    def check(self, pipe: Any) -> None:
        """As `Family.check`."""
        for problem in (
            *transformer_problems(
                pipe, packed=PACK**2, text="text_encoder_2", shifted=True, pooled=("text_encoder",)
            ),
            *flow_problems(pipe.scheduler),
        ):
            raise ModelError(problem)

    def layers(self, pipe: Any) -> tuple[DoubleLayer | SharedLayer, ...]:
        """As `Family.layers`."""
        net = pipe.transformer
        double = net.transformer_blocks
        return (
            *(
                DoubleLayer(
                    name=f"transformer_blocks.{place}.attn",
                    block=block,
                    part=part_by_depth(place, len(double), MEANINGFUL),
                    patch=PACK,
                    begin=partial(_begin, net),
                    follow=follow_zero,
                    rotate=rotate_by_place,
                    known_for=known_for(place, len(double), words=(EXPERT,), refining=(EXPERT, DEEPEST)),
                )
                for place, block in enumerate(double)
            ),
            *(
                SharedLayer(
                    name=f"single_transformer_blocks.{place}.attn",
                    network=net,
                    block=block,
                    attn=block.attn,
                    heads=int(block.attn.heads),
                    head_dim=int(block.attn.head_dim),
                    places=text_first,
                    rotate=apply_rotary_emb,
                    values=block.attn.to_v,
                    last=None,
                    part="middle",
                    patch=PACK,
                    known_for=known_for(place, len(net.single_transformer_blocks), likeness=(LIKENESS,)),
                )
                for place, block in enumerate(net.single_transformer_blocks)
            ),
        )

    def describe(self, pipe: Any) -> Facts:
        """As `Family.describe`."""
        distilled = pipe.transformer.config.guidance_embeds
        factor = pipe.vae_scale_factor
        side = pipe.default_sample_size * factor
        return Facts(
            branch="flux1-dev" if distilled else "flux1-schnell",
            steps=28 if distilled else 4,
            guidance=3.5 if distilled else 0.0,
            size_px=(side, side),
            size_multiple_px=factor * PACK,
            prediction="flow",
            guided=distilled,
        )

    def reader(self, pipe: Any) -> OffsetReader:
        """As `Family.reader`."""
        return OffsetReader(tokenizer=pipe.tokenizer_2, limit=_rows(pipe), apart=True)

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """As `Family.encode`."""
        tokens, vector, _ = pipe.encode_prompt(text or "", None, max_sequence_length=_rows(pipe))
        return Embedding(tokens=tokens, pooled=vector)

    def halves(self, pipe: Any, guidance: float) -> Halves:
        """As `Family.halves`: guidance is an input, if anything."""
        return Halves()

    def arguments(
        self,
        pipe: Any,
        noise: Tensor,
        positive: Sequence[Embedding],
        negative: Sequence[Embedding] | None,
        *,
        guidance: float,
        on_step: Callable[[int, int], None] | None,
    ) -> dict[str, Any]:
        """As `Family.arguments`."""
        return {
            **call_arguments(positive, None, on_step),
            "guidance_scale": guidance,
            "latents": packed(noise.to(pipe._execution_device, pipe.transformer.dtype)),
        }

    def predict(
        self, pipe: Any, noisy: Tensor, level: int, embeddings: Sequence[Embedding], guidance: float = 1.0
    ) -> Tensor:
        """As `Family.predict`."""
        net, (height, width) = pipe.transformer, noisy.shape[-2:]
        tokens = joined(embeddings)
        place = {"device": noisy.device, "dtype": net.dtype}
        image_ids = pipe._prepare_latent_image_ids(len(noisy), height // PACK, width // PACK, **place)
        distilled = net.config.guidance_embeds
        found = net(
            hidden_states=packed(noisy.to(net.dtype)),
            timestep=torch.full((len(noisy),), level / 1000, **place),
            guidance=torch.full((len(noisy),), guidance, device=noisy.device) if distilled else None,
            pooled_projections=pooled(embeddings),
            encoder_hidden_states=tokens,
            txt_ids=torch.zeros(tokens.shape[1], 3, **place),
            img_ids=image_ids,
            return_dict=False,
        )[0]
        return unpacked(found, height, width)


def _rows(pipe: Any) -> int:
    own = int(pipe.tokenizer_2.model_max_length)
    return min(T5_ROWS[bool(pipe.transformer.config.guidance_embeds)], own)


def rotate_by_place(values: Tensor, rotary: Any, tokens: int, text: bool) -> Tensor:
    """As `joint.Rotate`, of [text, image]."""
    own = slice(None, tokens) if text else slice(tokens, None)
    found: Tensor = apply_rotary_emb(values, (rotary[0][own], rotary[1][own]))
    return found


def _begin(net: Any, kwargs: Mapping[str, Any], embeds: Tensor, rows: Tensor, seen: Tensor | None) -> Stream:
    """Texts get a pooled vector of zeros. Source: ConceptAttention's code for FLUX."""
    dtype = embeds.dtype
    time = kwargs["timestep"][rows].to(dtype) * 1000
    nothing = torch.zeros_like(kwargs["pooled_projections"][rows])
    if kwargs.get("guidance") is None:
        condition = net.time_text_embed(time, nothing)
    else:
        condition = net.time_text_embed(time, kwargs["guidance"][rows].to(dtype) * 1000, nothing)
    return Stream(rows=rows, state=net.context_embedder(embeds), condition=condition, seen=seen)
