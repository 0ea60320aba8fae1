"""From an image to labels: whole, at its own size, on request mirrored and at several scales."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from segmint.devices import find_device
from segmint.errors import TrainingError
from segmint.training.fit.checkpoint import BEST, LAST, Facts, read_facts, read_tensors
from segmint.training.fit.model import build, normalise
from segmint.training.settings import Architecture

MIN_SIDE_PX = 33
"""Smallest side at which a scaled image still gives DeepLabv3 a feature map of several positions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmenter:
    """A trained network that is ready to predict."""

    model: nn.Module
    classes: tuple[str, ...]
    device: torch.device
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Changed copies of an image whose predictions are averaged."""

    flip: bool = False
    scales: tuple[float, ...] = (1.0,)


def load_segmenter(path: Path, *, device: str = "auto", weights: str | None = None) -> Segmenter:
    """The segmenter of a checkpoint.

    Args:
        path: a checkpoint, or the folder of a training (then its best one, else its last).
        device: as `find_device` takes it.
        weights: of a last checkpoint `raw` or `ema`; by default ema where it is there.

    Raises:
        TrainingError: there is no checkpoint, or it is damaged.
        DeviceError: the device is not there.
    """
    where = find_device(device)
    path = find_checkpoint(path)
    facts = read_facts(path)
    tensors = read_tensors(path)
    if facts.progress is not None:  # a last checkpoint: several kinds of tensors under prefixes
        has_ema = any(name.startswith("ema.") for name in tensors)
        prefix = f"{weights or ('ema' if has_ema else 'raw')}."
        tensors = {
            name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
        }
        if not tensors:
            raise TrainingError(
                f"{path} holds no {prefix[:-1]!r} weights; it was trained without a running mean"
            )
    if facts.architecture not in get_args(Architecture):
        raise TrainingError(f"{path} is of an unknown architecture {facts.architecture!r}")
    model = build(
        cast(Architecture, facts.architecture),
        num_labels=len(facts.classes) + 1,
        auxiliary=any(name.startswith("aux_classifier.") for name in tensors),
    )
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise TrainingError(
            f"{path} does not fit {facts.architecture}: {str(error).splitlines()[0]}"
        ) from None
    model = model.to(where, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return Segmenter(model=model, classes=facts.classes, device=where, facts=facts)


@torch.no_grad()
def predict_batch(
    model: nn.Module, images: UInt8[Tensor, "item 3 image_h image_w"], views: Views
) -> Float[Tensor, "item label image_h image_w"]:
    """Probabilities of the labels, mean over the views.

    Args:
        model: a segmenter in evaluation mode.
        images: RGB, 0–255, on the model's device.
        views: which changed copies to predict besides.
    """
    size = images.shape[-2:]
    pixels = normalise(images).contiguous(memory_format=torch.channels_last)
    total: Tensor | None = None
    for scale in views.scales:
        sides = [max(round(side * scale), MIN_SIDE_PX) for side in size] if scale != 1.0 else list(size)
        scaled = _resized(pixels, sides)
        for mirrored in (False, True) if views.flip else (False,):
            logits: Tensor = model(scaled.flip(-1) if mirrored else scaled)["out"].float()
            logits = _resized(logits.flip(-1) if mirrored else logits, list(size))
            shares = logits.softmax(dim=1)
            total = shares if total is None else total + shares
    assert total is not None, "Views has at least one scale"
    return total / (len(views.scales) * (2 if views.flip else 1))


def predict(
    segmenter: Segmenter, image: UInt8[np.ndarray, "image_h image_w 3"], views: Views | None = None
) -> tuple[UInt8[np.ndarray, "image_h image_w"], Float[np.ndarray, "image_h image_w"]]:
    """Labels of one image, and the probability that the network gives to each.

    Args:
        segmenter: from `load_segmenter`.
        image: RGB, 0–255.
        views: mirrored and scaled copies to average over.
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(segmenter.device)
    share, labels = predict_batch(segmenter.model, pixels, views or Views())[0].max(dim=0)
    return labels.to(torch.uint8).cpu().numpy(), share.cpu().numpy()


def _resized(values: Tensor, sides: list[int]) -> Tensor:
    if list(values.shape[-2:]) == sides:
        return values
    return functional.interpolate(values, size=sides, mode="bilinear", align_corners=False)


def find_checkpoint(path: Path) -> Path:
    """The checkpoint itself, or that of a training's folder: its best, else its last.

    Raises:
        TrainingError: the folder holds none.
    """
    if path.is_dir():
        for name in (BEST, LAST):
            if (path / name).is_file():
                return path / name
        raise TrainingError(f"{path} holds neither {BEST} nor {LAST}; is it the --out of `segmint train`?")
    return path
