"""The family of PixArt-α and PixArt-Σ: transformers with self-attention and cross-attention to T5's text.

Their cross-attention never changes the text, so that any text can be held against the image as in a UNet.
T5 has no start token; the concept "background" speaks for what is no class.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import PixArtAlphaPipeline, PixArtSigmaPipeline
from torch import Tensor

from segmint.artifacts import Grid
from segmint.attention import Kind, Part
from segmint.backbone.family import (
    Embedding,
    Facts,
    Halves,
    Heard,
    KnownFor,
    known_for,
    part_by_depth,
)
from segmint.backbone.fitting import scheduler_problems, transformer_problems
from segmint.backbone.joint import beside, flat, weight_of
from segmint.backbone.latents import encode_images, noised_by_variance
from segmint.backbone.offsets import OffsetReader
from segmint.backbone.schedulers import trained_timesteps
from segmint.backbone.settings import ModelSettings
from segmint.errors import ModelError

SUPPORTED = "PixArt-α and PixArt-Σ (a PixArtTransformer2DModel)"
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
TOKENS = {"PixArtAlphaPipeline": 120, "PixArtSigmaPipeline": 300}
"""Rows of a prompt, by pipeline."""
MEANINGFUL = (10 / 28, 18 / 28)
"""Share of the depth where blocks say more of meaning than of place. Source: GoCA refines by these."""

LIKENESS = 13 / 28
"""How deep the block lies whose queries say what is alike. Source: GoCA, which refines by blocks 10 to 17."""

_KINDS: tuple[tuple[str, Kind], ...] = (("attn1", "self"), ("attn2", "cross"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PixArtLayer:
    """One attention module by itself; a cross-attention sees the caption as the model projects it."""

    name: str
    module: Any
    caption: Any
    part: Part
    kind: Kind
    patch: int
    known_for: tuple[KnownFor, ...] = ()
    linear: bool = False

    @property
    def level(self) -> int:
        """Halvings by the patches."""
        return self.patch.bit_length() - 1

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return int(self.module.heads)

    @property
    def scale(self) -> float:
        """1/√d."""
        return float(self.module.scale)

    @property
    def projection(self) -> Tensor:
        """As `AttentionLayer.projection`."""
        return weight_of(self.module.to_out[0])

    def grid(self, latent: Grid) -> Grid:
        """As `AttentionLayer.grid`."""
        return latent[0] // self.patch, latent[1] // self.patch

    def text_keys(self, embeds: Tensor) -> Tensor:
        """As `AttentionLayer.text_keys`."""
        keys: Tensor = self.module.to_k(self.caption(beside(embeds, self.module.to_k)))
        return (keys if self.module.norm_k is None else self.module.norm_k(keys)).to(embeds.device)

    def listen(self, what: Heard, hear: Callable[[Tensor], None]) -> Any:
        """As `AttentionLayer.listen`: the projections' outputs, and the input of the last."""
        if what == "outputs":
            return self.module.to_out[0].register_forward_pre_hook(lambda _, inputs: hear(inputs[0]))
        module = self.module
        asked, answering = module.norm_q or module.to_q, module.norm_k or module.to_k
        projection = asked if what == "queries" else answering
        return projection.register_forward_hook(
            lambda _, __, output: hear(output if output.ndim == 3 else flat(output))
        )


