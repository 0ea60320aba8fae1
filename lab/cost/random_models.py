"""Pipelines of true size with random weights, for cost alone: their images are noise."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from lab.toybox import tokenizer as toybox_tokenizer
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.loading import describe
from segmint.backbone.settings import ModelSettings

TOKENS = 77
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def build_sd21(dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
    """Stable Diffusion 2.1-base: 512 px, 9 up-block self-attention layers with 105 heads."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64,
        cross_attention_dim=1024,
        attention_head_dim=(5, 10, 20, 20),
        use_linear_projection=True,
    )
    return StableDiffusionPipeline(
        vae=_cast(_vae(), dtype),
        text_encoder=_cast(CLIPTextModel(_text(1024, heads=16, layers=23)), dtype),
        tokenizer=_words(),
        unet=_cast(unet, dtype),
        scheduler=PNDMScheduler(**NOISE, skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def build_sdxl(dtype: torch.dtype = torch.float32) -> StableDiffusionXLPipeline:
    """SDXL base: 1024 px, two text encoders, attention at a half and a quarter of the latents."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    return StableDiffusionXLPipeline(
        vae=_cast(_vae(), dtype),
        text_encoder=_cast(CLIPTextModel(_text(768, heads=12, layers=12)), dtype),
        text_encoder_2=_cast(CLIPTextModelWithProjection(_text(1280, heads=20, layers=32)), dtype),
        tokenizer=_words(),
        tokenizer_2=_words(),
        unet=_cast(unet, dtype),
        scheduler=_euler(),
        add_watermarker=False,
    )


def build_sd35_medium(dtype: torch.dtype = torch.float32, *, blocks: int = 24) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3.5 medium without T5, which may be left out: 1024 px, thirteen second attentions.

    Weights are drawn in their own type, so that building never takes more than the model does.
    """
    torch.manual_seed(0)
    with _drawn_as(dtype):
        transformer = SD3Transformer2DModel(
            sample_size=128,
            num_layers=blocks,
            attention_head_dim=64,
            num_attention_heads=24,
            caption_projection_dim=1536,
            pos_embed_max_size=384,
            dual_attention_layers=tuple(range(min(13, blocks))),
            qk_norm="rms_norm",
        )
        vae = _vae(latent_channels=16, shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False)
        text_encoder = CLIPTextModelWithProjection(_text(768, heads=12, layers=12))
        text_encoder_2 = CLIPTextModelWithProjection(_text(1280, heads=20, layers=32))
    return StableDiffusion3Pipeline(
        vae=_cast(vae, dtype),
        text_encoder=_cast(text_encoder, dtype),
        text_encoder_2=_cast(text_encoder_2, dtype),
        text_encoder_3=None,
        tokenizer=_words(),
        tokenizer_2=_words(),
        tokenizer_3=None,
        transformer=_cast(transformer, dtype),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FullSize:
    """A model family at its published size."""

    name: str
    image_px: int
    build: Callable[[torch.dtype], Any]


FULL_SIZE: Mapping[str, FullSize] = {
    "sd21-random": FullSize(name="SD 2.1-base", image_px=512, build=build_sd21),
    "sdxl-random": FullSize(name="SDXL base", image_px=1024, build=build_sdxl),
    "sd35-medium-random": FullSize(name="SD 3.5 medium", image_px=1024, build=build_sd35_medium),
}
"""By the names that stand where a model's id is asked for."""


def random_backbone(name: str, device: str = "cpu", dtype: str = "float32") -> DiffusersBackbone:
    """A full-size model with random weights, ready to draw noise.

    Args:
        name: of FULL_SIZE.
        device: such as `cpu` or `cuda:0`.
        dtype: `float32`, `float16` or `bfloat16`.
    """
    pipe = FULL_SIZE[name].build(getattr(torch, dtype)).to(device)
    pipe.set_progress_bar_config(disable=True)
    info = describe(pipe, ModelSettings(id=name), Path(), torch.device(device))
    return DiffusersBackbone(pipe=pipe, info=info)


@contextmanager
def _drawn_as(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _cast(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """By torch's own method: diffusers' warns of layers to be kept in float32, of which these have none."""
    return torch.nn.Module.to(module, dtype)


def _euler() -> EulerDiscreteScheduler:
    with torch.device("cpu"):  # also where the model is built on the meta device, for its shapes alone
        return EulerDiscreteScheduler(**NOISE)


def _vae(**changes: Any) -> AutoencoderKL:
    config: dict[str, Any] = {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 512,
    }
    return AutoencoderKL(**{**config, **changes})


def _text(width: int, *, heads: int, layers: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=TOKENS,
        eos_token_id=2,  # 2: find a text's end by its largest id, which suits any tokenizer
    )


def _words() -> CLIPTokenizer:
    words = toybox_tokenizer.build()
    words.model_max_length = TOKENS
    return words
