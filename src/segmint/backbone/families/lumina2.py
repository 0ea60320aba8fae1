"""The family of Lumina 2: blocks of one set of weights over [text, image], guidance by two calls.

Each item's text has its own length, without a gap before the image. Gemma 2 reads the prompt after a system
prompt. Keys and values have fewer heads than queries; time runs from 0 (noise) to 1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import Lumina2Pipeline
from torch import Tensor

from segmint.backbone.families.pixart import masks
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
from segmint.backbone.joint import attend_along
from segmint.backbone.latents import encode_images, noised_by_flow, step_end
from segmint.backbone.offsets import OffsetReader
from segmint.backbone.settings import ModelSettings
from segmint.backbone.shared import Places, SharedLayer, of_all, turned
from segmint.errors import ModelError

SUPPORTED = "Lumina 2 (a Lumina2Transformer2DModel)"
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
PROMPT_ROWS = 256
"""Rows of a prompt that the pipeline takes, system prompt and all."""
MEANINGFUL = (0.4, 0.6)
"""Share of the depth where blocks say more of meaning than of place: none is published, so the middle."""


@dataclass(frozen=True, slots=True)
class Lumina2Family:
    """Lumina 2's pipeline."""

    supported: str = SUPPORTED
    attends: Literal["cross", "joint"] = "joint"
    network: str = "transformer"
    architecture: str = "Lumina2Transformer2DModel"
    required: tuple[str, ...] = PARTS
    optional: tuple[str, ...] = ()
    pack: int = 1

    clean = staticmethod(encode_images)
    noised = staticmethod(noised_by_flow)

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`."""
        return Lumina2Pipeline, {"variant": settings.variant}

    def check(self, pipe: Any) -> None:
        """As `Family.check`."""
        for problem in (*transformer_problems(pipe, shifted=True), *flow_problems(pipe.scheduler)):
            raise ModelError(problem)

    def layers(self, pipe: Any) -> tuple[SharedLayer, ...]:
        """As `Family.layers`; the refiners see image or text alone."""
        net = pipe.transformer
        return tuple(
            SharedLayer(
                name=f"layers.{place}.attn",
                network=net,
                block=block,
                attn=block.attn,
                heads=int(block.attn.heads),
                head_dim=block.attn.to_q.out_features // block.attn.heads,
                places=partial(_places, int(net.config.patch_size)),
                rotate=turned,
                values=block.attn.to_v,
                last=block.attn.to_out[0],
                part=part_by_depth(place, len(net.layers), MEANINGFUL),
                patch=int(net.config.patch_size),
                condition=lambda inputs: inputs[3],
                begin=partial(_begin, net),
                follow=_follow,
            )
            for place, block in enumerate(net.layers)
        )

    def describe(self, pipe: Any) -> Facts:
        """As `Family.describe`."""
        side = pipe.default_image_size
        return Facts(
            branch="lumina2",
            steps=50,
            guidance=4.0,
            size_px=(side, side),
            size_multiple_px=pipe.vae_scale_factor * pipe.transformer.config.patch_size,
            prediction="flow",
        )

    def reader(self, pipe: Any) -> OffsetReader:
        """As `Family.reader`."""
        wrap = f"{pipe.system_prompt} <Prompt Start> {{}}".format
        return OffsetReader(tokenizer=pipe.tokenizer, limit=PROMPT_ROWS, wrap=wrap, apart=True)

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """As `Family.encode`; a negative prompt has no system prompt before it."""
        found = pipe.encode_prompt(
            "" if negative else text or "",
            do_classifier_free_guidance=negative,
            negative_prompt=text or "",
            max_sequence_length=PROMPT_ROWS,
        )
        tokens, real = found[2:] if negative else found[:2]
        return Embedding(tokens=tokens, real=real)

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
        found: dict[str, Any] = {
            "prompt_embeds": joined(positive),
            "prompt_attention_mask": masks(positive),
            "guidance_scale": guidance if negative else 1.0,
            "latents": noise.to(pipe._execution_device, pipe.transformer.dtype),
            "callback_on_step_end": step_end(on_step),
        }
        if negative:
            found["negative_prompt_embeds"] = joined(negative)
            found["negative_prompt_attention_mask"] = masks(negative)
        return found

    def predict(
        self, pipe: Any, noisy: Tensor, level: int, embeddings: Sequence[Embedding], guidance: float = 1.0
    ) -> Tensor:
        """As `Family.predict`; the network predicts the way back."""
        net = pipe.transformer
        found: Tensor = net(
            hidden_states=noisy.to(net.dtype),
            timestep=torch.full((len(noisy),), 1 - level / 1000, device=noisy.device, dtype=net.dtype),
            encoder_hidden_states=joined(embeddings),
            encoder_attention_mask=masks(embeddings),
            return_dict=False,
        )[0]
        return -found


def _places(patch: int, _: Sequence[Any], kwargs: Mapping[str, Any]) -> Places:
    """Each item's image begins where its own text ends."""
    lengths = kwargs["encoder_attention_mask"].sum(1)
    height, width = kwargs["hidden_states"].shape[-2:]
    cells, longest = height * width // patch**2, int(lengths.max())
    device = lengths.device
    real = torch.arange(longest, device=device) < lengths[:, None]
    return Places(
        image=lengths[:, None] + torch.arange(cells, device=device),
        text=slice(0, longest),
        real=None if real.all() else real,
    )


def _begin(net: Any, kwargs: Mapping[str, Any], embeds: Tensor, rows: Tensor, seen: Tensor | None) -> Stream:
    """Concepts all stand where a prompt's first token does, which is not turned."""
    state = net.time_caption_embed.caption_embedder(embeds)
    half = sum(net.config.axes_dim_rope) // 2
    rotary = torch.ones(*state.shape[:2], half, dtype=torch.complex64, device=state.device)
    for block in net.context_refiner:
        state = block(state, seen, rotary)
    return Stream(rows=rows, state=state, condition=None, seen=seen)


def _follow(layer: SharedLayer, stream: Stream, joint: Joint) -> Tensor:
    block, state = layer.block, stream.state
    normed, gate, scale_wide, gate_wide = block.norm1(state, joint.condition[stream.rows])
    found = attend_along(stream, normed, joint, *of_all(layer.attn))
    state = state + gate[:, None].tanh() * block.norm2(layer.attn.to_out[0].forward(found))
    wide = block.feed_forward(block.ffn_norm1(state) * (1 + scale_wide[:, None]))
    stream.state = state + gate_wide[:, None].tanh() * block.ffn_norm2(wide)
    return found
