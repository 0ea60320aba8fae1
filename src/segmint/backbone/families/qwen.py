"""The family of Qwen-Image: joint attention over [text, image], guidance by two calls, conditional first.

A language model reads the prompt within a template, of which the pipeline drops the first rows. Texts of a
batch are padded, and the padding is masked. Latents are packed 2×2, of a video's VAE with one frame.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom
from diffusers import QwenImagePipeline
from diffusers.models.transformers.transformer_qwenimage import apply_rotary_emb_qwen
from torch import Tensor

from segmint.artifacts import Image
from segmint.backbone.family import Embedding, Facts, Halves, Joint, Stream, part_by_depth
from segmint.backbone.fitting import flow_problems, transformer_problems
from segmint.backbone.flow import packed, unpacked
from segmint.backbone.joint import DoubleLayer, attend_along, of_text
from segmint.backbone.latents import noised_by_flow, step_end
from segmint.backbone.offsets import OffsetReader
from segmint.backbone.settings import ModelSettings
from segmint.errors import ModelError

SUPPORTED = "Qwen-Image (a QwenImageTransformer2DModel)"
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
PROMPT_ROWS = 512
"""Rows of a prompt that are used; the pipeline takes up to 1024."""
MEANINGFUL = (0.4, 0.6)
"""Share of the depth where blocks say more of meaning than of place: none is published, so the middle."""
PACK = 2


@dataclass(frozen=True, slots=True)
class QwenFamily:
    """Qwen-Image's pipeline."""

    supported: str = SUPPORTED
    attends: Literal["cross", "joint"] = "joint"
    network: str = "transformer"
    architecture: str = "QwenImageTransformer2DModel"
    required: tuple[str, ...] = PARTS
    optional: tuple[str, ...] = ()
    pack: int = PACK

    noised = staticmethod(noised_by_flow)

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`."""
        return QwenImagePipeline, {"variant": settings.variant}

    def check(self, pipe: Any) -> None:
        """As `Family.check`."""
        for problem in (*transformer_problems(pipe, packed=PACK**2), *flow_problems(pipe.scheduler)):
            raise ModelError(problem)
        if pipe.transformer.config.zero_cond_t or pipe.transformer.config.guidance_embeds:
            raise ModelError(
                f"the transformer is one for editing or of distilled guidance; supported: {SUPPORTED}"
            )

    def layers(self, pipe: Any) -> tuple[DoubleLayer, ...]:
        """As `Family.layers`."""
        blocks = pipe.transformer.transformer_blocks
        return tuple(
            DoubleLayer(
                name=f"transformer_blocks.{place}.attn",
                block=block,
                part=part_by_depth(place, len(blocks), MEANINGFUL),
                patch=PACK,
                begin=partial(_begin, pipe.transformer),
                follow=_follow,
                rotate=_rotate,
            )
            for place, block in enumerate(blocks)
        )

    def describe(self, pipe: Any) -> Facts:
        """As `Family.describe`."""
        factor = pipe.vae_scale_factor
        side = pipe.default_sample_size * factor
        return Facts(
            branch="qwen-image",
            steps=50,
            guidance=4.0,
            size_px=(side, side),
            size_multiple_px=factor * PACK,
            prediction="flow",
        )

    def reader(self, pipe: Any) -> OffsetReader:
        """As `Family.reader`."""
        return OffsetReader(
            tokenizer=pipe.tokenizer,
            limit=PROMPT_ROWS,
            wrap=pipe.prompt_template_encode.format,
            dropped=pipe.prompt_template_encode_start_idx,
            apart=True,
        )

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """As `Family.encode`; the pipeline's own negative prompt is a blank, as an empty one has no words."""
        tokens, _ = pipe.encode_prompt(text or " ", max_sequence_length=PROMPT_ROWS)
        return Embedding(tokens=tokens)

    def halves(self, pipe: Any, guidance: float) -> Halves:
        """As `Family.halves`."""
        return Halves(names=("conditional", "unconditional"), by="call") if guidance > 1 else Halves()

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
        tokens, mask = _batch(positive)
        found: dict[str, Any] = {
            "prompt_embeds": tokens,
            "prompt_embeds_mask": mask,
            "true_cfg_scale": guidance if negative else 1.0,
            "latents": packed(noise.to(pipe._execution_device, pipe.transformer.dtype)),
            "callback_on_step_end": step_end(on_step),
        }
        if negative:
            found["negative_prompt_embeds"], found["negative_prompt_embeds_mask"] = _batch(negative)
        return found

    def clean(self, pipe: Any, images: Sequence[Image]) -> Tensor:
        """As `Family.clean`; an image is a video of one frame."""
        vae = pipe.vae
        pixels = torch.from_numpy(np.stack(images)).movedim(-1, 1).to(pipe._execution_device, torch.float32)
        encoded = vae.encode((pixels / 127.5 - 1).to(vae.dtype)[:, :, None])
        latents = encoded.latent_dist.mode().float()[:, :, 0]
        mean, std = (
            torch.tensor(values).view(1, -1, 1, 1).to(latents)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        found: Tensor = (latents - mean) / std
        return found

    def predict(
        self, pipe: Any, noisy: Tensor, level: int, embeddings: Sequence[Embedding], guidance: float = 1.0
    ) -> Tensor:
        """As `Family.predict`."""
        net, (height, width) = pipe.transformer, noisy.shape[-2:]
        tokens, mask = _batch(embeddings)
        found = net(
            hidden_states=packed(noisy.to(net.dtype)),
            timestep=torch.full((len(noisy),), level / 1000, device=noisy.device, dtype=net.dtype),
            encoder_hidden_states=tokens,
            encoder_hidden_states_mask=None if mask.all() else mask,
            img_shapes=[[(1, height // PACK, width // PACK)]] * len(noisy),
            return_dict=False,
        )[0]
        return unpacked(found, height, width)


def _batch(embeddings: Sequence[Embedding]) -> tuple[Tensor, Tensor]:
    """Texts padded to the longest, and which rows are no padding."""
    lengths = [each.tokens.shape[1] for each in embeddings]
    longest = max(lengths)
    tokens = torch.cat([F.pad(each.tokens, (0, 0, 0, longest - each.tokens.shape[1])) for each in embeddings])
    places = torch.arange(longest, device=tokens.device)
    return tokens, places < torch.tensor(lengths, device=tokens.device)[:, None]


def _rotate(values: Tensor, rotary: Any, _tokens: int, text: bool) -> Tensor:
    turned = apply_rotary_emb_qwen(values.transpose(1, 2), rotary[1 if text else 0], use_real=False)
    found: Tensor = turned.transpose(1, 2)
    return found


def _begin(net: Any, kwargs: Mapping[str, Any], embeds: Tensor, rows: Tensor, seen: Tensor | None) -> Stream:
    state = net.txt_in(net.txt_norm(embeds))
    condition = net.time_text_embed(kwargs["timestep"][rows].to(state.dtype), state)
    return Stream(rows=rows, state=state, condition=condition, seen=seen)


def _follow(layer: DoubleLayer, stream: Stream, joint: Joint) -> Tensor:
    """Through a block; concepts are not rotated, as in FLUX, so that none is nearer to the image."""
    block, attn = layer.block, layer.block.attn
    first, second = block.txt_mod(stream.condition).chunk(2, dim=-1)
    normed, gate = block._modulate(block.txt_norm1(stream.state), first)
    found = attend_along(stream, normed, joint, *of_text(attn))
    state = stream.state + gate * attn.to_add_out(found)
    wide, gate = block._modulate(block.txt_norm2(state), second)
    stream.state = state + gate * block.txt_mlp(wide)
    return found
