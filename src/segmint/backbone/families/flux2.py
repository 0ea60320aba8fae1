"""The family of FLUX.2: joint attention over [text, image] in double and in single blocks.

Latents of 32 channels are packed 2×2 before they are scaled.
A language model (Qwen3 in klein, Mistral in dev) reads the prompt as a chat. Guidance is an input (dev), two
calls with the conditional first (klein base), or none (klein).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import Flux2KleinPipeline, Flux2Pipeline
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux2 import Flux2Modulation
from diffusers.pipelines.flux2.pipeline_flux2 import format_input
from einops import rearrange
from torch import Tensor

from segmint.artifacts import Image
from segmint.backbone.families.flux import rotate_by_place
from segmint.backbone.family import (
    Embedding,
    Facts,
    Halves,
    Joint,
    Stream,
    part_by_depth,
)
from segmint.backbone.fitting import flow_problems, transformer_problems
from segmint.backbone.flow import joined
from segmint.backbone.joint import DoubleLayer, attend_along, of_text
from segmint.backbone.latents import noised_by_flow, step_end
from segmint.backbone.offsets import OffsetReader, as_chat
from segmint.backbone.settings import ModelSettings
from segmint.backbone.shared import SharedLayer, text_first
from segmint.errors import ModelError

SUPPORTED = "FLUX.2 dev and klein (a Flux2Transformer2DModel)"
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
PROMPT_ROWS = 512
"""Rows of a prompt, template and all; padding is attended to."""
MEANINGFUL = (5 / 8, 1.0)
"""Share of the double blocks that say more of meaning than of place. Source: ConceptAttention, which reads
the last three of eight.
"""
PACK = 2


@dataclass(frozen=True, slots=True)
class Flux2Family:
    """FLUX.2's pipelines."""

    supported: str = SUPPORTED
    attends: Literal["cross", "joint"] = "joint"
    network: str = "transformer"
    architecture: str = "Flux2Transformer2DModel"
    required: tuple[str, ...] = PARTS
    optional: tuple[str, ...] = ()
    pack: int = PACK

    noised = staticmethod(noised_by_flow)

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`."""
        klein = str(index.get("_class_name", "")).startswith("Flux2Klein")
        return Flux2KleinPipeline if klein else Flux2Pipeline, {"variant": settings.variant}

    def check(self, pipe: Any) -> None:
        """As `Family.check`."""
        for problem in (
            *transformer_problems(pipe, packed=PACK**2, layers=3),
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
                    follow=_follow,
                    rotate=rotate_by_place,
                )
                for place, block in enumerate(double)
            ),
            *(_single(net, place, block) for place, block in enumerate(net.single_transformer_blocks)),
        )

    def describe(self, pipe: Any) -> Facts:
        """As `Family.describe`."""
        dev, distilled = not _is_klein(pipe), _is_klein(pipe) and pipe.config.is_distilled
        side = pipe.default_sample_size * pipe.vae_scale_factor
        return Facts(
            branch="flux2-dev" if dev else "flux2-klein",
            steps=4 if distilled else 50,
            guidance=1.0 if distilled else 4.0,
            size_px=(side, side),
            size_multiple_px=pipe.vae_scale_factor * PACK,
            prediction="flow",
            guided=not distilled,
        )

    def reader(self, pipe: Any) -> OffsetReader:
        """As `Family.reader`; dev's words come with a processor."""
        words = getattr(pipe.tokenizer, "tokenizer", pipe.tokenizer)
        wrap = partial(as_chat, words, enable_thinking=False) if _is_klein(pipe) else partial(_as_dev, pipe)
        return OffsetReader(
            tokenizer=words,
            limit=PROMPT_ROWS,
            wrap=wrap,
            apart=True,
            padded_left=words.padding_side == "left",
        )

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """As `Family.encode`."""
        tokens, _ = pipe.encode_prompt(text or "", max_sequence_length=PROMPT_ROWS)
        return Embedding(tokens=tokens)

    def halves(self, pipe: Any, guidance: float) -> Halves:
        """As `Family.halves`."""
        apart = _is_klein(pipe) and not pipe.config.is_distilled and guidance > 1
        return Halves(names=("conditional", "unconditional"), by="call") if apart else Halves()

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
        found: dict[str, Any] = {
            "prompt_embeds": joined(positive),
            "guidance_scale": guidance,
            "latents": pipe._patchify_latents(noise.to(pipe._execution_device, pipe.transformer.dtype)),
            "callback_on_step_end": step_end(on_step),
        }
        if negative:
            found["negative_prompt_embeds"] = joined(negative)
        return found

    def clean(self, pipe: Any, images: Sequence[Image]) -> Tensor:
        """As `Family.clean`; latents are scaled by the VAE's own statistics once they are packed."""
        vae = pipe.vae
        pixels = torch.from_numpy(np.stack(images)).movedim(-1, 1).to(pipe._execution_device, torch.float32)
        latents = vae.encode((pixels / 127.5 - 1).to(vae.dtype)).latent_dist.mode().float()
        packed = pipe._patchify_latents(latents)
        mean, variance = (
            each.view(1, -1, 1, 1).to(packed) for each in (vae.bn.running_mean, vae.bn.running_var)
        )
        found: Tensor = pipe._unpatchify_latents(
            (packed - mean) / (variance + vae.config.batch_norm_eps).sqrt()
        )
        return found

    def predict(
        self, pipe: Any, noisy: Tensor, level: int, embeddings: Sequence[Embedding], guidance: float = 1.0
    ) -> Tensor:
        """As `Family.predict`."""
        net, tokens, many = pipe.transformer, joined(embeddings), len(noisy)
        rows = pipe._patchify_latents(noisy.to(net.dtype))
        place = {"device": noisy.device, "dtype": net.dtype}
        found = net(
            hidden_states=rearrange(rows, "item channel row col -> item (row col) channel"),
            timestep=torch.full((many,), level / 1000, **place),
            guidance=None if _is_klein(pipe) else torch.full((many,), guidance, device=noisy.device),
            encoder_hidden_states=tokens,
            txt_ids=pipe._prepare_text_ids(tokens).to(noisy.device),
            img_ids=pipe._prepare_latent_ids(rows).to(noisy.device),
            return_dict=False,
        )[0]
        back = rearrange(found, "item (row col) channel -> item channel row col", row=rows.shape[2])
        told: Tensor = pipe._unpatchify_latents(back)
        return told


def _is_klein(pipe: Any) -> bool:
    return isinstance(pipe, Flux2KleinPipeline)


def _as_dev(pipe: Any, text: str) -> str:
    (messages,) = format_input([text], system_message=pipe.system_message)
    found: str = pipe.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
    return found


def _single(net: Any, place: int, block: Any) -> SharedLayer:
    """A block whose projections are those of its feed-forward too: query, key and value come first."""
    attn = block.attn
    return SharedLayer(
        name=f"single_transformer_blocks.{place}.attn",
        network=net,
        block=block,
        attn=attn,
        heads=int(attn.heads),
        head_dim=int(attn.head_dim),
        places=text_first,
        rotate=apply_rotary_emb,
        values=attn.to_qkv_mlp_proj,
        values_from=2 * int(attn.inner_dim),
        last=attn.to_out,
        part="middle",
        patch=PACK,
    )


def _begin(net: Any, kwargs: Mapping[str, Any], embeds: Tensor, rows: Tensor, seen: Tensor | None) -> Stream:
    """Concepts are modulated as the text is, by what all blocks share."""
    guidance = kwargs.get("guidance")
    told = None if guidance is None else guidance[rows].to(embeds.dtype) * 1000
    condition = net.time_guidance_embed(kwargs["timestep"][rows].to(embeds.dtype) * 1000, told)
    split = Flux2Modulation.split(net.double_stream_modulation_txt(condition), 2)
    return Stream(rows=rows, state=net.context_embedder(embeds), condition=split, seen=seen)


def _follow(layer: DoubleLayer, stream: Stream, joint: Joint) -> Tensor:
    """Through a block; concepts stand where a prompt's first token does, which is not turned."""
    block, attn = layer.block, layer.block.attn
    (shift, scale, gate), (shift_wide, scale_wide, gate_wide) = stream.condition
    normed = (1 + scale) * block.norm1_context(stream.state) + shift
    found = attend_along(stream, normed, joint, *of_text(attn))
    state = stream.state + gate * attn.to_add_out.forward(found)
    wide = block.norm2_context(state) * (1 + scale_wide) + shift_wide
    stream.state = state + gate_wide * block.ff_context(wide)
    return found
