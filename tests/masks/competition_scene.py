"""A hand-made scene of a boat and a tree: true labels, image, attention."""

import numpy as np

from segmint.artifacts import AttentionSummary, LayerComponents, TokenMaps
from segmint.masks.evidence import ClassQuery

BOAT = ClassQuery(name="boat", label_id=1, phrases=("boat",))
TREE = ClassQuery(name="tree", label_id=4, phrases=("tree",))
GRID = (16, 16)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """True labels on the grid, and an image of 64 × 64 in which each label has its colour."""
    truth = np.zeros(GRID, np.uint8)
    truth[3:8, 2:7] = 1
    truth[8:14, 9:15] = 4
    colours = {0: (30, 90, 30), 1: (200, 40, 40), 4: (40, 60, 220)}
    pixels = np.array([[colours[int(label)] for label in row] for row in truth], np.uint8)
    return truth, pixels.repeat(4, axis=0).repeat(4, axis=1)


def attention(truth: np.ndarray, *, noise: float = 0.3, seed: int = 0) -> AttentionSummary:
    """Noisy maps that agree with the truth, one class ten times as loud; features that tell labels apart."""
    rng = np.random.default_rng(seed)

    def noisy(region: np.ndarray, loud: float = 1.0) -> np.ndarray:
        return (loud * (0.4 + region + noise * rng.random(GRID))).astype(np.float32)

    maps = TokenMaps(
        tokens=("<SoT>", "boat", "tree", "<EoT>"),
        phrases=("boat", "tree"),
        phrase_tokens=((1,), (2,)),
        values=np.stack([noisy(truth == 0, 30), noisy(truth == 1), noisy(truth == 4, 10), noisy(truth < 0)]),
    )
    columns = np.stack([truth == label for label in (0, 1, 4)]) + 0.05 * rng.random((3, *GRID))
    half = TokenMaps(
        tokens=maps.tokens,
        phrases=maps.phrases,
        phrase_tokens=maps.phrase_tokens,
        values=np.ascontiguousarray(maps.values[:, ::2, ::2]),
    )
    return AttentionSummary(
        grid=GRID,
        components=(LayerComponents(layer="up", values=columns.astype(np.float32)),),
        maps={"classes@fine": maps, "classes@half": half},
    )
