"""Between pixels, latents and noise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from segmint.artifacts import Image, PromptSpec
from segmint.backbone.schedulers import build_scheduler
from segmint.errors import GenerationError


def item_generators(specs: Sequence[PromptSpec]) -> list[torch.Generator]:
    """One random generator an item, on the CPU, from the item's seed alone."""
    return [torch.Generator("cpu").manual_seed(spec.seed) for spec in specs]


def draw_noise(
    generators: Sequence[torch.Generator], shape: tuple[int, ...]
) -> Float32[Tensor, "item channel row col"]:
    """Each item's noise from its own generator: no batch, device or dtype changes it."""
    return torch.stack([torch.randn(shape, generator=each, dtype=torch.float32) for each in generators])


def encode_images(pipe: Any, images: Sequence[Image]) -> Float32[Tensor, "item channel row col"]:
    """Images of one size as the VAE's mean latents, shifted and scaled as the network expects them."""
    config = pipe.vae.config
    pixels = torch.from_numpy(np.stack(images)).movedim(-1, 1).to(pipe._execution_device, torch.float32)
    with _upcast(pipe.vae):
        encoded = pipe.vae.encode((pixels / 127.5 - 1).to(pipe.vae.dtype))
    plain = next((getattr(encoded, each) for each in ("latents", "latent") if hasattr(encoded, each)), None)
    found = encoded.latent_dist.mode() if plain is None else plain
    latents: Tensor = found.float()
    if getattr(config, "latents_mean", None) and getattr(config, "latents_std", None):
        mean = torch.tensor(config.latents_mean).view(1, -1, 1, 1).to(latents)
        std = torch.tensor(config.latents_std).view(1, -1, 1, 1).to(latents)
        latents = (latents - mean) / std
    latents = latents - float(getattr(config, "shift_factor", None) or 0)
    return latents * float(config.scaling_factor)


def add_noise(
    clean: Float[Tensor, "item channel row col"],
    noise: Float[Tensor, "item channel row col"],
    kept: Float[Tensor, ""],
) -> Float[Tensor, "item channel row col"]:
    """Latents at a noise level: √ᾱ·clean + √(1−ᾱ)·noise.

    Args:
        clean: latents of images.
        noise: standard normal.
        kept: ᾱ, the share of the signal's variance that is left.

    Source: Ho et al. 2020, eq. 4.
    """
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise


def noised_by_variance(
    pipe: Any,
    clean: Float[Tensor, "item channel row col"],
    noise: Float[Tensor, "item channel row col"],
    level: int,
) -> tuple[Tensor, Tensor]:
    """Latents at a training timestep of a noise schedule, and what the network predicts of them.

    Args:
        pipe: its scheduler has the schedule; the `prediction_type` of that says what is predicted.
        clean: latents of images.
        noise: standard normal.
        level: training timestep.
    """
    schedule = pipe.scheduler.config
    kept = build_scheduler("ddpm", schedule).alphas_cumprod[level].to(clean)
    noisy = add_noise(clean, noise, kept)
    prediction = schedule.get("prediction_type", "epsilon")
    if prediction == "v_prediction":
        return noisy, kept.sqrt() * noise - (1 - kept).sqrt() * clean
    return noisy, clean if prediction == "sample" else noise


def noised_by_flow(
    _pipe: Any,
    clean: Float[Tensor, "item channel row col"],
    noise: Float[Tensor, "item channel row col"],
    level: int,
) -> tuple[Tensor, Tensor]:
    """Latents on the straight way from image to noise, and its direction, which the network predicts.

    Args:
        clean: latents of images.
        noise: standard normal.
        level: thousandths of the way.

    Source: Lipman et al. 2023; Esser et al. 2024, eq. 13.
    """
    sigma = level / 1000
    return (1 - sigma) * clean + sigma * noise, noise - clean


def step_end(on_step: Callable[[int, int], None] | None) -> Any:
    """What a pipeline calls after each step, to tell of it."""
    if on_step is None:
        return None

    def told(pipe: Any, step: int, _timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        on_step(step + 1, pipe.num_timesteps)
        return kwargs

    return told


def to_pixels(
    spec: PromptSpec, image: Float[Tensor, "3 row col"], *, withheld: bool
) -> Image | GenerationError:
    """A drawn image as 8-bit RGB, or why it is none.

    Args:
        spec: the item, named in the error.
        image: in [0, 1].
        withheld: the safety checker blacked it out.
    """
    name = f"item {spec.item_id} (seed {spec.seed})"
    if withheld:
        return GenerationError(f"{name}: the safety checker withheld the image; try another seed")
    if not image.isfinite().all():
        return GenerationError(f"{name}: the image has NaN pixels; try another seed, or dtype float32")
    if not image.any():
        return GenerationError(f"{name}: the image is black all over; try another seed")
    pixels: Image = (image.float().movedim(0, -1) * 255).round().to(torch.uint8).cpu().numpy()
    return pixels


@contextmanager
def _upcast(vae: Any) -> Iterator[None]:
    """Hold a float16 VAE that overflows (SDXL's) in float32 for a while."""
    needed = vae.dtype == torch.float16 and vae.config.get("force_upcast", False)
    if needed:
        vae.to(dtype=torch.float32)
    try:
        yield
    finally:
        if needed:
            vae.to(dtype=torch.float16)
