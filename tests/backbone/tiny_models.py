"""Small random-weight pipelines of the true layouts, built through diffusers' own classes, for a second's
work.
"""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from segmint.attention import CaptureRequest, MapRequest, Reading, joined
from segmint.masks.methods import METHODS, prompt_maps
from segmint.masks.settings import MaskSettings

EVERYTHING = joined(
    CaptureRequest(maps=(MapRequest(), prompt_maps(Reading()))),
    METHODS["dataset-diffusion"].captures(MaskSettings(), Reading()),
)
"""Attention of every kind: features, both kinds of maps, affinity."""

WORDS = ("photo", "plant", "pot", "a", "and", "boat", "car", "dog", "house", "of", "sofa", "tree", "red")
TOKENS = 16
VAE_FACTOR = 4
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer that knows WORDS as one token each and spells out the rest."""
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = letters + [letter + "</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
            vocabulary.append(parts[0])
    vocabulary = [*dict.fromkeys(vocabulary), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(vocabulary)}))
    pairs = "\n".join(" ".join(pair) for pair in dict.fromkeys(merges))
    (folder / "merges.txt").write_text(f"#version: 0.2\n{pairs}\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS, "unk_token": "<|endoftext|>"}
    config |= {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "!"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    split = [word for word in WORDS if len(tokenizer.tokenize(word)) != 1]
    assert not split, f"merges of other words come first: {split}"
    return tokenizer


def build_text_config(tokenizer: CLIPTokenizer, width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def build_vae(**changes: object) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=16 * VAE_FACTOR,
        **changes,
    )


def build_unet(**changes: object) -> UNet2DConditionModel:
    """SD's layout with three levels: attention at the upper two, 16×16 latents."""
    config: dict[str, object] = {
        "sample_size": 16,
        "block_out_channels": (16, 16, 16),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": (2, 2, 2),
        "cross_attention_dim": 16,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**{**config, **changes})


def build_sd(folder: Path, *, family: str) -> Path:
    """A pipeline folder: `sd1` (convolutional projections), `sd2v` (linear, velocity), `lcm` or `sdxl`."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(folder / "words")
    if family == "sdxl":
        pipe = _build_sdxl(tokenizer)
    else:
        noise = {
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "steps_offset": 1,
        }
        schedulers = {
            "sd1": PNDMScheduler(**noise, skip_prk_steps=True),
            "sd2v": DDIMScheduler(**noise, prediction_type="v_prediction", clip_sample=False),
            "lcm": LCMScheduler(**noise),
        }
        changes = {"sd1": {}, "sd2v": {"use_linear_projection": True}, "lcm": {"time_cond_proj_dim": 8}}
        pipe = StableDiffusionPipeline(
            vae=build_vae(),
            text_encoder=CLIPTextModel(build_text_config(tokenizer, 16)),
            tokenizer=tokenizer,
            unet=build_unet(**changes[family]),
            scheduler=schedulers[family],
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipe.save_pretrained(folder / family)
    return folder / family


def _build_sdxl(tokenizer: CLIPTokenizer) -> StableDiffusionXLPipeline:
    unet = build_unet(
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        use_linear_projection=True,
        cross_attention_dim=16 + 8,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=8 + 6 * 4,
    )
    return StableDiffusionXLPipeline(
        vae=build_vae(),
        text_encoder=CLIPTextModel(build_text_config(tokenizer, 16)),
        text_encoder_2=CLIPTextModelWithProjection(build_text_config(tokenizer, 8)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**NOISE),
        add_watermarker=False,
    )
