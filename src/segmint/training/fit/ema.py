"""A running mean of a network's weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class RunningMean:
    """Exponential moving average of every weight and every float buffer (batch norm's statistics with them).

    The decay begins at 2/11 and rises to its final value, as (1 + t) / (10 + t), so that the first random
    weights do not linger.
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
