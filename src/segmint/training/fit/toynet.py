"""A small segmenter for small images: learns 128 px scenes on a CPU in minutes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

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
