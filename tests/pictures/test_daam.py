"""DAAM's heat maps against those of its authors' package (daam 0.2.0) on the reference pipeline."""

from pathlib import Path

import numpy as np
import pytest

from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings, SamplingSettings
from segmint.pictures.heatmaps import WHOLE, HeatMaps, attention_maps

PROMPT = "a photo of a dog and a pot plant next to a sofa"
WORDS = ("dog", "pot plant", "sofa")


@pytest.fixture(scope="module")
def golden() -> np.ndarray:
    """The words' maps, each scaled to [0, 1]: 512 px, seed 7, two steps, guidance 7.5."""
    with np.load(Path(__file__).parent / "daam_tiny_sd2_a.npz") as stored:
        return np.asarray(stored["maps"], np.float32)


@pytest.fixture(scope="module")
def drawn(reference: Path) -> HeatMaps:
    backbone = load(ModelSettings(id=str(reference / "tiny_sd2_a")), "cpu")
    sampling = SamplingSettings(steps=2, guidance=7.5, seed=7, height_px=512, width_px=512)
    return attention_maps(backbone, PROMPT, WORDS, kind="daam", sampling=sampling)


def test_maps_are_those_of_the_package(drawn: HeatMaps, golden: np.ndarray) -> None:
    maps = drawn.maps[WHOLE]
    low, high = (edge(axis=(1, 2), keepdims=True) for edge in (maps.min, maps.max))
    np.testing.assert_allclose((maps - low) / (high - low), golden, atol=1e-3)  # stored in float16


def test_groups_add_up(reference: Path, drawn: HeatMaps) -> None:
    """Layers and heads are enlarged each by itself, so that those kept apart are parts of the whole."""
    backbone = load(ModelSettings(id=str(reference / "tiny_sd2_a")), "cpu")
    sampling = SamplingSettings(steps=2, guidance=7.5, seed=7, height_px=512, width_px=512)
    for groups in (["layer"], ["head"]):
        parts = attention_maps(backbone, PROMPT, WORDS, kind="daam", sampling=sampling, group_by=groups)  # type: ignore[arg-type]
        assert len(parts.maps) > 1
        np.testing.assert_allclose(sum(parts.maps.values()), drawn.maps[WHOLE], rtol=1e-4)
