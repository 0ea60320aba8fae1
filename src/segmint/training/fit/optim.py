"""How weights move: the optimiser, its rate as a function of the iteration alone, and their running mean."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
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


class RunningMean:
    """Exponential moving average of every weight and every float buffer (batch norm's statistics with them).

    The decay begins at 2/11 and rises to its final value, as (1 + t) / (10 + t), so that the first random
    weights do not linger. torch's `AveragedModel` is another mean, which is why it is not used: it takes the
    weights of the first iteration whole, keeps its decay, and averages counters where these have to be
    copied; the lerp of a weight is the same to the bit.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self._decay = decay
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, *, iteration: int) -> None:
        """Take in the weights after an iteration, counted from 0."""
        decay = min(self._decay, (1 + iteration + 1) / (10 + iteration + 1))
        for name, value in model.state_dict().items():
            mean = self.values[name]
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Go on from stored values."""
        for name, value in values.items():
            self.values[name].copy_(value)
