"""The optimiser, and its rate as a function of the iteration alone."""

import torch
from torch import nn
from torch.optim import Optimizer

from segmint.training.fit.model import parameter_groups
from segmint.training.settings import OptimiserSettings


def make_optimiser(model: nn.Module, settings: OptimiserSettings) -> Optimizer:
    """AdamW or SGD with two groups, backbone and heads; `set_rate` gives them their rates."""
    backbone, heads = parameter_groups(model)
    groups = [
        {"params": backbone, "factor": settings.backbone_factor},
        {"params": heads, "factor": 1.0},
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def rate_at(iteration: int, settings: OptimiserSettings, *, iterations: int) -> float:
    """The heads' learning rate: polynomial decay to 0, after a linear rise where there is a warm-up.

    Source: Dataset Diffusion's schedule, the usual one of DeepLab: lr · (1 − t/T)^0.9.
    """
    decayed: float = settings.learning_rate * (1 - iteration / iterations) ** settings.power
    if iteration < settings.warmup_iterations:
        return decayed * (iteration + 1) / settings.warmup_iterations
    return decayed


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
