"""The family of Sana: linear self-attention, and cross-attention to Gemma's text after an instruction.

As in PixArt, cross-attention never changes the text. The VAE has 32 channels at a 32nd of the image's side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import SanaPipeline
from torch import Tensor

from segmint.attention import Kind
from segmint.backbone.families.pixart import PixArtLayer, masks
from segmint.backbone.family import Embedding, Facts, Halves, part_by_depth
from segmint.backbone.fitting import flow_problems, transformer_problems
from segmint.backbone.flow import joined
from segmint.backbone.latents import encode_images, noised_by_flow, step_end
from segmint.backbone.offsets import OffsetReader
from segmint.backbone.settings import ModelSettings
from segmint.errors import ModelError

SUPPORTED = "Sana (a SanaTransformer2DModel without built-in guidance)"
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
PROMPT_ROWS = 300
"""Rows of a prompt, the first of them the start token's."""
MEANINGFUL = (0.4, 0.6)
"""Share of the depth where blocks say more of meaning than of place: none is published, so the middle."""
MULTIPLE_PX = 32
"""What the pipeline asks of an image's sides."""
_KINDS: tuple[tuple[str, Kind], ...] = (("attn1", "self"), ("attn2", "cross"))


@dataclass(frozen=True, slots=True)
class SanaFamily:
    """Sana's pipeline, with guidance in two halves of a batch."""

    supported: str = SUPPORTED
    attends: Literal["cross", "joint"] = "cross"
    network: str = "transformer"
    architecture: str = "SanaTransformer2DModel"
    required: tuple[str, ...] = PARTS
    optional: tuple[str, ...] = ()
    pack: int = 1

    clean = staticmethod(encode_images)
    noised = staticmethod(noised_by_flow)

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`."""
        return SanaPipeline, {"variant": settings.variant}

    def check(self, pipe: Any) -> None:
        """As `Family.check`; Sana-Sprint is one with built-in guidance and another way of stepping."""
        for problem in (*transformer_problems(pipe), *flow_problems(pipe.scheduler)):
            raise ModelError(problem)
        if pipe.transformer.config.guidance_embeds:
            raise ModelError(f"the transformer is one of Sana-Sprint; supported: {SUPPORTED}")

    def layers(self, pipe: Any) -> tuple[PixArtLayer, ...]:
        """As `Family.layers`."""
        net = pipe.transformer
        blocks = net.transformer_blocks
        return tuple(
            PixArtLayer(
                name=f"transformer_blocks.{place}.{name}",
                module=getattr(block, name),
                caption=lambda embeds: net.caption_norm(net.caption_projection(embeds)),
                part=part_by_depth(place, len(blocks), MEANINGFUL),
                kind=kind,
                patch=int(net.config.patch_size),
                linear=kind == "self",
            )
            for place, block in enumerate(blocks)
            for name, kind in _KINDS
        )

    def describe(self, pipe: Any) -> Facts:
        """As `Family.describe`."""
        side = pipe.transformer.config.sample_size * pipe.vae_scale_factor
        return Facts(
            branch="sana",
            steps=20,
            guidance=4.5,
            size_px=(side, side),
            size_multiple_px=MULTIPLE_PX,
            prediction="flow",
        )

    def reader(self, pipe: Any) -> OffsetReader:
        """As `Family.reader`; of the instruction the pipeline keeps the start token and the last one."""
        before = "\n".join(instruction())
        return OffsetReader(
            tokenizer=pipe.tokenizer,
            limit=PROMPT_ROWS,
            wrap=lambda text: before + text.lower().strip(),
            dropped=len(pipe.tokenizer.encode(before)) - 2,
        )

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """As `Family.encode`; a negative prompt has no instruction before it."""
        tokens, real, _, _ = pipe.encode_prompt(
            text or "",
            do_classifier_free_guidance=False,
            max_sequence_length=PROMPT_ROWS,
            complex_human_instruction=None if negative else list(instruction()),
        )
        return Embedding(tokens=tokens, real=real)

    def halves(self, pipe: Any, guidance: float) -> Halves:
        """As `Family.halves`."""
        return Halves(names=("unconditional", "conditional")) if guidance > 1 else Halves()

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
        """As `Family.arguments`; images keep the size that was asked for."""
        found: dict[str, Any] = {
            "prompt_embeds": joined(positive),
            "prompt_attention_mask": masks(positive),
            "negative_prompt": None,
            "guidance_scale": guidance if negative else 1.0,
            "latents": noise.to(pipe._execution_device),
            "use_resolution_binning": False,
            "clean_caption": False,
            "callback_on_step_end": step_end(on_step),
        }
        if negative:
            found["negative_prompt_embeds"] = joined(negative)
            found["negative_prompt_attention_mask"] = masks(negative)
        return found

    def predict(
        self, pipe: Any, noisy: Tensor, level: int, embeddings: Sequence[Embedding], guidance: float = 1.0
    ) -> Tensor:
        """As `Family.predict`."""
        net = pipe.transformer
        found: Tensor = net(
            noisy.to(net.dtype),
            encoder_hidden_states=joined(embeddings).to(net.dtype),
            encoder_attention_mask=masks(embeddings),
            timestep=torch.full((len(noisy),), float(level), device=noisy.device) * net.config.timestep_scale,
            return_dict=False,
        )[0]
        return found[:, : noisy.shape[1]]


@cache
def instruction() -> tuple[str, ...]:
    """What the pipeline puts before a prompt, unless told otherwise."""
    return tuple(signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default)
