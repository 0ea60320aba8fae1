"""The golden scenes of the published code, as segmint's artefacts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from segmint.artifacts import ClassEvidence, Clusters, LayerComponents
from segmint.masks.features import connected
from segmint.masks.settings import MaskSettings, profile

SCENES = ("scene0", "scene1", "scene2", "scene3")
CLASS_TOKENS = {
    "scene0": {12: (1,)},
    "scene1": {2: (2,), 15: (1,)},
    "scene2": {11: (3,), 16: (1, 2)},
    "scene3": {1: (1,), 7: (2,), 15: (3,)},
}
"""VOC label id → its tokens' rows (`scenes.json` has the texts)."""


@dataclass(frozen=True)
class Scene:
    components: tuple[LayerComponents, ...]
    token_maps: np.ndarray
    tokens: dict[int, tuple[int, ...]]
    image: np.ndarray
    steps: dict[str, np.ndarray]
    blocky: np.ndarray
    refined: np.ndarray

    @property
    def published_clusters(self) -> Clusters:
        labels = self.steps["kmeans64_labels"].astype(np.int32)
        segments = np.stack([connected(each, 8) for each in labels])
        return Clusters(counts=(4, 7, 10), clusters=labels, segments=segments)

    @property
    def published_evidence(self) -> ClassEvidence:
        ids = tuple(int(each) for each in self.steps["class_ids"])
        return ClassEvidence(
            label_ids=ids, values=self.steps["class_activations"], present=(True,) * len(ids)
        )


def published_settings() -> MaskSettings:
    """`pcc-published` for the golden images, which have been through the JPEG already."""
    settings = profile("pcc-published")
    return settings.model_copy(update={"refine": settings.refine.model_copy(update={"jpeg_quality": None})})


def load(reference: Path, name: str) -> Scene:
    folder = reference / "stages"
    with np.load(folder / f"{name}_inputs.npz") as inputs, np.load(folder / f"{name}_steps.npz") as steps:
        return Scene(
            components=_components(inputs["features"].astype(np.float32)),
            token_maps=inputs["ovam_q16"].astype(np.float32),
            tokens=CLASS_TOKENS[name],
            image=_read(folder / f"{name}_image.png"),
            steps={key: steps[key] for key in steps},
            blocky=_read(folder / f"{name}_blocky.png"),
            refined=_read(folder / f"{name}_refined.png"),
        )


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]).astype(np.int64), axis=1).shape[1]
    return pairs == len(np.unique(one)) == len(np.unique(other))


def _components(features: np.ndarray) -> tuple[LayerComponents, ...]:
    """Upsampled (4096, column) features as layers at the resolution that each column was captured at."""
    low, high = features.min(axis=0), features.max(axis=0)
    maps = ((features - low) / (high - low)).T.reshape(-1, 64, 64)
    layers, left = [], np.ones(len(maps), dtype=bool)
    for factor in (4, 2, 1):
        small = maps[:, ::factor, ::factor]
        fits = left & (small.repeat(factor, axis=1).repeat(factor, axis=2) == maps).all(axis=(1, 2))
        left &= ~fits
        layers.append(LayerComponents(layer=f"{64 // factor}", values=small[fits]))
    return tuple(layers)


def _read(path: Path) -> np.ndarray:
    with PilImage.open(path) as image:
        return np.array(image)
