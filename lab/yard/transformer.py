"""The yard's transformer and text encoders, plain modules of diffusers and transformers, and their loss."""

import math
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
from diffusers.models.attention_processor import Attention
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
)

from lab.yard import tokenizer
from lab.yard.plan import TransformerPlan

ZERO_ROWS = 256
"""Rows of zeros that the pipeline adds to the text in the place of a third encoder's. They carry no
position, so they stay alike in every block: training keeps one, which counts as often."""
TIMES = 1000
"""The transformer is told the noise level times this."""
Encoders = tuple[CLIPTextModelWithProjection, CLIPTextModelWithProjection]


def build(plan: TransformerPlan, *, latent_channels: int, side: int) -> SD3Transformer2DModel:
    """A fresh transformer: small random matrices, and every block at first passes its input on."""
    width = plan.heads * plan.head_width
    net = SD3Transformer2DModel(
        sample_size=side,
        patch_size=plan.patch,
        in_channels=latent_channels,
        out_channels=latent_channels,
        num_layers=plan.layers,
        attention_head_dim=plan.head_width,
        num_attention_heads=plan.heads,
        joint_attention_dim=sum(plan.text_widths),
        caption_projection_dim=width,
        pooled_projection_dim=2 * plan.pooled_width,
        pos_embed_max_size=side // plan.patch,
        qk_norm="rms_norm",
    )
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    # Source: Peebles & Xie 2023, 3.2 (adaLN-Zero).
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear) and ("norm" in name or name == "proj_out"):
            nn.init.zeros_(module.weight)
    return net


def build_encoders(plan: TransformerPlan, words: CLIPTokenizer) -> Encoders:
    """Fresh text encoders, whose pooled vectors are zero for good; what no one reads is not trained."""
    first, second = (
        _encoder(width, layers, plan, words)
        for width, layers in zip(plan.text_widths, plan.text_layers, strict=True)
    )
    return first, second


def silent_encoder(plan: TransformerPlan) -> T5EncoderModel:
    """A third text encoder that answers zeros to everything.

    Without any, the pipeline would use zeros too, but then it can be loaded only by those who say so.
    """
    model = T5EncoderModel(
        T5Config(
            vocab_size=4,
            d_model=sum(plan.text_widths),
            d_kv=8,
            num_heads=1,
            d_ff=8,
            num_layers=1,
            pad_token_id=0,
        )
    )
    for p in model.parameters():
        nn.init.zeros_(p)
    return model


def scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Euler steps along straight paths."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=TIMES, shift=1.0)


def outermost(net: SD3Transformer2DModel, encoders: Encoders) -> list[nn.Parameter]:
    """Embeddings and the layers that touch latents: these train with Adam."""
    tables = [p for encoder in encoders for p in encoder.text_model.embeddings.parameters()]
    return [*tables, *net.pos_embed.parameters(), *net.proj_out.parameters()]


def encode_text(encoders: Encoders, tokens: Int[Tensor, "batch token"]) -> Float[Tensor, "batch token width"]:
    """Rows of both encoders side by side, as the pipeline reads them: from the last layer but one."""
    return torch.cat([e(tokens, output_hidden_states=True).hidden_states[-2] for e in encoders], dim=-1)


def spliced(
    words: Float[Tensor, "batch token width"],
    padding: Float[Tensor, "batch token width"],
    word_rows: Int[Tensor, " batch"],
    padding_starts: Int[Tensor, " batch"],
) -> Float[Tensor, "batch token width"]:
    """The word rows of one caption, then the end and padding rows of another.

    Args:
        words: Rows of the captions whose words are kept.
        padding: Rows of the captions whose ends are taken.
        word_rows: How many rows come from `words`: the start and the words.
        padding_starts: The first end row of `padding`, which also fills the rows where that has words.
    """
    place = torch.arange(words.shape[1], device=words.device)
    rows = torch.maximum(place[None], padding_starts[:, None])[..., None].expand_as(padding)
    return torch.where((place[None] < word_rows[:, None])[..., None], words, padding.gather(1, rows))


def word_rows(tokens: Int[Tensor, "batch token"], end: int) -> Int[Tensor, " batch"]:
    """How many rows come before the first end token."""
    result: Tensor = (tokens == end).int().argmax(1)
    return result


