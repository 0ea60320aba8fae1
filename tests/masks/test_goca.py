"""GoCA's maps as a mask, by hand; the published numbers are in tests/backbone/test_agreement.py."""

from dataclasses import replace

import numpy as np
import pytest

from segmint.artifacts import Affinity, AttentionSummary, TokenMaps
from segmint.errors import ConfigError
from segmint.masks.evidence import ClassQuery
from segmint.masks.goca import background_rows, goca
from segmint.masks.settings import MaskSettings, profile

DOG = ClassQuery(name="dog", label_id=3, phrases=("dog",))
SOFA = ClassQuery(name="sofa", label_id=1, phrases=("sofa",))
IMAGE = np.zeros((8, 16, 3), np.uint8)


def summary(tokens: tuple[str, ...], values: list[list[float]]) -> AttentionSummary:
    """Maps of one row of four positions, each of which attends to itself."""
    rows = np.asarray(values, np.float32)[:, None]
    phrases = {
        name: tuple(row for row, token in enumerate(tokens) if token == name) for name in ("dog", "sofa")
    }
    maps = TokenMaps(
        tokens=tokens,
        phrases=tuple(phrases),
        phrase_tokens=tuple(phrases.values()),
        values=rows / rows.sum(0),
    )
    alike = Affinity(grid=(1, 4), values=np.eye(4, dtype=np.float32))
    return AttentionSummary(grid=(1, 4), components=(), maps={"prompt@agreed": maps}, refining=alike)


def settings(name: str = "goca") -> MaskSettings:
    return profile(name).merged({"goca.blur_cells": 0.0})


WORDS = ("<SoT>", "a", "dog", "on", "grass", "<EoT>")


def test_a_quiet_word_has_what_it_has_the_most_of() -> None:
    # the dog is never the loudest token, but the loudest with content on the left
    attention = summary(
        WORDS, [[9, 9, 9, 9], [1, 1, 1, 1], [4, 4, 0, 0], [5, 5, 5, 5], [0, 0, 4, 4], [1] * 4]
    )
    trace = goca(attention, IMAGE, (DOG,), settings())
    assert trace.mask.labels[4].tolist() == [3] * 8 + [0] * 8


def test_without_other_words_the_contentless_speak_for_the_background() -> None:
    attention = summary(("<SoT>", "a", "dog", "<EoT>"), [[1, 1, 9, 9], [1] * 4, [8, 8, 0, 0], [1] * 4])
    trace = goca(attention, IMAGE, (DOG,), settings())
    assert trace.mask.labels[4].tolist() == [3] * 8 + [0] * 8


def test_classes_that_the_prompt_does_not_name_are_nowhere() -> None:
    attention = summary(WORDS, [[1] * 4] * 6)
    assert not goca(attention, IMAGE, (SOFA,), settings()).mask.labels.any()
    assert set(np.unique(goca(attention, IMAGE, (DOG, SOFA), settings()).mask.labels)) <= {0, 3}


def test_function_words_and_marks_name_nothing() -> None:
    tokens = ("<background>", "▁a", "dog", ",", "beside", "Ġgrass", "the", "sky</w>", "<EoT>")
    attention = summary(tokens, [[1] * 4] * 9)
    maps = attention.maps["prompt@agreed"]
    assert background_rows(maps, [(2,)]) == [(5,), (7,)]


def test_the_published_reference_is_another_capture() -> None:
    attention = summary(WORDS, [[1] * 4] * 6)
    with pytest.raises(ConfigError, match="reads maps of 'prompt@agreed-published', which were not captured"):
        goca(attention, IMAGE, (DOG,), settings("goca-published"))
    with pytest.raises(ConfigError, match="needs the refining self-attention"):
        goca(replace(attention, refining=None), IMAGE, (DOG,), settings())
