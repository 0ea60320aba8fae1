"""Families of models, one file each; a new one is its file and its row here."""

from collections.abc import Mapping
from typing import Any

from segmint.backbone.families.flux import FluxFamily
from segmint.backbone.families.flux2 import Flux2Family
from segmint.backbone.families.lumina2 import Lumina2Family
from segmint.backbone.families.pixart import PixArtFamily
from segmint.backbone.families.qwen import QwenFamily
from segmint.backbone.families.sana import SanaFamily
from segmint.backbone.families.sd3 import SD3Family
from segmint.backbone.families.unet import UNetFamily
from segmint.backbone.families.zimage import ZImageFamily
from segmint.backbone.family import Family, present
from segmint.errors import ModelError

FAMILIES: list[Family] = [
    UNetFamily(),
    PixArtFamily(),
    SanaFamily(),
    SD3Family(),
    FluxFamily(),
    Flux2Family(),
    QwenFamily(),
    ZImageFamily(),
    Lumina2Family(),
]
"""The first that recognises a model has it."""


def family_of(index: Mapping[str, Any]) -> Family:
    """The family of a model, by its `model_index.json` or its pipeline's `config`.

    Raises:
        ModelError: no family knows it; the message says which models are supported.
    """
    for family in FAMILIES:
        if present(index, family.network) and index[family.network][1] == family.architecture:
            return family
    supported = "; ".join(family.supported for family in FAMILIES)
    found = index.get("_class_name", "no pipeline")
    raise ModelError(f"the model is a {found}, whose attention is not understood; supported: {supported}")
