"""Small random-weight pipelines of families that the reference has none of, by diffusers' own classes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLFlux2,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
)
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    Gemma2Config,
    Gemma2Model,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    MistralConfig,
    PixtralImageProcessor,
    PixtralProcessor,
    PixtralVisionConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

KLEIN_LAYERS = 28
"""The pipeline reads the hidden states 9, 18 and 27."""
DEV_LAYERS = 30
"""The pipeline reads the hidden states 10, 20 and 30."""


def randomised(module: torch.nn.Module) -> Any:
    """All weights drawn anew, so that no gate is zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.ndim > 1:
                weight.normal_(
                    std=0.3 / weight.shape[1] ** 0.5 if "embed" in name else weight.shape[1] ** -0.5
                )
            else:
                weight.normal_(1.0 if "norm" in name else 0.0, 0.1)
    return module.eval()


def words(reference: Path, *, start: bool) -> PreTrainedTokenizerFast:
    """The reference's byte-level tokenizer; with a start token, as Gemma's has."""
    own = Tokenizer.from_file(str(reference / "dit" / "tiny_zimage" / "tokenizer" / "tokenizer.json"))
    begun = "<|im_start|>" if start else None
    if start:
        place = own.token_to_id(begun)
        own.post_processor = TemplateProcessing(single=f"{begun} $A", special_tokens=[(begun, place)])
    return PreTrainedTokenizerFast(
        tokenizer_object=own, bos_token=begun, pad_token="<|endoftext|>", eos_token="<|im_end|>"
    )


def build_vae(kind: Callable[..., Any], **changes: Any) -> Any:
    config = {
        "block_out_channels": (8, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": 4,
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "sample_size": 128,
        "mid_block_add_attention": False,
    }
    return randomised(kind(**{**config, **changes}))


def gemma(tokenizer: PreTrainedTokenizerFast) -> Gemma2Model:
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        pad_token_id=tokenizer.pad_token_id,
    )
    return randomised(Gemma2Model(config))


def flux2(**changes: Any) -> Flux2Transformer2DModel:
    config = {
        "in_channels": 16,
        "num_layers": 2,
        "num_single_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 3,
        "joint_attention_dim": 48,
        "timestep_guidance_channels": 32,
        "axes_dims_rope": (4, 4, 4, 4),
    }
    return randomised(Flux2Transformer2DModel(**{**config, **changes}))


def build_dev(reference: Path) -> Flux2Pipeline:
    """With a Mistral of the depth that the pipeline reads, whose processor takes pictures too."""
    tokenizer = words(reference, start=True)
    tokenizer.padding_side = "left"
    tokenizer.add_special_tokens({"additional_special_tokens": ["[IMG]", "[IMG_BREAK]", "[IMG_END]"]})
    processor = PixtralProcessor(image_processor=PixtralImageProcessor(), tokenizer=tokenizer, patch_size=16)
    processor.chat_template = tokenizer.chat_template = (
        "{{ bos_token }}{% for message in messages %}[{{ message.role }}]"
        "{% for part in message.content %}{{ part.text }}{% endfor %}{% endfor %}"
    )
    text = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=DEV_LAYERS,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
    )
    sight = PixtralVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1, image_size=32
    )
    encoder = Mistral3ForConditionalGeneration(Mistral3Config(text_config=text, vision_config=sight))
    return Flux2Pipeline(
        transformer=flux2(guidance_embeds=True),
        vae=build_vae(AutoencoderKLFlux2),
        text_encoder=randomised(encoder),
        tokenizer=processor,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def build_klein(reference: Path) -> Flux2KleinPipeline:
    from transformers import Qwen2Tokenizer

    tokenizer = Qwen2Tokenizer.from_pretrained(reference / "dit" / "tiny_zimage" / "tokenizer")
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=KLEIN_LAYERS,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
    )
    return Flux2KleinPipeline(
        transformer=flux2(guidance_embeds=False),
        vae=build_vae(AutoencoderKLFlux2),
        text_encoder=randomised(Qwen3ForCausalLM(config)),
        tokenizer=tokenizer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        is_distilled=False,
    )


def build_sana(reference: Path) -> SanaPipeline:
    tokenizer = words(reference, start=True)
    wide = (8,) * 6
    vae = AutoencoderDC(
        latent_channels=4,
        attention_head_dim=4,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=wide,
        decoder_block_out_channels=wide,
        encoder_layers_per_block=(1,) * 6,
        decoder_layers_per_block=(1,) * 6,
        encoder_qkv_multiscales=((),) * 6,
        decoder_qkv_multiscales=((),) * 6,
        scaling_factor=0.41,
    )
    return SanaPipeline(
        transformer=randomised(
            SanaTransformer2DModel(
                in_channels=4,
                out_channels=4,
                num_layers=2,
                num_attention_heads=3,
                attention_head_dim=16,
                num_cross_attention_heads=3,
                cross_attention_head_dim=16,
                cross_attention_dim=48,
                caption_channels=32,
                sample_size=8,
                qk_norm="rms_norm_across_heads",
            )
        ),
        vae=randomised(vae),
        text_encoder=gemma(tokenizer),
        tokenizer=tokenizer,
        scheduler=DPMSolverMultistepScheduler(
            use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
        ),
    )


def build_lumina2(reference: Path) -> Lumina2Pipeline:
    tokenizer = words(reference, start=True)
    return Lumina2Pipeline(
        transformer=randomised(
            Lumina2Transformer2DModel(
                sample_size=16,
                in_channels=4,
                hidden_size=48,
                num_layers=2,
                num_refiner_layers=1,
                num_attention_heads=6,
                num_kv_heads=3,
                multiple_of=2,
                axes_dim_rope=(4, 2, 2),
                axes_lens=(300, 64, 64),
                cap_feat_dim=32,
            )
        ),
        vae=build_vae(AutoencoderKL, shift_factor=0.05, scaling_factor=0.9),
        text_encoder=gemma(tokenizer),
        tokenizer=tokenizer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


BUILDERS: dict[str, Callable[[Path], Any]] = {
    "flux2-klein": build_klein,
    "flux2-dev": build_dev,
    "sana": build_sana,
    "lumina2": build_lumina2,
}
