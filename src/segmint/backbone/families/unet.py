"""The family of UNets: which models are of it, their parts and facts, and where their attention is.

Of it are UNets of the Stable Diffusion family (1.x, 2.x, SDXL and their distillations):
`UNet2DConditionModel` whose attention sits in transformer blocks with a self-attention `attn1` and a
cross-attention `attn2`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor

from segmint.artifacts import Grid
from segmint.attention import Kind, Part
from segmint.backbone.family import Embedding, Facts, Halves, Heard, KnownFor, present
from segmint.backbone.fitting import check_unet_parts, model_side
from segmint.backbone.joint import beside, weight_of
from segmint.backbone.latents import encode_images, noised_by_variance, step_end
from segmint.backbone.schedulers import trained_timesteps
from segmint.backbone.settings import ModelSettings
from segmint.backbone.text import ClipReader, Words
from segmint.errors import ModelError

SUPPORTED = (
    "Stable Diffusion 1.x, Stable Diffusion 2.x (512 and 768 px), SDXL, their few-step distillations (LCM, "
    "Turbo), and models of the same layout (a UNet2DConditionModel with cross-attention to text)"
)
PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
SDXL = ("text_encoder_2", "tokenizer_2")
_FEW_STEPS = (
    "its {name} is that of a few-step model (Turbo, Lightning, LCM): 4 steps without guidance unless --steps "
    "and --guidance say otherwise"
)
_USUAL_CELLS = 64
"""Side of the latents where no part of a model tells its own, as of Stable Diffusion 1.x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetLayer:
    """One attention module; `level` counts the halvings of the latent grid above it."""

    name: str
    module: Any
    part: Part
    kind: Kind
    level: int
    known_for: tuple[KnownFor, ...] = ()
    linear: bool = False

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
        """As `AttentionLayer.grid`; odd sides are rounded up at each halving, as the UNet does."""
        height, width = latent
        for _ in range(self.level):
            height, width = (height + 1) // 2, (width + 1) // 2
        return height, width

    def text_keys(self, embeds: Tensor) -> Tensor:
        """As `AttentionLayer.text_keys`."""
        attn = self.module
        near = beside(embeds, attn.to_k)
        found: Tensor = attn.to_k(attn.norm_encoder_hidden_states(near) if attn.norm_cross else near)
        return found.to(embeds.device)

    def listen(self, what: Heard, hear: Callable[[Tensor], None]) -> Any:
        """As `AttentionLayer.listen`: the projections' outputs, and the input of the last."""
        if what == "outputs":
            return self.module.to_out[0].register_forward_pre_hook(lambda _, inputs: hear(inputs[0]))
        projection = self.module.to_q if what == "queries" else self.module.to_k
        return projection.register_forward_hook(lambda _, __, output: hear(output))


