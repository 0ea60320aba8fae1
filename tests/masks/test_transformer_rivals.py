"""ConceptAttention and Seg4Diff: hand-made maps, and the published codes' own numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segmint.artifacts import AttentionSummary, TokenMaps
from segmint.attention import CONCEPT_MAPS, EXPERT_MAPS
from segmint.errors import ConfigError
from segmint.masks.evidence import ClassQuery
from segmint.masks.resample import bilinear
from segmint.masks.settings import profile
from segmint.masks.transformer_rivals import concept_attention, mean_map, seg4diff

DOG = ClassQuery(name="dog", label_id=3, phrases=("dog",))
PLANT = ClassQuery(name="pot plant", label_id=1, phrases=("pot plant",))
NAMES = ("dog", "pot plant", "skyscraper", "sky")


def summary(name: str, values: Any, phrase_tokens: dict[str, tuple[int, ...]]) -> AttentionSummary:
    maps = TokenMaps(
        tokens=tuple(f"t{row}" for row in range(len(values))),
        phrases=tuple(phrase_tokens),
        phrase_tokens=tuple(phrase_tokens.values()),
        values=np.asarray(values, np.float32),
    )
    return AttentionSummary(grid=maps.values.shape[1:], components=(), maps={name: maps})


def test_the_concept_with_the_largest_share_takes_the_pixel() -> None:
    # background, dog, plant, end; two columns of one row
    attention = summary(
        CONCEPT_MAPS, [[[6, 1]], [[3, 2]], [[1, 7]], [[0, 0]]], {"dog": (1,), "pot plant": (2,)}
    )
    trace = concept_attention(
        attention, np.zeros((1, 2, 3), np.uint8), (DOG, PLANT), profile("concept-attention")
    )
    assert trace.mask.labels.tolist() == [[0, 1]]
    np.testing.assert_allclose(trace.mask.agreement, [[0.6, 0.7]])


def test_without_classes_all_is_background() -> None:
    attention = summary(CONCEPT_MAPS, [[[1, 1]], [[0, 0]]], {})
    trace = concept_attention(attention, np.zeros((4, 8, 3), np.uint8), (), profile("concept-attention"))
    assert trace.mask.labels.tolist() == np.zeros((4, 8)).tolist()


def test_a_class_is_the_mean_of_its_tokens_and_not_its_first_or_loudest() -> None:
    attention = summary(EXPERT_MAPS, [[[0]], [[4]], [[0]], [[3]], [[0]]], {"pot plant": (1, 2), "dog": (3,)})
    assert mean_map(attention.maps[EXPERT_MAPS], PLANT).tolist() == [[2]]
    trace = seg4diff(attention, np.zeros((2, 2, 3), np.uint8), (PLANT, DOG), profile("seg4diff"))
    assert (trace.mask.labels == 3).all()
    np.testing.assert_allclose(trace.mask.agreement, 0.6)


def test_a_class_that_the_prompt_does_not_name_is_nowhere() -> None:
    attention = summary(EXPERT_MAPS, [[[9, 9]], [[1, 1]], [[9, 9]]], {"dog": (1,), "pot plant": ()})
    image = np.zeros((1, 2, 3), np.uint8)
    assert (seg4diff(attention, image, (DOG, PLANT), profile("seg4diff")).mask.labels == 3).all()
    assert (seg4diff(attention, image, (PLANT,), profile("seg4diff")).mask.labels == 0).all()


@pytest.mark.parametrize(
    ("block", "counts", "first"),
    [("sd3", (1, 2, 10, 1), 1), ("flux_block1", (1, 2, 3, 1), 0), ("flux_block4", (1, 2, 3, 1), 0)],
)
def test_seg4diff_is_the_published_one(
    reference: Path, block: str, counts: tuple[int, ...], first: int
) -> None:
    with np.load(reference / "dit" / "seg4diff.npz") as data:
        name = "sd3_block2" if block == "sd3" else block
        words = data[f"{name}_I2T_mean_heads"].T.reshape(77, 16, 16)
        known = {key: data[key] for key in (f"{block}_class_maps", f"{block}_sem_seg_every_4th")}
        published = data["sd3_argmax"] if block == "sd3" else None
    stops = np.cumsum(counts) + first
    rows = {
        phrase: tuple(range(stop - many, stop))
        for phrase, many, stop in zip(NAMES, counts, stops, strict=True)
    }
    attention = summary(EXPERT_MAPS, words, rows)
    classes = [
        ClassQuery(name=each, label_id=label, phrases=(each,)) for label, each in enumerate(NAMES, start=10)
    ]
    maps = np.stack([mean_map(attention.maps[EXPERT_MAPS], each) for each in classes])
    np.testing.assert_allclose(maps, known[f"{block}_class_maps"], atol=3e-6)
    # index 3 there is a class that is not named
    large = bilinear(maps, (256, 256))[:, ::4, ::4]
    np.testing.assert_allclose(large, known[f"{block}_sem_seg_every_4th"][[0, 1, 2, 4]], atol=3e-6)
    labels = seg4diff(attention, np.zeros((256, 256, 3), np.uint8), classes, profile("seg4diff")).mask.labels
    assert set(np.unique(labels)) <= {10, 11, 12, 13}
    if published is not None:
        assert (labels == published + 10).mean() > 0.9999


def test_maps_that_were_not_captured_are_named() -> None:
    attention = summary("classes", [[[1]], [[1]]], {})
    with pytest.raises(ConfigError, match="reads maps of 'concepts', which were not captured"):
        concept_attention(attention, np.zeros((1, 1, 3), np.uint8), (), profile("concept-attention"))
