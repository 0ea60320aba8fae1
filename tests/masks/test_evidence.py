import numpy as np
import pytest

from segmint.artifacts import PromptSpec, TokenMaps
from segmint.errors import ConfigError
from segmint.masks.evidence import ClassQuery, at_grid, class_evidence, token_rows
from segmint.masks.settings import EvidenceSettings

DOG = ClassQuery(name="dog", label_id=12, phrases=("dog",))
PLANT = ClassQuery(name="pottedplant", label_id=3, phrases=("pot plant", "flower"))
ROWS = {"<SoT>": [4, 0], "dog": [0, 2], "pot": [1, 0], "plant": [0, 4], "flower": [2, 0], "<EoT>": [9, 9]}


def token_maps(rows: dict[str, list[float]] = ROWS) -> TokenMaps:
    return TokenMaps(
        tokens=tuple(rows),
        phrases=("dog", "pot plant", "flower"),
        phrase_tokens=((1,), (2, 3), (4,)),
        values=np.array([[row] for row in rows.values()], dtype=np.float32),
    )


def test_a_class_is_the_maximum_over_all_its_tokens_and_labels_ascend() -> None:
    found = class_evidence(token_maps(), [DOG, PLANT], (2, 4), EvidenceSettings())
    assert found.label_ids == (0, 3, 12)
    assert found.values[:, 0].tolist() == [[1, 0], [0, 1], [0, 1]]
    assert found.present == (True, True, True)


def test_a_constant_map_is_silent() -> None:
    flat = token_maps({**ROWS, "dog": [0.1, 0.1]})
    for through_image in (False, True):
        found = class_evidence(flat, [DOG], (7, 9), EvidenceSettings(through_image=through_image))
        assert found.present == (True, False)
        assert not found.values[1].any()


def test_order_of_classes_does_not_matter() -> None:
    one = class_evidence(token_maps(), [DOG, PLANT], (2, 4), EvidenceSettings())
    other = class_evidence(token_maps(), [PLANT, DOG], (2, 4), EvidenceSettings())
    assert one.label_ids == other.label_ids
    np.testing.assert_array_equal(one.values, other.values)


def test_a_class_without_attention_is_named() -> None:
    cat = ClassQuery(name="cat", label_id=8, phrases=("cat",))
    with pytest.raises(ConfigError, match=r"'cat'.*'dog'"):
        token_rows(token_maps(), cat)


def test_a_phrase_that_the_text_does_not_hold_is_absent() -> None:
    maps = TokenMaps(
        tokens=("<SoT>", "<EoT>"),
        phrases=("dog",),
        phrase_tokens=((),),
        values=np.array([[[1, 2]], [[2, 1]]], np.float32),
    )
    found = class_evidence(maps, [DOG], (2, 4), EvidenceSettings())
    assert found.present == (True, False)
    assert not found.values[1].any()


def test_queries_of_a_spec() -> None:
    spec = PromptSpec(
        item_id="a", index=0, prompt="", classes=("dog",), label_ids=(12,), phrases=(("dog",),), seed=0
    )
    assert ClassQuery.of_spec(spec) == (DOG,)


def test_maps_of_another_grid_are_resampled() -> None:
    coarse = TokenMaps(
        tokens=("<SoT>", "<EoT>"),
        phrases=(),
        phrase_tokens=(),
        values=np.array([[[0.0, 4.0]], [[1.0, 1.0]]], np.float32),
    )
    fine = at_grid(coarse, (1, 4))
    assert fine.values.tolist() == [[[0.0, 1.0, 3.0, 4.0]], [[1.0] * 4]]
    assert at_grid(fine, (1, 4)) is fine