@dataclass(frozen=True, slots=True)
class PixArtFamily:
    """PixArt's pipelines, with one text encoder (T5) and guidance in two halves of a batch."""

    supported: str = SUPPORTED
    attends: Literal["cross", "joint"] = "cross"
    network: str = "transformer"
    architecture: str = "PixArtTransformer2DModel"
    required: tuple[str, ...] = PARTS
    optional: tuple[str, ...] = ()
    pack: int = 1

    clean = staticmethod(encode_images)
    noised = staticmethod(noised_by_variance)

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`."""
        alpha = index.get("_class_name") == "PixArtAlphaPipeline"
        return PixArtAlphaPipeline if alpha else PixArtSigmaPipeline, {"variant": settings.variant}

    def check(self, pipe: Any) -> None:
        """As `Family.check`."""
        for problem in (*transformer_problems(pipe), *scheduler_problems(pipe.scheduler)):
            raise ModelError(problem)

    def layers(self, pipe: Any) -> tuple[PixArtLayer, ...]:
        """As `Family.layers`."""
        net = pipe.transformer
        blocks = net.transformer_blocks
        return tuple(
            PixArtLayer(
                name=f"transformer_blocks.{place}.{name}",
                module=getattr(block, name),
                caption=net.caption_projection,
                part=part_by_depth(place, len(blocks), MEANINGFUL),
                kind=kind,
                patch=int(net.config.patch_size),
                known_for=known_for(
                    place,
                    len(blocks),
                    likeness=(LIKENESS,) if kind == "cross" else (),
                    refining=() if kind == "cross" else tuple(block / 28 for block in range(10, 18)),
                ),
            )
            for place, block in enumerate(blocks)
            for name, kind in _KINDS
        )

    def describe(self, pipe: Any) -> Facts:
        """As `Family.describe`."""
        side = pipe.transformer.config.sample_size * pipe.vae_scale_factor
        sigma = isinstance(pipe, PixArtSigmaPipeline)
        timesteps = trained_timesteps(pipe.scheduler, guided_inside=False)
        return Facts(
            branch="pixart-sigma" if sigma else "pixart-alpha",
            steps=4 if timesteps else 20,
            guidance=0.0 if timesteps else 4.5,
            timesteps=timesteps,
            size_px=(side, side),
            size_multiple_px=pipe.vae_scale_factor * pipe.transformer.config.patch_size,
            prediction=pipe.scheduler.config.get("prediction_type", "epsilon"),
        )

    def reader(self, pipe: Any) -> OffsetReader:
        """As `Family.reader`; the pipelines read texts in lower case."""
        return OffsetReader(tokenizer=pipe.tokenizer, limit=TOKENS[type(pipe).__name__], wrap=_lowered)

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """As `Family.encode`."""
        tokens, real, _, _ = pipe.encode_prompt(text or "", do_classifier_free_guidance=False)
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
        unconditional = negative or ()
        found: dict[str, Any] = {
            "prompt_embeds": torch.cat([each.tokens for each in positive]),
            "prompt_attention_mask": masks(positive),
            "negative_prompt": None,
            "guidance_scale": guidance if negative else 1.0,
            "latents": noise.to(pipe._execution_device, pipe.transformer.dtype),
            "use_resolution_binning": False,
            "clean_caption": False,
        }
        if unconditional:
            found["negative_prompt_embeds"] = torch.cat([each.tokens for each in unconditional])
            found["negative_prompt_attention_mask"] = masks(unconditional)
        if on_step:
            found["callback"] = lambda step, *_: on_step(step + 1, len(pipe.scheduler.timesteps))
        return found

    def predict(
        self, pipe: Any, noisy: Tensor, level: int, embeddings: Sequence[Embedding], guidance: float = 1.0
    ) -> Tensor:
        """As `Family.predict`; the variance, which the network predicts too, is left out."""
        found: Tensor = pipe.transformer(
            noisy.to(pipe.transformer.dtype),
            encoder_hidden_states=torch.cat([each.tokens for each in embeddings]),
            encoder_attention_mask=masks(embeddings),
            timestep=torch.full((len(noisy),), level, device=noisy.device),
            added_cond_kwargs=_sizes(pipe, noisy),
            return_dict=False,
        )[0]
        return found[:, : noisy.shape[1]]


def _lowered(text: str) -> str:
    return text.lower().strip()


def _sizes(pipe: Any, noisy: Tensor) -> dict[str, Tensor | None]:
    """Size and aspect ratio, which PixArt-α at 1024 px is told."""
    if not pipe.transformer.use_additional_conditions:
        return {"resolution": None, "aspect_ratio": None}
    height, width = (side * pipe.vae_scale_factor for side in noisy.shape[-2:])
    size, ratio = torch.tensor([[height, width]]), torch.tensor([[height / width]])
    place = {"device": noisy.device, "dtype": pipe.transformer.dtype}
    return {
        "resolution": size.repeat(len(noisy), 1).to(**place),
        "aspect_ratio": ratio.repeat(len(noisy), 1).to(**place),
    }


def masks(embeddings: Sequence[Embedding]) -> Tensor:
    """Which rows are text and not padding, as one batch."""
    return torch.cat([each.real for each in embeddings if each.real is not None])
