"""Schedulers by short name, built from the model's own noise schedule."""

import copy
from typing import Any

import diffusers
import torch

from segmint.backbone.chatter import unwarned
from segmint.backbone.known import ADVERSARIAL_TIMESTEPS
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
_CONSISTENCY = ("LCMScheduler", "TCDScheduler")
_EULER = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
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


def check_steps(scheduler: Any, steps: int) -> None:
    """Walk the schedule once on a single number, so that what it cannot do is known before anything is drawn.

    Raises:
        ConfigError: the scheduler cannot take so many, or so few, steps; names both.
    """
    name = type(scheduler).__name__
    if not hasattr(scheduler, "scale_model_input"):  # flow matching takes any number …
        if steps == 1 and scheduler.config.get("shift_terminal"):  # … but first and last in one
            raise ConfigError(
                f"1 step does not fit the scheduler {name} of this model, which sets the first and the last; "
                "choose --steps 2 or more"
            )
        return
    own = copy.deepcopy(scheduler)  # from its config it would not be the same: pipelines set fields of theirs
    try:
        with unwarned(), torch.random.fork_rng(devices=[]):  # drawing itself will say it
            own.set_timesteps(steps)
            sample = torch.zeros(1, 1, 1, 1)
            for step in own.timesteps:
                seen = own.scale_model_input(sample, step)
                sample = own.step(torch.zeros_like(seen), step, sample).prev_sample
    except (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, AttributeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"{steps} steps do not fit the scheduler {name} of this model ({reason}); choose another number "
            "of --steps, or another --scheduler"
        ) from None


def trained_timesteps(scheduler: Any, *, guided_inside: bool) -> tuple[int, ...]:
    """The timesteps that a few-step model was trained for; none where it was trained for all.

    A consistency model (LCM, TCD) knows only those of the solver that it was distilled from. SD-Turbo and
    SDXL-Turbo, whose networks look like any other, come with an Euler scheduler that spaces its steps from
    the end; so do models trained for zero terminal signal, which tell themselves by their betas.

    Args:
        scheduler: the model's own.
        guided_inside: whether guidance is built into the network, as in LCMs.

    Source: Luo et al. 2023, "Latent Consistency Models", section 4.3 (skipping-step technique); Lin et al.
    2023, "Common Diffusion Noise Schedules and Sample Steps Are Flawed", section 3.
    """
    config, name = scheduler.config, type(scheduler).__name__
    if name in _EULER and config.get("timestep_spacing") == "trailing":
        usual = not config.get("rescale_betas_zero_snr") and config.get("prediction_type") == "epsilon"
        return ADVERSARIAL_TIMESTEPS if usual else ()
    original = config.get("original_inference_steps")
    if not (guided_inside or name in _CONSISTENCY) or not original:
        return ()
    gap = int(config.num_train_timesteps) // int(original)
    return tuple(gap * place - 1 for place in range(1, int(original) + 1))
