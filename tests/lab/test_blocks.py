"""Blocks are weighed on a tiny model; that places are told from things is in tests/masks/test_features.py."""

from pathlib import Path

import numpy as np

from lab.blocks import specs_of, weigh
from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, SamplingSettings


def test_every_block_has_both_shares(reference: Path) -> None:
    backbone = load(ModelSettings(id=str(reference / "dit" / "tiny_flux")), "cpu")
    found = weigh(backbone, specs_of(1), SamplingSettings(steps=1, height_px=64, width_px=64))
    assert [each.name for each in found] == [each.name for each in backbone.layers]
    assert all(0 <= each.place <= 1 for each in found)
    assert all(each.text is not None and np.isfinite(each.text) and each.text > 0 for each in found)
    assert not any(module._forward_hooks for module in backbone.network.modules())
