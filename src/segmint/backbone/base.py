"""The seam between the method and the model: what can be asked of a backbone, and what it answers.

A backbone draws images (`generate`) or looks at existing ones (`observe`) and hands over, with each image,
the attention that was asked for in a `CaptureRequest`. Nothing here imports torch, so that every other room
can talk about captures without loading a model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from segmint.artifacts import AnyImage, Generation, PromptSpec
from segmint.attention import CaptureRequest
from segmint.backbone.settings import ObserveSettings, SamplingSettings
from segmint.errors import ConfigError, GenerationError

Outcome = Generation | GenerationError
"""What becomes of one item: its generation, or the reason why there is none. One bad item never ends its
batch.
"""

Callback = Callable[[int, int], None]
"""Called after each denoising step (or pass) with the steps done and the steps in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Facts about a loaded model, as a run's records keep them.

    `size_multiple_px`: image sides are multiples of this. `prompt_tokens`: length of the text encoder with
    its start and end tokens; longer prompts are truncated by the model. `licence` is None where neither the
    model nor we know it. `trained_timesteps` are those that a few-step model was trained for, none where it
    was trained for all. `notes` say what had to be decided about it.
    """

    id: str
    revision: str | None
    licence: str | None
    family: str
    height_px: int
    width_px: int
    size_multiple_px: int
    prediction_type: str
    default_steps: int
    default_guidance: float
    prompt_tokens: int
    scheduler: str
    dtype: str
    device: str
    loras: tuple[str, ...] = ()
    safety_checker: bool = False
    trained_timesteps: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def image_size(info: ModelInfo, height_px: int | None, width_px: int | None) -> tuple[int, int]:
    """(height, width) in pixels that the model can draw; None takes the model's own.

    Raises:
        ConfigError: a side is no multiple of what the model needs; the message names the nearest size.
    """
    height, width = height_px or info.height_px, width_px or info.width_px
    multiple = info.size_multiple_px
    if height % multiple or width % multiple:
        near = [max(multiple, round(side / multiple) * multiple) for side in (height, width)]
        raise ConfigError(
            f"model {info.id} cannot take images of {height}×{width} px (height × width): both sides must be "
            f"multiples of {multiple}; the nearest size is {near[0]}×{near[1]}"
        )
    return height, width


def noise_levels(info: ModelInfo, asked: Sequence[int]) -> tuple[int, ...]:
    """The timesteps asked for; of a few-step model the nearest that it was trained for, each once."""
    if not info.trained_timesteps:
        return tuple(asked)
    nearest = (min(info.trained_timesteps, key=lambda known: abs(known - step)) for step in asked)
    return tuple(dict.fromkeys(nearest))


def looking_notes(info: ModelInfo, asked: Sequence[int]) -> tuple[str, ...]:
    """What a person should know who has images looked at: noise levels other than those asked for."""
    found = noise_levels(info, asked)
    if found == tuple(dict.fromkeys(asked)):
        return ()
    return (
        f"{info.id} is a few-step model: it is looked at timestep {_listed(found)}, the nearest to "
        f"{_listed(asked)} that it was trained for",
    )


def _listed(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps))


@runtime_checkable
class Backbone(Protocol):
    """A text-to-image model whose attention can be read."""

    @property
    def info(self) -> ModelInfo:
        """Facts about the model."""
        ...

    def check(self, specs: Sequence[PromptSpec], sampling: SamplingSettings, capture: CaptureRequest) -> None:
        """Refuse what cannot be drawn, before anything is: cheap, and names the first item at fault.

        Raises:
            ConfigError: an image size that the model cannot take (the message names the nearest it can).
            PromptError: a phrase with no token, one longer than the text encoder reads, or one that the text
                of a strict request lacks.
        """
        ...

    def generate(
        self,
        specs: Sequence[PromptSpec],
        sampling: SamplingSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """One batch of images with the attention that made them, in the order of `specs`.

        Each item's noise comes from its own seed on the CPU, whatever the batch. Capturing does not change a
        pixel.

        Raises:
            ConfigError, PromptError: as `check`.
            DeviceError: the device is out of memory.
        """
        ...

    def observe(
        self,
        images: Sequence[AnyImage],
        specs: Sequence[PromptSpec],
        observation: ObserveSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """The attention of existing images, as if they had been generated from `specs`.

        Each image is encoded, noised to each of the observation's timesteps (noise from the item's seed) and
        passed once through the network with the item's prompt. Maps are summed over the passes; features are
        merged as the capture says, over all passes.

        Args:
            images: RGB; each side a multiple of `info.size_multiple_px`. Sizes may differ.
            specs: as many as images.
            observation: timesteps, noise draws and guidance.
            capture: what to hand over; a feature request's `calls` is ignored.
            callback: called after each pass.

        Raises:
            ConfigError, PromptError: as `check`, or numbers of images and specs that differ.
        """
        ...
