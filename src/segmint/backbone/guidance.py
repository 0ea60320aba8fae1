"""What guidance changes: how far an item's prompt moves the prediction, heard at every guided step.

Both halves are computed anyway, so nothing is asked of the model for it. Where a thing is drawn, the prompt
moves the prediction more than where nothing is.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom
from jaxtyping import Float, Float32
from torch import Tensor

from segmint.artifacts import Grid
from segmint.attention import Half


@dataclass(slots=True, kw_only=True)
class GuidanceTap:
    """Adds up, position by position, by how much the halves of guidance differ."""

    latent: Grid
    channels: int
    """Of the network's input: what it says beyond them (a variance) is left out."""
    first: Tensor | None = None
    """A half that waits for the other, where they come call by call."""
    total: Float[Tensor, "item row col"] | None = None

    def read(self, output: Any, half: Half | None) -> None:
        """Take in what the network answered.

        Args:
            output: as the network gives it: a tuple or one of diffusers' outputs.
            half: which half it is of; None holds both, in one batch.
        """
        found = self._prediction(output)
        if half is None:
            first, second = found.chunk(2)
        elif self.first is None:
            self.first = found
            return
        else:
            first, second, self.first = self.first, found, None
        change = (first - second).square().mean(1).sqrt()
        change = change / change.mean((1, 2), keepdim=True).clamp_min(1e-12)
        self.total = change if self.total is None else self.total + change

    def _prediction(self, output: Any) -> Float[Tensor, "batch channel row col"]:
        """Of the network's own channels, whatever its layout: rows and columns, frames, or packed cells."""
        found = output[0]
        if isinstance(found, list):
            found = torch.stack(found)
        if found.ndim == 3:
            pack = isqrt(self.latent[0] * self.latent[1] // found.shape[1])
            found = found.mT.unflatten(2, (self.latent[0] // pack, self.latent[1] // pack))
        if found.ndim == 5:
            found = found[:, :, 0]
        told: Tensor = found[:, : self.channels].float()
        return told


def on_grid(values: Float32[Tensor, "map row col"], grid: Grid) -> Float32[np.ndarray, "map grid_h grid_w"]:
    """Maps at the grid: means over its positions, or bilinear between those of a smaller one."""
    found = values[None]
    if values.shape[1] >= grid[0] and values.shape[2] >= grid[1]:
        found = F.interpolate(found, grid, mode="area")
    else:
        found = F.interpolate(found, grid, mode="bilinear", align_corners=False)
    return np.asarray(found[0].cpu().numpy(), np.float32)
