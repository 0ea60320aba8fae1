"""The oracles: a segmenter of each world's pictures, trained on exact masks. They judge, and mask nothing."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from segmint.errors import ModelError
from segmint.toybox.worlds import WorldName

WEIGHTS_FOLDER = Path(__file__).parent / "oracle_weights"
"""One file a world, by its name."""
WIDTHS = (24, 48, 96, 128)
_BATCH = 32


class _Residual(nn.Module):
    """Two convolutions beside a straight path."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(8, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(functional.silu(self.first(functional.silu(self.norm(x)))))
        return out


class Oracle(nn.Module):
    """A U-shaped network from RGB in [-1, 1] to scores of background and classes at every pixel."""

    def __init__(self, labels: int, widths: tuple[int, ...] = WIDTHS) -> None:
        """A fresh network that scores so many labels, the background among them."""
        super().__init__()
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip((3, *widths), widths, strict=False)
        )
        self.blocks = nn.ModuleList(_Residual(width) for width in widths)
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.merged = nn.ModuleList(_Residual(width) for width in widths[:-1])
        self.fine = nn.Conv2d(widths[0] + 3, 16, 3, padding=1)
        self.scores = nn.Conv2d(16, labels, 3, padding=1)

    def forward(self, images: Float[Tensor, "batch 3 row col"]) -> Float[Tensor, "batch label row col"]:
        """Scores before the softmax."""
        levels, x = [], images
        for down, block in zip(self.downs, self.blocks, strict=True):
            x = block(down(x))
            levels.append(x)
        for index in reversed(range(len(levels) - 1)):
            x = self.merged[index](levels[index] + _grow(self.narrow[index](x)))
        out: Tensor = self.scores(functional.silu(self.fine(torch.cat([_grow(x), images], dim=1))))
        return out


def judge(
    images: UInt8[np.ndarray, "picture row col 3"], world: WorldName = "toybox"
) -> UInt8[np.ndarray, "picture row col"]:
    """Class ids (0 background, then the world's classes) of every pixel.

    Args:
        images: RGB pictures whose sides are multiples of 16.
        world: Whose things are looked for.

    Raises:
        ModelError: The oracle's weights are missing.
    """
    return predict(_shipped(world), images)


@torch.no_grad()
def predict(
    model: Oracle, images: UInt8[np.ndarray, "picture row col 3"]
) -> UInt8[np.ndarray, "picture row col"]:
    """Class ids by a given oracle; see `judge`."""
    out = []
    for start in range(0, len(images), _BATCH):
        batch = (
            torch.from_numpy(np.array(images[start : start + _BATCH])).permute(0, 3, 1, 2).float() / 127.5 - 1
        )
        out.append(model(batch).argmax(dim=1).to(torch.uint8).numpy())
    return np.concatenate(out)


def load(path: Path) -> Oracle:
    """Read an oracle's weights."""
    if not path.is_file():
        raise ModelError(
            f"{path}: the oracle's weights are missing; make them with `python -m lab.{path.stem} oracle`"
        )
    weights = {key: value.float() for key, value in load_file(path).items()}
    model = Oracle(len(weights["scores.bias"]))
    model.load_state_dict(weights)
    return model.eval()


@cache
def _shipped(world: WorldName) -> Oracle:
    return load(WEIGHTS_FOLDER / f"{world}.safetensors")


def _grow(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
