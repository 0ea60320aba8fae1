"""The family of Stable Diffusion 3 and 3.5: joint attention over [image, text], guidance in two halves.

The text is CLIP's rows, then T5's; words are looked up in CLIP's. Blocks of 3.5-medium attend to the image a
second time, in layers of their own (`attn2`), which are read where a recipe names them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import StableDiffusion3Pipeline
from torch import Tensor

from segmint.backbone.families.pixart import PixArtLayer
from segmint.backbone.family import Embedding, Facts, Halves, Stream, known_for, part_by_depth
from segmint.backbone.fitting import flow_problems, transformer_problems
from segmint.backbone.flow import call_arguments, joined, pooled
from segmint.backbone.joint import DoubleLayer, follow_zero
from segmint.backbone.latents import encode_images, noised_by_flow
from segmint.backbone.settings import ModelSettings
from segmint.backbone.text import ClipConceptReader
from segmint.errors import ModelError

SUPPORTED = "Stable Diffusion 3 and 3.5 (an SD3Transformer2DModel)"
PARTS = (
    "transformer",
    "vae",
    "text_encoder",
    "tokenizer",
    "text_encoder_2",
    "tokenizer_2",
    "scheduler",
)
T5 = ("text_encoder_3", "tokenizer_3")
"""May be missing; the pipeline then takes zeros for its rows."""
T5_ROWS = 256
MEANINGFUL = (7 / 24, 12 / 24)
"""Share of the depth where blocks say more of meaning than of place. Source: Seg4Diff, fig. 4."""
EXPERT = 9 / 24
"""How deep the block lies that tells most of words. Source: Seg4Diff, for SD 3 and 3.5."""


@dataclass(frozen=True, slots=True)
class SD3Family:
    """Stable Diffusion 3's pipeline."""

    supported: str = SUPPORTED
    attends: Literal["cross", "joint"] = "joint"
    network: str = "transformer"
    architecture: str = "SD3Transformer2DModel"
    required: tuple[str, ...] = PARTS
    optional: tuple[str, ...] = T5
    pack: int = 1

    clean = staticmethod(encode_images)
    noised = staticmethod(noised_by_flow)

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`."""
        return StableDiffusion3Pipeline, {"variant": settings.variant}

    def check(self, pipe: Any) -> None:
        """As `Family.check`."""
        clips = ("text_encoder", "text_encoder_2")
        found = transformer_problems(pipe, text="text_encoder_3", shifted=True, pooled=clips)
        for problem in (*found, *flow_problems(pipe.scheduler)):
            raise ModelError(problem)

    def layers(self, pipe: Any) -> tuple[DoubleLayer | PixArtLayer, ...]:
        """As `Family.layers`: the joint ones, then those of the image alone, which are read where named."""
        net = pipe.transformer
        blocks = net.transformer_blocks
        return (
            *(
                DoubleLayer(
                    name=f"transformer_blocks.{place}.attn",
                    block=block,
                    part=part_by_depth(place, len(blocks), MEANINGFUL),
                    patch=int(net.config.patch_size),
                    begin=partial(_begin, net),
                    follow=follow_zero,
                    heads_first=True,
                    known_for=known_for(place, len(blocks), words=(EXPERT,)),
                )
                for place, block in enumerate(blocks)
            ),
            *(
                PixArtLayer(
                    name=f"transformer_blocks.{place}.attn2",
                    module=block.attn2,
                    caption=None,
                    part="middle",
                    kind="self",
                    patch=int(net.config.patch_size),
                )
                for place, block in enumerate(blocks)
                if getattr(block, "attn2", None) is not None
            ),
        )

    def describe(self, pipe: Any) -> Facts:
        """As `Family.describe`."""
        config, factor = pipe.transformer.config, pipe.vae_scale_factor
        side = config.sample_size * factor
        return Facts(
            branch="sd3" if config.qk_norm is None else "sd3.5",
            steps=28,
            guidance=7.0 if config.qk_norm is None else 4.5,
            size_px=(side, side),
            size_multiple_px=factor * config.patch_size,
            prediction="flow",
        )

    def reader(self, pipe: Any) -> ClipConceptReader:
        """As `Family.reader`: of the rows that CLIP gives, which come first."""
        return ClipConceptReader(tokenizer=pipe.tokenizer, limit=pipe.tokenizer_max_length)

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """As `Family.encode`."""
        own = getattr(pipe.tokenizer_3, "model_max_length", T5_ROWS)
        tokens, _, vector, _ = pipe.encode_prompt(
            text or "", None, None, do_classifier_free_guidance=False, max_sequence_length=min(T5_ROWS, own)
        )
        return Embedding(tokens=tokens, pooled=vector)

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
        """As `Family.arguments`."""
        return {
            **call_arguments(positive, negative, on_step),
            "guidance_scale": guidance,
            "latents": noise.to(pipe._execution_device, pipe.transformer.dtype),
        }

    def predict(
        self, pipe: Any, noisy: Tensor, level: int, embeddings: Sequence[Embedding], guidance: float = 1.0
    ) -> Tensor:
        """As `Family.predict`."""
        net = pipe.transformer
        found: Tensor = net(
            hidden_states=noisy.to(net.dtype),
            timestep=torch.full((len(noisy),), float(level), device=noisy.device),
            encoder_hidden_states=joined(embeddings),
            pooled_projections=pooled(embeddings),
            return_dict=False,
        )[0]
        return found


def _begin(net: Any, kwargs: Mapping[str, Any], embeds: Tensor, rows: Tensor, seen: Tensor | None) -> Stream:
    """Texts get the prompt's own pooled vector. Source: ConceptAttention's code for SD 3."""
    condition = net.time_text_embed(kwargs["timestep"][rows], kwargs["pooled_projections"][rows])
    return Stream(rows=rows, state=net.context_embedder(embeds), condition=condition, seen=seen)
