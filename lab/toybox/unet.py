"""The toybox UNet and text encoder, plain modules of diffusers and transformers, and their loss."""

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lab.toybox.plan import UnetPlan

_SHORT = 512
"""Up to so many keys, plain matrix products beat the fused attention kernel on CPUs in bf16."""


def build(plan: UnetPlan, *, latent_channels: int, side: int) -> UNet2DConditionModel:
    """A fresh UNet with self- and cross-attention at every resolution."""
    depth = len(plan.channels)
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("CrossAttnDownBlock2D",) * depth,
        up_block_types=("CrossAttnUpBlock2D",) * depth,
        block_out_channels=plan.channels,
        layers_per_block=plan.layers,
        attention_head_dim=plan.heads,  # diffusers reads this as the number of heads
        cross_attention_dim=plan.text_width,
        norm_num_groups=plan.norm_groups,
        use_linear_projection=True,
    )


def build_text_encoder(plan: UnetPlan, words: CLIPTokenizer) -> CLIPTextModel:
    """A fresh text encoder for a tokenizer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=plan.text_width,
            intermediate_size=4 * plan.text_width,
            projection_dim=plan.text_width,
            num_hidden_layers=plan.text_layers,
            num_attention_heads=4,
            max_position_embeddings=words.model_max_length,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def scheduler() -> DDIMScheduler:
    """Scaled-linear betas with zero terminal SNR, velocity prediction, trailing steps."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # without effect on trailing steps; diffusers warns at 0
    )


def velocity_loss(
    unet: UNet2DConditionModel,
    text: Float[Tensor, "batch token width"],
    latents: Float[Tensor, "batch channel row col"],
    noise: Float[Tensor, "batch channel row col"],
    times: Int[Tensor, " batch"],
    *,
    alphas: Float[Tensor, " time"],
    plan: UnetPlan,
) -> Tensor:
    """Weighted squared error of the predicted velocity. Source: Salimans & Ho 2022; Hang et al. 2023."""
    alpha = alphas[times][:, None, None, None]
    noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
    velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
    with torch.autocast(latents.device.type, torch.bfloat16, enabled=plan.bf16):
        predicted = unet(noisy.contiguous(memory_format=torch.channels_last), times, text).sample
    ratio = alpha / (1 - alpha)
    weight = (ratio.clamp(max=plan.snr_cap) + 1) / (ratio + 1)
    loss: Tensor = (((predicted.float() - velocity) ** 2).mean(dim=(1, 2, 3)) * weight[:, 0, 0, 0]).mean()
    return loss


def outermost(unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> list[nn.Parameter]:
    """Embeddings and the layers that touch latents: these train with Adam."""
    return [*text_encoder.parameters(), *unet.conv_in.parameters(), *unet.conv_out.parameters()]


class ShortAttention:
    """Attention processor that multiplies matrices where the keys are few; results are the default one's."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attend from `hidden_states` to the text, or to themselves."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            layer(x).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for layer, x in ((attn.to_q, hidden_states), (attn.to_k, source), (attn.to_v, source))
        )
        if key.shape[2] > _SHORT:
            mixed = functional.scaled_dot_product_attention(query, key, value)
        else:
            mixed = ((query * query.shape[-1] ** -0.5) @ key.mT).softmax(-1).to(value.dtype) @ value
        out: Tensor = attn.to_out[0](mixed.transpose(1, 2).flatten(2))
        return out