def predict(
    net: SD3Transformer2DModel,
    noisy: Float[Tensor, "batch channel row col"],
    times: Float[Tensor, " batch"],
    text: Float[Tensor, "batch token width"],
    places: Int[Tensor, "batch 2"],
) -> Float[Tensor, "batch channel row col"]:
    """Velocity of latents that are windows of full views.

    Args:
        net: Its attention must be `ShortJointAttention`, which counts the zero row.
        noisy: Noisy latents.
        times: Noise levels in [0, 1].
        text: Rows of the text encoders.
        places: Row and column, in patches, of each window in the full view.
    """
    patch, rows = net.config.patch_size, noisy.shape[2] // net.config.patch_size
    table = net.pos_embed.pos_embed[0].unflatten(0, (net.pos_embed.pos_embed_max_size, -1))
    span = torch.arange(rows, device=noisy.device)
    index = places[:, :, None] + span
    position = table[index[:, 0, :, None], index[:, 1, None, :]].flatten(1, 2)
    hidden = net.pos_embed.proj(noisy).flatten(2).transpose(1, 2) + position.to(noisy.dtype)
    pooled = torch.zeros(len(noisy), net.config.pooled_projection_dim, dtype=noisy.dtype, device=noisy.device)
    signal = net.time_text_embed(times * TIMES, pooled)
    zero_row = torch.zeros_like(text[:, :1])
    context = net.context_embedder(torch.cat([text, zero_row], dim=1).to(noisy.dtype))
    for block in net.transformer_blocks:
        context, hidden = block(hidden_states=hidden, encoder_hidden_states=context, temb=signal)
    flat = net.proj_out(net.norm_out(hidden, signal))
    grid = flat.unflatten(1, (rows, rows)).unflatten(-1, (patch, patch, -1))
    out: Tensor = grid.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
    return out


def velocity_errors(
    net: SD3Transformer2DModel,
    text: Float[Tensor, "batch token width"],
    latents: Float[Tensor, "batch channel row col"],
    noise: Float[Tensor, "batch channel row col"],
    *,
    times: Float[Tensor, " batch"],
    places: Int[Tensor, "batch 2"],
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, " batch"]:
    """Mean squared errors of the velocity of a rectified flow. Source: Liu et al. 2023; Esser et al. 2024."""
    share = times[:, None, None, None]
    noisy = (1 - share) * latents + share * noise
    predicted = predict(net, noisy.to(dtype), times, text, places)
    errors: Tensor = ((predicted.float() - (noise - latents)) ** 2).mean(dim=(1, 2, 3))
    return errors


class ShortJointAttention:
    """Joint attention by plain matrix products; the last text row counts `ZERO_ROWS` times."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, Tensor]:
        """Attend from latents and text to both."""
        own = [_heads(layer(hidden_states), attn) for layer in (attn.to_q, attn.to_k, attn.to_v)]
        added = (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
        text = [_heads(layer(encoder_hidden_states), attn) for layer in added]
        query = torch.cat([attn.norm_q(own[0]), attn.norm_added_q(text[0])], dim=2)
        key = torch.cat([attn.norm_k(own[1]), attn.norm_added_k(text[1])], dim=2)
        value = torch.cat([own[2], text[2]], dim=2)
        scores = (query * query.shape[-1] ** -0.5) @ key.mT
        weight = torch.zeros(scores.shape[-1], dtype=scores.dtype, device=scores.device)
        weight[-1] = math.log(ZERO_ROWS)
        mixed = ((scores + weight).softmax(-1) @ value).transpose(1, 2).flatten(2)
        split = hidden_states.shape[1]
        seen, told = mixed[:, :split], mixed[:, split:]
        if not attn.context_pre_only:
            told = attn.to_add_out(told)
        return attn.to_out[0](seen), told


def _heads(x: Tensor, attn: Attention) -> Tensor:
    out: Tensor = x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
    return out


def _encoder(
    width: int, layers: int, plan: TransformerPlan, words: CLIPTokenizer
) -> CLIPTextModelWithProjection:
    model = CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=width,
            intermediate_size=4 * width,
            projection_dim=plan.pooled_width,
            num_hidden_layers=layers,
            num_attention_heads=width // 32,
            max_position_embeddings=tokenizer.MAX_TOKENS,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )
    nn.init.zeros_(model.text_projection.weight)
    nn.init.normal_(model.text_model.embeddings.token_embedding.weight, std=plan.embedding_std)
    unread = (model.text_projection, model.text_model.final_layer_norm, model.text_model.encoder.layers[-1])
    for module in unread:
        module.requires_grad_(False)
    return model
