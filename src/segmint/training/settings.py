"""Settings of a training: the network, its augmentation, its optimiser and its schedule.

All of them decide what comes out, so all of them are in the digest that a checkpoint carries. What only
decides how fast it comes (device, loader workers) is an argument of `train`. What can be refused before
torch is loaded and a picture is read is refused here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from segmint.errors import ModelError, TrainingError
from segmint.settings import Flag, Settings

Architecture = Literal["deeplabv3_resnet50", "deeplabv3_resnet101", "deeplabv3_mobilenet_v3_large", "toynet"]
PICKLES = (".pth", ".pt", ".bin", ".ckpt")


class NetworkSettings(Settings):
    """The segmenter."""

    panel = "Network"

    architecture: Annotated[Architecture, Flag("--arch")] = "deeplabv3_resnet50"
    """DeepLabv3 as torchvision builds it (ResNets at stride 8), or `toynet`, for 128 px images on a CPU."""
    backbone: Annotated[str, Flag("--backbone")] = "imagenet"
    """`imagenet` (torchvision's weights, downloaded), `none` (random), or a .safetensors file; of `toynet`
    always random."""
    auxiliary: bool = True
    """Train an auxiliary head on the backbone's middle layer (DeepLabv3 only; not used in prediction)."""
    auxiliary_weight: Annotated[float, Field(ge=0.0)] = 0.4
    """Weight of the auxiliary head's loss (Dataset Diffusion, PSPNet)."""

    @model_validator(mode="before")
    @classmethod
    def _of_its_own(cls, data: Any) -> Any:
        """ToyNet has no weights of anybody's, so nobody has to say so."""
        if isinstance(data, dict) and data.get("architecture") == "toynet":
            return {"backbone": "none", **data}
        return data

    @model_validator(mode="after")
    def _has_weights(self) -> "NetworkSettings":
        if self.architecture == "toynet" and self.backbone == "imagenet":
            raise ValueError("there are no ImageNet weights for toynet; leave backbone out, or say none")
        return self


class AugmentSettings(Settings):
    """Random changes of image and mask together; each has its switch."""

    panel = "Augmentation"

    scale: Annotated[bool, Flag("--scale/--no-scale")] = True
    """Resize by a random factor, the same in both directions."""
    scale_range: tuple[float, float] = (0.5, 2.0)
    """Range of that factor."""
    crop: bool = True
    """Cut a random square of `crop_px`; where the image is smaller the rest is ignored in the loss."""
    crop_px: Annotated[int, Field(ge=16, le=4096), Flag("--crop")] = 512
    """Side of the square, in pixels. Without `crop`, images keep their size and a batch is padded to its
    largest."""
    flip: Annotated[bool, Flag("--flip/--no-flip")] = True
    """Mirror left and right in half of the cases."""
    photometric: Annotated[bool, Flag("--photometric/--no-photometric")] = True
    """Random brightness, contrast, saturation, hue and order of channels."""

    @model_validator(mode="after")
    def _ordered(self) -> "AugmentSettings":
        low, high = self.scale_range
        if not 0 < low <= high <= 16:
            raise ValueError("scale_range must be two rising factors above 0 and up to 16")
        return self


class OptimiserSettings(Settings):
    """How weights follow the gradient. The rate decays as (1 − t/T)^power over the T iterations."""

    panel = "Optimiser and schedule"

    name: Annotated[Literal["adamw", "sgd"], Flag("--optimiser")] = "adamw"
    """AdamW, or stochastic gradient descent with momentum."""
    learning_rate: Annotated[float, Field(gt=0.0), Flag("--lr")] = 1e-4
    """Rate of the heads at the first iteration (Dataset Diffusion: 1e-4)."""
    backbone_factor: Annotated[float, Field(ge=0.0)] = 0.1
    """The backbone's rate as a share of the heads' (Dataset Diffusion: 0.1); use 1 for a random backbone."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-4
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """Of SGD only."""
    power: Annotated[float, Field(ge=0.0)] = 0.9
    """Of the polynomial decay; 0 keeps the rate."""
    warmup_iterations: Annotated[int, Field(ge=0)] = 0
    """The rate rises linearly from 0 over this many iterations."""
    clip_norm: Annotated[float | None, Field(gt=0.0), Flag("--clip")] = None
    """Gradients longer than this are shortened to it; left out, they stay."""


class ScheduleSettings(Settings):
    """How long, in what portions, and what is kept."""

    panel = "Optimiser and schedule"

    iterations: Annotated[int, Field(ge=1), Flag("--iterations")] = 10_000
    """Updates of the weights (SyntaGen allows 10 000)."""
    batch_size: Annotated[int, Field(ge=1), Flag("--batch-size")] = 8
    """Images behind one update, over all devices and accumulated passes together."""
    accumulate: Annotated[int, Field(ge=1), Flag("--accumulate")] = 1
    """Passes whose gradients are added up for one update, where the batch does not fit the memory."""
    validate_every: Annotated[int, Field(ge=1), Flag("--validate-every")] = 1000
    """Iterations between two validations."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 500
    """Iterations between two writings of the last checkpoint; one is also written at each validation."""
    precision: Annotated[Literal["auto", "no", "fp16", "bf16"], Flag("--precision")] = "auto"
    """Mixed precision; `auto` is bf16 (else fp16) on CUDA and none elsewhere."""
    ema: Annotated[bool, Flag("--ema/--no-ema")] = True
    """Keep a running mean of the weights, and judge both; the best checkpoint is the better one."""
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.999
    """Share of the running mean that each iteration keeps (less in the beginning)."""
    balanced: Annotated[bool, Flag("--balanced/--no-balanced")] = False
    """Draw a class and then an image that shows it: rare classes are seen as often as common ones."""
    seed: Annotated[int, Field(ge=0, lt=2**63), Flag("--seed")] = 2024
    """Decides the first weights, the order of the images, their augmentation and dropout."""


class TrainSettings(Settings):
    """Everything that decides a training, apart from the data."""

    network: NetworkSettings = Field(default_factory=NetworkSettings)
    augment: AugmentSettings = Field(default_factory=AugmentSettings)
    optimiser: OptimiserSettings = Field(default_factory=OptimiserSettings)
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings)

    def merged(self, changes: Mapping[str, Any]) -> "TrainSettings":
        """These settings with dotted fields replaced; ToyNet then begins at random unless a file is named."""
        if changes.get("network.architecture") == "toynet":
            changes = {"network.backbone": "none", **changes}
        return super().merged(changes)


def check_folder(out: Path, *, resume: bool) -> None:
    """Refuse a folder that holds something else than a training to go on with.

    Raises:
        TrainingError: it is a file, or it is not empty and `resume` is off.
    """
    if out.exists() and not out.is_dir():
        raise TrainingError(f"--out {out} is a file; expected a folder")
    if not resume and out.is_dir() and any(out.iterdir()):
        raise TrainingError(
            f"{out} is not empty; pass --resume to go on with the training in it, or another --out"
        )


def check_weights(network: NetworkSettings) -> None:
    """Refuse a file of backbone weights that is not there, or that could run code.

    Raises:
        ModelError: says what to do.
    """
    if network.backbone in ("none", "imagenet"):
        return
    path = Path(network.backbone)
    if path.suffix in PICKLES:
        raise ModelError(
            f"{path} is a pickle, which can run code when it is read; convert it once, where you trust it: "
            f'python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{path.name}', weights_only=True), '{path.stem}.safetensors')\""
        )
    if not path.is_file():
        raise ModelError(
            f"--backbone {path}: expected imagenet, none, or a .safetensors file; there is no such file"
        )