def attention_layers(unet: Any) -> tuple[UNetLayer, ...]:
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
        UNetLayer(
            name=name,
            module=module,
            part=_part(unet, name),
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


def _part(unet: Any, name: str) -> Part:
    block, _, rest = name.partition(".")
    if block == "down_blocks":
        return "bottom" if int(rest.split(".", 1)[0]) == len(unet.down_blocks) - 1 else "encoder"
    return "decoder" if block == "up_blocks" else "middle"


def _level(unet: Any, name: str) -> int:
    block, _, rest = name.partition(".")
    depth = len(unet.config.block_out_channels)
    if block == "down_blocks":
        return int(rest.split(".", 1)[0])
    if block == "up_blocks":
        return depth - 1 - int(rest.split(".", 1)[0])
    return depth - 1


@dataclass(frozen=True, slots=True)
class UNetFamily:
    """Stable Diffusion's pipelines, with one text encoder or two."""

    supported: str = SUPPORTED
    attends: Literal["cross", "joint"] = "cross"
    network: str = "unet"
    architecture: str = "UNet2DConditionModel"
    required: tuple[str, ...] = PARTS
    optional: tuple[str, ...] = SDXL
    pack: int = 1

    clean = staticmethod(encode_images)
    noised = staticmethod(noised_by_variance)

    def pipeline(
        self, folder: Path, index: Mapping[str, Any], settings: ModelSettings
    ) -> tuple[Any, dict[str, Any]]:
        """As `Family.pipeline`; `fp16` weights are taken where the UNet's come in no other form."""
        names = [path.name for path in (folder / "unet").glob("*.safetensors")]
        only = "fp16" if names and all(".fp16" in name for name in names) else None
        variant = {"variant": settings.variant or only}
        if present(index, "text_encoder_2"):
            return StableDiffusionXLPipeline, {**variant, "add_watermarker": False}
        if not settings.safety_checker:
            return StableDiffusionPipeline, {
                **variant,
                "safety_checker": None,
                "requires_safety_checker": False,
            }
        if not (folder / "safety_checker").is_dir():
            raise ModelError(f"model {settings.id} has no safety checker; leave safety_checker off")
        return StableDiffusionPipeline, variant

    def check(self, pipe: Any) -> None:
        """As `Family.check`."""
        check_unet_parts(pipe)

    def layers(self, pipe: Any) -> tuple[UNetLayer, ...]:
        """As `Family.layers`."""
        return attention_layers(pipe.unet)

    def describe(self, pipe: Any) -> Facts:
        """As `Family.describe`; a model with guidance built in, or distilled away, needs few steps."""
        xl = isinstance(pipe, StableDiffusionXLPipeline)
        config, scheduler = pipe.unet.config, pipe.scheduler
        guided_inside = config.time_cond_proj_dim is not None
        timesteps = trained_timesteps(scheduler, guided_inside=guided_inside)
        unguided = bool(timesteps) and not guided_inside
        branch = {768: "sd1", 1024: "sd2"}.get(config.cross_attention_dim, "sd")
        return Facts(
            branch="sdxl" if xl else branch,
            steps=4 if unguided or guided_inside else 50,
            guidance=8.5 if guided_inside else 0.0 if unguided else 5.0 if xl else 7.5,
            size_px=(_side_px(pipe, 0), _side_px(pipe, 1)),
            size_multiple_px=math.lcm(8, pipe.vae_scale_factor),
            prediction=scheduler.config.get("prediction_type", "epsilon"),
            timesteps=timesteps,
            notes=(_FEW_STEPS.format(name=type(scheduler).__name__),) if unguided else (),
        )

    def reader(self, pipe: Any) -> ClipReader:
        """As `Family.reader`."""
        limit = min(pipe.tokenizer.model_max_length, pipe.text_encoder.config.max_position_embeddings)
        return ClipReader(tokenizer=Words(pipe), limit=limit)

    def encode(self, pipe: Any, text: str | None, *, negative: bool) -> Embedding:
        """As `Family.encode`; SD pipelines answer (positive, negative), SDXL's the same and both pooled."""
        answer = pipe.encode_prompt(
            prompt="" if negative else text,
            negative_prompt=text if negative else None,
            device=pipe._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=negative,
        )
        place = 1 if negative else 0
        return Embedding(tokens=answer[place], pooled=answer[2 + place] if len(answer) > 2 else None)

    def halves(self, pipe: Any, guidance: float) -> Halves:
        """As `Family.halves`."""
        if guidance <= 1 or pipe.unet.config.time_cond_proj_dim is not None:
            return Halves()
        return Halves(names=("unconditional", "conditional"))

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
        found = {"prompt_embeds": torch.cat([each.tokens for each in positive])}
        if positive[0].pooled is not None:
            found["pooled_prompt_embeds"] = torch.cat(
                [each.pooled for each in positive if each.pooled is not None]
            )
        if negative is not None:
            found["negative_prompt_embeds"] = torch.cat([each.tokens for each in negative])
            if negative[0].pooled is not None:
                found["negative_pooled_prompt_embeds"] = torch.cat(
                    [each.pooled for each in negative if each.pooled is not None]
                )
        return {
            **found,
            "guidance_scale": guidance,
            "latents": noise.to(pipe._execution_device, pipe.unet.dtype),
            "callback_on_step_end": step_end(on_step),
        }

    def predict(
        self, pipe: Any, noisy: Tensor, level: int, embeddings: Sequence[Embedding], guidance: float = 1.0
    ) -> Tensor:
        """As `Family.predict`."""
        unet, pooled = pipe.unet, [each.pooled for each in embeddings if each.pooled is not None]
        tokens, condition, added = torch.cat([each.tokens for each in embeddings]), None, None
        if unet.config.time_cond_proj_dim is not None:
            scale = torch.tensor(guidance - 1).repeat(len(noisy))
            width = unet.config.time_cond_proj_dim
            condition = pipe.get_guidance_scale_embedding(scale, embedding_dim=width)
            condition = condition.to(device=noisy.device, dtype=unet.dtype)
        if pooled:
            size = tuple(side * pipe.vae_scale_factor for side in noisy.shape[-2:])
            sizes = torch.tensor([[*size, 0, 0, *size]], dtype=tokens.dtype, device=noisy.device)
            added = {"text_embeds": torch.cat(pooled), "time_ids": sizes.repeat(len(noisy), 1)}
        found: Tensor = unet(
            noisy.to(unet.dtype),
            torch.tensor(level, device=noisy.device),
            encoder_hidden_states=tokens,
            timestep_cond=condition,
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        return found


def _side_px(pipe: Any, place: int) -> int:
    """The model's own image height or width: the UNet's, else the VAE's."""
    cells = model_side(pipe.unet.config.sample_size, place)
    if cells is not None:
        return cells * int(pipe.vae_scale_factor)
    own = model_side(pipe.vae.config.get("sample_size"), place)
    return own or _USUAL_CELLS * int(pipe.vae_scale_factor)
