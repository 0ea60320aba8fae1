"""The reference's tiny models, each loaded once for all tests, and its golden arrays."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.family import Joint
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings
from segmint.backbone.taps import TextBatch
from segmint.backbone.text import Text

Arrays = dict[str, Any]


@cache
def model(folder: Path) -> DiffusersBackbone:
    return load(ModelSettings(id=str(folder)), "cpu")


def golden(reference: Path, name: str) -> Arrays:
    with np.load(reference / "dit" / f"{name}.npz") as file:
        return {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}


def concepts(embeds: torch.Tensor) -> TextBatch:
    names = tuple(f"concept {row}" for row in range(embeds.shape[1]))
    text = Text(
        text="",
        tokens=(*names, "<EoT>"),
        phrases=(),
        phrase_rows=(),
        length=len(names),
        pieces=tuple((name, (0,)) for name in names),
    )
    return TextBatch(
        texts=(text,), owner=(0,), embeds=embeds, real=torch.ones(1, len(names), dtype=torch.bool)
    )


def heard(layer: Any, call: Any) -> Joint:
    found: list[Joint] = []
    handle = layer.hear_all(found.append)
    call()
    handle.remove()
    return found[0]
