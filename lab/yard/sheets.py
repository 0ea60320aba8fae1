"""Contact sheets of the yard and of its model."""

from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusion3Pipeline
from jaxtyping import UInt8

from segmint.errors import TrainingError
from segmint.pictures.sheets import rows_of
from segmint.toybox.yard import world
from segmint.toybox.yard.world import Scene, Split

_SPLITS: dict[str, Split] = {"train": "train", "val": "val"}
"""Test scenes are not to be looked at."""
_BATCH = 8


def scenes(count: int, *, split: str, first: int, close_ups: bool) -> list[Scene]:
    """Rendered scenes in the order of their seeds.

    Raises:
        TrainingError: The split is not one to look at.
    """
    if split not in _SPLITS:
        raise TrainingError(f"split {split!r}: contact sheets show {' or '.join(_SPLITS)}")
    draw = world.render_close_up if close_ups else world.render
    return [draw(seed, split=_SPLITS[split]) for seed in range(first, first + count)]


def generated(
    model: Path, captions: list[str], *, steps: int, guidance: float
) -> list[UInt8[np.ndarray, "row col 3"]]:
    """A stock pipeline's pictures for captions, the first seeds' noise."""
    pipeline = StableDiffusion3Pipeline.from_pretrained(model).to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    out: list[np.ndarray] = []
    for start in range(0, len(captions), _BATCH):
        part = captions[start : start + _BATCH]
        noise = [torch.Generator().manual_seed(start + i) for i in range(len(part))]
        made = pipeline(
            part, num_inference_steps=steps, guidance_scale=guidance, generator=noise, output_type="np"
        ).images
        out.extend(np.rint(made * 255).astype(np.uint8))
    return out


def write(path: Path, pictures: list[UInt8[np.ndarray, "row col 3"]]) -> None:
    """Save pictures side by side."""
    rows_of(pictures).save(path)
