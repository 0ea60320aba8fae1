"""Whether a model's parts fit one another: channels, widths, words, noise."""

import math
from collections.abc import Iterator
from typing import Any

from diffusers import AutoencoderKL, AutoencoderTiny

from segmint.errors import ModelError
from segmint.textfile import shown

_TEXT_WIDTHS = ("caption_channels", "cap_feat_dim", "joint_attention_dim")
"""What transformers call the width of the text that they read."""
_USUAL_SCHEDULER = "DDIMScheduler"
"""What schedulers of Stable Diffusion can take the place of; those of consistency models do not say so."""
_CONSISTENCY = ("LCMScheduler", "TCDScheduler")
_PREDICTIONS = ("epsilon", "v_prediction", "sample")


def check_unet_parts(pipe: Any) -> None:
    """Refuse parts that are each sound but were not made for one another, or not for text alone.

    Raises:
        ModelError: names the part and what does not fit.
    """
    for problem in _problems(pipe):
        raise ModelError(problem)


def _problems(pipe: Any) -> Iterator[str]:
    unet, vae = pipe.unet.config, pipe.vae
    if not isinstance(vae, AutoencoderKL | AutoencoderTiny):
        yield f"part 'vae' is a {type(vae).__name__}; expected an AutoencoderKL or AutoencoderTiny"
    scale = vae.config.get("scaling_factor", 1.0)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        yield f"part 'vae' has the scaling_factor {shown(scale)}; expected a number above 0"
    latent = vae.config.latent_channels
    if unet.in_channels != latent:
        yield (
            f"part 'unet' takes {unet.in_channels} channels, part 'vae' makes {latent}: a network that is "
            "given an image beside the noise (inpainting, editing, upscaling, depth) is no text-to-image "
            "model"
        )
    if unet.out_channels != latent:
        yield f"part 'unet' gives {unet.out_channels} channels, part 'vae' takes {latent}"
    if unet.class_embed_type is not None or unet.num_class_embeds is not None:
        yield (
            "part 'unet' is given a class or an image beside the text (UnCLIP, upscaling): no text-to-image "
            "model"
        )
    yield from _text_problems(pipe)
    yield from scheduler_problems(pipe.scheduler)


def _text_problems(pipe: Any) -> Iterator[str]:
    unet = pipe.unet.config
    second = getattr(pipe, "text_encoder_2", None)
    width = pipe.text_encoder.config.hidden_size + (second.config.hidden_size if second is not None else 0)
    asked = unet.cross_attention_dim
    if asked != width:
        yield f"part 'unet' reads text {asked} numbers wide, the text encoders write {width}"
    expected = None if second is None else "text_time"
    if unet.addition_embed_type != expected:
        yield (
            f"part 'unet' is given {unet.addition_embed_type or 'nothing'} beside the text, where this "
            f"pipeline gives {expected or 'nothing'}"
        )
    if second is not None:
        if pipe.config.get("requires_aesthetics_score"):
            yield "the model is a refiner, which is given an image and its score: no text-to-image model"
        given = second.config.projection_dim + 6 * unet.addition_time_embed_dim
        if unet.projection_class_embeddings_input_dim != given:
            yield (
                f"part 'unet' is given {unet.projection_class_embeddings_input_dim} numbers beside the text, "
                f"part 'text_encoder_2' and six sizes make {given}"
            )
        first, other = (set(each.get_added_vocab()) for each in (pipe.tokenizer, pipe.tokenizer_2))
        pads = {str(each.pad_token) for each in (pipe.tokenizer, pipe.tokenizer_2)}
        vectors = (first ^ other) - pads
        if vectors:
            yield f"part 'tokenizer' and part 'tokenizer_2' differ in the added word {min(vectors)!r}"
    yield from _word_problems(pipe)


def _word_problems(pipe: Any) -> Iterator[str]:
    for number in ("", "_2", "_3"):
        words, encoder = f"tokenizer{number}", f"text_encoder{number}"
        tokenizer, part = getattr(pipe, words, None), getattr(pipe, encoder, None)
        if tokenizer is None or part is None:
            continue
        known = len(getattr(tokenizer, "tokenizer", tokenizer))  # a processor has one
        embedded = part.config.get_text_config().vocab_size
        if known > embedded:
            yield f"part {words!r} knows {known} tokens, part {encoder!r} has embeddings for {embedded}"


