"""The segmenter: torchvision's DeepLabv3 with the asked-for backbone weights, or ToyNet."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import (
    MobileNet_V3_Large_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    WeightsEnum,
    segmentation,
)

from segmint.errors import ModelError
from segmint.training.settings import Architecture, NetworkSettings, check_weights
from segmint.vocabulary import IGNORE

MEAN_RGB = (0.485, 0.456, 0.406)
"""Mean of ImageNet's pixels in [0, 1], which torchvision's backbones expect to be taken off."""
STD_RGB = (0.229, 0.224, 0.225)

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "deeplabv3_resnet50": segmentation.deeplabv3_resnet50,
    "deeplabv3_resnet101": segmentation.deeplabv3_resnet101,
    "deeplabv3_mobilenet_v3_large": segmentation.deeplabv3_mobilenet_v3_large,
}
# The enumeration members that torchvision's own segmentation references start from.
IMAGENET: dict[str, WeightsEnum] = {
    "deeplabv3_resnet50": ResNet50_Weights.IMAGENET1K_V1,
    "deeplabv3_resnet101": ResNet101_Weights.IMAGENET1K_V1,
    "deeplabv3_mobilenet_v3_large": MobileNet_V3_Large_Weights.IMAGENET1K_V1,
}
CLASSIFIER_PREFIXES = ("fc.", "classifier.", "aux_classifier.")
"""Parts of a classification network, or of a segmenter, that are no backbone."""


def build(architecture: Architecture, *, num_labels: int, auxiliary: bool) -> nn.Module:
    """A segmenter with random weights, drawn from torch's global generator.

    Args:
        architecture: its name.
        num_labels: classes and the background.
        auxiliary: whether it has a second head for training (ToyNet has none).
    """
    if architecture == "toynet":
        return ToyNet(num_labels)
    builder = BUILDERS[architecture]
    return builder(weights=None, weights_backbone=None, num_classes=num_labels, aux_loss=auxiliary)


def load_backbone(model: nn.Module, settings: NetworkSettings) -> None:
    """Give the segmenter's backbone the weights that the settings ask for; never others in their place.

    Raises:
        ModelError: they cannot be had, or do not fit.
    """
    if settings.backbone == "none":
        return
    if settings.backbone == "imagenet":
        weights, source = _imagenet(settings.architecture), "ImageNet weights"
    else:
        check_weights(settings)
        weights, source = _from_file(Path(settings.backbone)), settings.backbone
    _fit(model.backbone, _backbone_keys(weights), source)  # type: ignore[arg-type]


def normalise(images: UInt8[Tensor, "item 3 image_h image_w"]) -> Float[Tensor, "item 3 image_h image_w"]:
    """Pixels 0–255 scaled as the backbones were trained on them."""
    mean = torch.tensor(MEAN_RGB, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD_RGB, device=images.device).view(1, 3, 1, 1)
    return (images.float() / 255 - mean) / std


def parameter_groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters of the backbone, and all others."""
    named = list(model.named_parameters())
    return (
        [parameter for name, parameter in named if name.startswith("backbone.")],
        [parameter for name, parameter in named if not name.startswith("backbone.")],
    )


def _imagenet(architecture: Architecture) -> dict[str, Tensor]:
    if architecture not in IMAGENET:
        raise ModelError(f"there are no ImageNet weights for {architecture}; pass --backbone none")
    try:
        # weights_only: only tensors are unpickled; check_hash: it is the file that torchvision published
        state: dict[str, Tensor] = IMAGENET[architecture].get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"the ImageNet weights of {architecture} could not be downloaded ({error}); pass "
            "--backbone FILE.safetensors from another machine, or --backbone none for random ones"
        ) from None
    return state


def _from_file(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"backbone weights {path} cannot be read: {error}") from None


