"""Schedulers by short name, built from the model's own noise schedule."""

from typing import Any

import diffusers

from segmint.errors import ConfigError

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
    "dpm++karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpm++sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++singlestep": ("DPMSolverSinglestepScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2-a": ("KDPM2AncestralDiscreteScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}
"""Short name → class of diffusers, and the settings that make it what the name says. Latents are never
clipped: diffusers' default for DDIM and DDPM is made for pixels.
"""
_FAMILY = "DDIMScheduler"
"""Schedulers that can take its place can run Stable Diffusion; those for flow matching, say, cannot."""


def build_scheduler(name: str, config: Any) -> Any:
    """A scheduler with the model's noise schedule.

    Args:
        name: one of `SCHEDULERS`, or the name of any scheduler class of diffusers.
        config: of the scheduler that the model came with.

    Raises:
        ConfigError: diffusers has no such scheduler for Stable Diffusion, or it cannot take the model's
        settings.
    """
    class_name, settings = SCHEDULERS.get(name, (name, {}))
    found = getattr(diffusers, class_name, None) if class_name.endswith("Scheduler") else None
    if found is None or (name not in SCHEDULERS and _FAMILY not in getattr(found, "_compatibles", ())):
        raise ConfigError(
            f"unknown scheduler {name!r}; known are default, {', '.join(SCHEDULERS)}, and scheduler "
            "classes of diffusers for Stable Diffusion by name"
        )
    try:
        return found.from_config(config, **settings)
    except (ValueError, TypeError, ImportError, NotImplementedError) as error:
        raise ConfigError(f"scheduler {name!r} cannot be used with this model: {error}") from None