def transformer_problems(
    pipe: Any,
    *,
    packed: int = 1,
    text: str = "text_encoder",
    layers: int = 1,
    shifted: bool = False,
    pooled: tuple[str, ...] = (),
) -> Iterator[str]:
    """What of a transformer does not fit the VAE and the text encoder beside it.

    Args:
        pipe: the pipeline.
        packed: latent positions that one of the transformer's own holds.
        text: the part that writes what the transformer reads, if it is there.
        layers: hidden states of it that lie side by side.
        shifted: whether latents are moved by the VAE's own shift.
        pooled: the parts whose one vector of the text it is given, side by side.
    """
    config = pipe.transformer.config
    latent = getattr(pipe.vae.config, "latent_channels", None) or pipe.vae.config.z_dim
    if config.in_channels != latent * packed:
        yield f"part 'transformer' takes {config.in_channels} channels, part 'vae' makes {latent * packed}"
    if shifted and getattr(pipe.vae.config, "shift_factor", None) is None:
        yield "part 'vae' tells no shift_factor, which this model's latents are moved by"
    vectors = sum(_vector(getattr(pipe, part)) for part in pooled)
    if pooled and vectors != config.pooled_projection_dim:
        yield (
            f"part 'transformer' is given {config.pooled_projection_dim} numbers of the whole text, "
            f"{' and '.join(map(repr, pooled))} make {vectors}"
        )
    yield from _word_problems(pipe)
    encoder = getattr(pipe, text, None)
    if encoder is None:
        return
    wide = next((config[name] for name in _TEXT_WIDTHS if config.get(name)), None)
    own = encoder.config.get_text_config()
    width = layers * getattr(own, "d_model", own.hidden_size)
    if wide != width:
        yield f"part 'transformer' reads text {wide} numbers wide, part {text!r} writes {width}"


def _vector(encoder: Any) -> int:
    """How many numbers a CLIP makes of the whole text."""
    config = encoder.config
    return int(config.projection_dim if "WithProjection" in type(encoder).__name__ else config.hidden_size)


def flow_problems(scheduler: Any) -> Iterator[str]:
    """Why a scheduler is none of flow matching."""
    name = type(scheduler).__name__
    if "FlowMatch" not in name and not scheduler.config.get("use_flow_sigmas"):
        yield f"part 'scheduler' is a {name}; expected one of flow matching (FlowMatchEulerDiscreteScheduler)"


def scheduler_problems(scheduler: Any) -> Iterator[str]:
    """Why a scheduler's noise is not the one that a UNet of Stable Diffusion was trained on."""
    name, config = f"part 'scheduler' is a {type(scheduler).__name__}", scheduler.config
    if not hasattr(scheduler, "alphas_cumprod"):
        yield (
            f"{name}, made for flow matching or EDM; expected one with a schedule of betas, such as "
            "DDIMScheduler"
        )
    elif not any(
        each.__name__ in _CONSISTENCY or _USUAL_SCHEDULER in vars(each).get("_compatibles", ())
        for each in type(scheduler).__mro__
    ):
        yield f"{name}, made for models of another kind; expected one such as {_USUAL_SCHEDULER}"
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in _PREDICTIONS:
        yield f"{name} that predicts {prediction}; expected one of {', '.join(_PREDICTIONS)}"
    if config.get("use_flow_sigmas"):
        yield f"{name} with flow sigmas, which fit no network trained on a schedule of betas"
    if config.get("timestep_type", "discrete") != "discrete":
        yield f"{name} with continuous timesteps (EDM), which are not understood"


def model_side(value: Any, place: int) -> int | None:
    """One side of a `sample_size`: a number for both, or (height, width); None where it tells neither.

    Raises:
        ModelError: it is neither.
    """
    if value is None:
        return None
    pair = [value, value] if type(value) is int else list(value) if isinstance(value, list | tuple) else []
    if len(pair) != 2 or not all(type(side) is int and side > 0 for side in pair):
        raise ModelError(f"part 'unet' has sample_size {value!r}; expected a number or a pair of numbers")
    return int(pair[place])
