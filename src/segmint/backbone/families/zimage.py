"""The family of Z-Image: blocks of one set of weights over [image, text], guidance in one batch, text first.

Image and text are each padded to multiples of 32 by learned tokens, which are attended to. Qwen3 reads the
prompt as a chat. The network takes lists, and time runs from 0 (noise) to 1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import ZImagePipeline
from torch import Tensor

from segmint.backbone.family import (
    Embedding,
    Facts,
    Halves,
    Joint,
    Stream,
    part_by_depth,
)
from segmint.backbone.fitting import flow_problems, transformer_problems
from segmint.backbone.joint import attend_along
from segmint.backbone.latents import encode_images, noised_by_flow, step_end
from segmint.backbone.offsets import OffsetReader, as_chat
from segmint.backbone.settings import ModelSettings
from segmint.backbone.shared import Places, SharedLayer, of_all, turned
from segmint.errors import ModelError

SUPPORTED = "Z-Image (a ZImageTransformer2DModel)"
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
PROMPT_ROWS = 512
"""Rows of a prompt that the pipeline takes, template and all."""
MULTIPLE = 32
"""Rows of image and of text are padded to multiples of this (`SEQ_MULTI_OF` of diffusers)."""
MEANINGFUL = (0.4, 0.6)
"""Share of the depth where blocks say more of meaning than of place: none is published, so the middle."""
PATCH = 2


@dataclass(frozen=True, slots=True)
class ZImageFamily:
    """Z-Image's pipeline for text alone."""

    supported: str = SUPPORTED
    attends: Literal["cross", "joint"] = "joint"
    network: str = "transformer"
    architecture: str = "ZImageTransformer2DModel"
    required: tuple[str, ...] = PARTS
    optional: tuple[str, ...] = ()
    pack: int = 1

    clean = staticmethod(encode_images)
    noised = staticmethod(noised_by_flow)

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`."""
        return ZImagePipeline, {"variant": settings.variant}

    def check(self, pipe: Any) -> None:
        """As `Family.check`."""
        for problem in (*transformer_problems(pipe, shifted=True), *flow_problems(pipe.scheduler)):
            raise ModelError(problem)
        if (
            pipe.transformer.config.siglip_feat_dim is not None
            or PATCH not in pipe.transformer.all_patch_size
        ):
            raise ModelError(
                f"the transformer is one that is given images too (omni); supported: {SUPPORTED}"
            )

    def layers(self, pipe: Any) -> tuple[SharedLayer, ...]:
        """As `Family.layers`; the refiners see image or text alone."""
        net = pipe.transformer
        return tuple(
            SharedLayer(
                name=f"layers.{place}.attention",
                network=net,
                block=block,
                attn=block.attention,
                heads=int(block.attention.heads),
                head_dim=block.attention.to_q.out_features // block.attention.heads,
                places=_places,
                rotate=turned,
                rotary="freqs_cis",
                values=block.attention.to_v,
                last=block.attention.to_out[0],
                part=part_by_depth(place, len(net.layers), MEANINGFUL),
                patch=PATCH,
                condition=lambda inputs: inputs[3],
                begin=partial(_begin, net),
                follow=_follow,
            )
            for place, block in enumerate(net.layers)
        )

    def describe(self, pipe: Any) -> Facts:
        """As `Family.describe`; which of a folder's models is the few-step one, nothing in it tells."""
        return Facts(
            branch="z-image",
            steps=50,
            guidance=4.0,
            size_px=(1024, 1024),
            size_multiple_px=pipe.vae_scale_factor * PATCH,
            prediction="flow",
        )

    def reader(self, pipe: Any) -> OffsetReader:
        """As `Family.reader`."""
        wrap = partial(as_chat, pipe.tokenizer, enable_thinking=True)
        return OffsetReader(tokenizer=pipe.tokenizer, limit=PROMPT_ROWS, wrap=wrap, apart=True)

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """As `Family.encode`."""
        (tokens,), _ = pipe.encode_prompt(
            text or "", do_classifier_free_guidance=False, max_sequence_length=PROMPT_ROWS
        )
        return Embedding(tokens=tokens[None])

    def halves(self, pipe: Any, guidance: float) -> Halves:
        """As `Family.halves`; guidance counts from 0."""
        return Halves(names=("conditional", "unconditional")) if guidance > 0 else Halves()

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
            "prompt_embeds": [each.tokens[0] for each in positive],
            "negative_prompt_embeds": [each.tokens[0] for each in negative or ()],
            "guidance_scale": guidance if negative else 0.0,
            "latents": noise.to(pipe._execution_device),
            "callback_on_step_end": step_end(on_step),
        }

    def predict(
        self, pipe: Any, noisy: Tensor, level: int, embeddings: Sequence[Embedding], guidance: float = 1.0
    ) -> Tensor:
        """As `Family.predict`; the network predicts the way back."""
        net = pipe.transformer
        found = net(
            list(noisy.to(net.dtype)[:, :, None].unbind()),
            torch.full((len(noisy),), 1 - level / 1000, device=noisy.device),
            [each.tokens[0] for each in embeddings],
            return_dict=False,
        )[0]
        return -torch.stack(list(found))[:, :, 0]


def _places(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Places:
    """Image rows, and then text rows with what pads the image, as the network lays them out."""
    images, captions = args[0], args[2]
    height, width = images[0].shape[-2:]
    cells, device = height * width // PATCH**2, images[0].device
    start = cells + -cells % MULTIPLE
    lengths = torch.tensor([len(each) + -len(each) % MULTIPLE for each in captions], device=device)
    longest = int(lengths.max())
    padding = torch.arange(cells, start, device=device)
    real = torch.arange(longest, device=device) < lengths[:, None]
    return Places(
        image=slice(0, cells),
        text=torch.cat([torch.arange(start, start + longest, device=device), padding]),
        real=None if real.all() else torch.cat([real, real.new_ones(len(real), len(padding))], 1),
    )


def _begin(net: Any, kwargs: Mapping[str, Any], embeds: Tensor, rows: Tensor, seen: Tensor | None) -> Stream:
    """Concepts all stand where a prompt's first token does, so that none is nearer to the image."""
    state = net.cap_embedder(embeds)
    place = net.rope_embedder(torch.tensor([[1, 0, 0]], device=state.device))
    rotary = place.expand(*state.shape[:2], -1)
    for block in net.context_refiner:
        state = block(state, seen, rotary)
    return Stream(rows=rows, state=state, condition=rotary, seen=seen)


def _follow(layer: SharedLayer, stream: Stream, joint: Joint) -> Tensor:
    block, state = layer.block, stream.state
    told = block.adaLN_modulation(joint.condition[stream.rows])[:, None]
    scale, gate, scale_wide, gate_wide = told.chunk(4, dim=2)
    normed = block.attention_norm1(state) * (1 + scale)
    turn = partial(turned, rotary=stream.condition)
    found = attend_along(stream, normed, joint, *of_all(layer.attn), turn=turn)
    state = state + gate.tanh() * block.attention_norm2(layer.attn.to_out[0].forward(found))
    wide = block.feed_forward(block.ffn_norm1(state) * (1 + scale_wide))
    stream.state = state + gate_wide.tanh() * block.ffn_norm2(wide)
    return found