def _backbone_keys(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in ("backbone.", "features."):  # a whole segmenter; torchvision's MobileNet classifier
        inside = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        if inside:
            return inside
    return {key: value for key, value in weights.items() if not key.startswith(CLASSIFIER_PREFIXES)}


def _fit(backbone: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    own = backbone.state_dict()
    needed = {key for key in own if not key.endswith("num_batches_tracked")}
    missing = sorted(needed - weights.keys())
    odd = sorted(key for key in needed & weights.keys() if own[key].shape != weights[key].shape)
    if missing or odd:
        raise ModelError(
            f"{source} does not fit the backbone: {_some(missing)} missing, {_some(odd)} of another shape; "
            "is it of the same architecture?"
        )
    backbone.load_state_dict({**own, **{key: weights[key] for key in own if key in weights}})


def _some(keys: Iterable[str]) -> str:
    keys = list(keys)
    return f"{len(keys)} tensors ({keys[0]}, …)" if keys else "none"


def loss(
    outputs: dict[str, Any], labels: UInt8[Tensor, "item image_h image_w"], *, auxiliary_weight: float
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the pixels that are not ignored, with the weighted auxiliary head's."""
    total = _cross_entropy(outputs["out"], labels)
    if "aux" in outputs:
        total = total + auxiliary_weight * _cross_entropy(outputs["aux"], labels)
    return total


def _cross_entropy(
    logits: Float[Tensor, "item label image_h image_w"], labels: UInt8[Tensor, "item image_h image_w"]
) -> Float[Tensor, ""]:
    target = labels.long()
    summed = nn.functional.cross_entropy(logits.float(), target, ignore_index=IGNORE, reduction="sum")
    return summed / (target != IGNORE).sum().clamp(min=1)


WIDTHS = (24, 48, 96)
"""Channels at a half, a quarter and an eighth of the image's side."""
DILATIONS = (1, 2, 4, 1)
"""Of the residual blocks at an eighth of the side: together they see 128 px."""


class ToyNet(nn.Module):
    """Three scales down, dilated residual blocks, and back up with skips to a quarter of the side.

    Same call as torchvision's segmenters: a dictionary with the logits under "out".
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        half, quarter, eighth = WIDTHS
        self.backbone = nn.ModuleDict(
            {
                "at_half": nn.Sequential(_unit(3, half, stride=2), _unit(half, half)),
                "at_quarter": nn.Sequential(_unit(half, quarter, stride=2), _Residual(quarter)),
                "at_eighth": nn.Sequential(
                    _unit(quarter, eighth, stride=2), *(_Residual(eighth, d) for d in DILATIONS)
                ),
            }
        )
        self.merge = nn.Sequential(_unit(eighth + quarter, quarter), _Residual(quarter))
        self.classifier = nn.Sequential(
            nn.Conv2d(quarter + half, half * 2, 1, bias=False),
            nn.BatchNorm2d(half * 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(half * 2, num_labels, 1),
        )

    def forward(
        self, images: Float[Tensor, "item 3 image_h image_w"]
    ) -> dict[str, Float[Tensor, "item label image_h image_w"]]:
        """Logits of the labels 0, 1, … at the size of the images."""
        half = self.backbone["at_half"](images)
        quarter = self.backbone["at_quarter"](half)
        eighth = self.backbone["at_eighth"](quarter)
        merged = self.merge(torch.cat([quarter, _to_size_of(eighth, quarter)], dim=1))
        logits = self.classifier(torch.cat([half, _to_size_of(merged, half)], dim=1))
        return {"out": _to_size_of(logits, images)}


class _Residual(nn.Module):
    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _unit(channels, channels, dilation=dilation),
            nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, values: Tensor) -> Tensor:
        return functional.relu(values + self.body(values))


def _unit(taken: int, given: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(taken, given, 3, stride=stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(given),
        nn.ReLU(inplace=True),
    )


def _to_size_of(values: Tensor, model: Tensor) -> Tensor:
    return functional.interpolate(values, size=model.shape[-2:], mode="bilinear", align_corners=False)
