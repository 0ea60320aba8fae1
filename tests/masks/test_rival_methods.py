"""OVAM and DAAM thresholding and Dataset Diffusion on maps whose answers can be read off."""

from dataclasses import replace

import numpy as np
import pytest

from segmint.artifacts import Affinity, AttentionSummary, TokenMaps
from segmint.attention import EVERYWHERE, Reading
from segmint.errors import ConfigError
from segmint.masks.evidence import ClassQuery, class_map
from segmint.masks.methods import METHODS
from segmint.masks.rivals import passed_along
from segmint.masks.settings import MaskSettings, ThresholdSettings, profile

BOAT = ClassQuery(name="boat", label_id=3, phrases=("boat",))
TREE = ClassQuery(name="tree", label_id=7, phrases=("tree",))
IMAGE = np.zeros((4, 4, 3), np.uint8)


def token_maps(boat: np.ndarray, tree: np.ndarray) -> TokenMaps:
    flat = np.ones_like(boat)
    return TokenMaps(
        tokens=("<SoT>", "boat", "tree", "<EoT>"),
        phrases=("boat", "tree"),
        phrase_tokens=((1,), (2,)),
        values=np.stack([flat, boat, tree, flat]).astype(np.float32),
    )


COLUMNS = np.array([[9, 6, 3, 0]] * 4)
ROWS = np.array([[0.0] * 4, [0.2] * 4, [0.7] * 4, [1.0] * 4])
BOTH = token_maps(COLUMNS, ROWS)


@pytest.mark.parametrize(("method", "text"), [("ovam", "classes"), ("daam", "prompt")])
def test_the_highest_map_wins_and_low_ones_are_background(method: str, text: str) -> None:
    attention = AttentionSummary(grid=(4, 4), components=(), maps={text: BOTH})
    trace = METHODS[method](attention, IMAGE, [TREE, BOAT], profile(method))
    assert trace.mask.labels.tolist() == [[3, 3, 0, 0], [3, 3, 0, 0], [3, 7, 7, 7], [3, 7, 7, 7]]
    assert trace.mask.agreement[0].tolist() == pytest.approx([1, 2 / 3, 2 / 3, 1])
    assert trace.evidence is not None
    assert trace.evidence.label_ids == (3, 7)


def test_the_threshold_is_a_setting() -> None:
    attention = AttentionSummary(grid=(4, 4), components=(), maps={"classes": BOTH})
    strict = MaskSettings(method="ovam", thresholding=ThresholdSettings(background_below=0.9))
    labels = METHODS["ovam"](attention, IMAGE, [BOAT, TREE], strict).mask.labels
    assert labels.tolist() == [[3, 0, 0, 0], [3, 0, 0, 0], [3, 0, 0, 0], [3, 7, 7, 7]]


def test_a_class_that_the_prompt_does_not_hold_is_nowhere() -> None:
    silent = replace(BOTH, phrase_tokens=((1,), ()))
    attention = AttentionSummary(grid=(4, 4), components=(), maps={"prompt": silent})
    labels = METHODS["daam"](attention, IMAGE, [BOAT, TREE], profile("daam")).mask.labels
    assert labels.tolist() == [[3, 3, 0, 0]] * 4


def test_maps_grow_to_the_image() -> None:
    attention = AttentionSummary(grid=(4, 4), components=(), maps={"classes": BOTH})
    labels = METHODS["ovam"](attention, np.zeros((9, 14, 3), np.uint8), [BOAT], profile("ovam")).mask.labels
    assert labels.shape == (9, 14)
    assert labels[0].tolist() == [3] * 7 + [0] * 7


def diffused(
    boat: np.ndarray, affinity: np.ndarray | None, size: tuple[int, int] = (4, 4)
) -> AttentionSummary:
    own = None if affinity is None else Affinity(grid=size, values=affinity.astype(np.float32))
    maps = {"classes@16": token_maps(boat, np.zeros_like(boat))}
    return AttentionSummary(grid=(8, 8), components=(), maps=maps, affinity=own)


def test_three_bands_without_any_passing_on() -> None:
    ramp = np.array([[1.0, 0.65, 0.55, 0.0]] * 4)
    attention = diffused(ramp, np.eye(16))
    trace = METHODS["dataset-diffusion"](attention, IMAGE, [BOAT, TREE], profile("dataset-diffusion"))
    assert trace.mask.labels.tolist() == [[3, 3, 255, 0]] * 4
    assert trace.mask.agreement[0].tolist() == pytest.approx([1, 0.65, 0.55, 1])


def test_affinity_carries_a_spark_over_its_region() -> None:
    left = (np.arange(16) % 4 < 2).astype(float)
    affinity = np.where(left[:, None] == left[None, :], 1 / 8, 0.0)
    spark = np.zeros((4, 4))
    spark[1, 1] = 1
    labels = METHODS["dataset-diffusion"](
        diffused(spark, affinity), IMAGE, [BOAT], profile("dataset-diffusion")
    ).mask.labels
    assert labels.tolist() == [[3, 3, 0, 0]] * 4


def test_passing_along_is_the_matrix_power() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.random((12, 12))
    matrix /= matrix.sum(axis=1, keepdims=True)
    maps = rng.random((2, 3, 4), dtype=np.float32)
    passed = passed_along(maps, Affinity(grid=(3, 4), values=matrix.astype(np.float32)), 4)
    expected = maps.reshape(2, 12) @ np.linalg.matrix_power(matrix, 4).T
    np.testing.assert_allclose(passed.reshape(2, 12), expected, rtol=1e-4)


@pytest.mark.parametrize("method", ["ovam", "daam", "dataset-diffusion"])
def test_without_classes_everything_is_background(method: str) -> None:
    maps = dict.fromkeys(("classes", "prompt", "classes@16"), BOTH)
    affinity = Affinity(grid=(4, 4), values=np.eye(16, dtype=np.float32))
    attention = AttentionSummary(grid=(4, 4), components=(), maps=maps, affinity=affinity)
    assert not METHODS[method](attention, IMAGE, [], profile(method)).mask.labels.any()


def test_what_was_not_captured_is_named() -> None:
    empty = AttentionSummary(grid=(4, 4), components=(), maps={})
    for method, name in (("ovam", "classes"), ("daam", "prompt"), ("dataset-diffusion", "classes@16")):
        with pytest.raises(ConfigError, match=name):
            METHODS[method](empty, IMAGE, [BOAT], profile(method))
    with pytest.raises(ConfigError, match="affinity"):
        METHODS["dataset-diffusion"](diffused(COLUMNS, None), IMAGE, [BOAT], profile("dataset-diffusion"))


@pytest.mark.parametrize(
    ("method", "features", "maps", "affinity"),
    [
        ("segmint", True, ["classes@fine", "classes@half"], False),
        ("pcc", True, ["classes"], False),
        ("ovam", False, ["classes"], False),
        ("daam", False, ["prompt"], False),
        ("dataset-diffusion", False, ["classes@16"], True),
        ("concept-attention", False, ["concepts"], False),
        ("seg4diff", False, ["prompt@expert"], False),
        ("goca", False, [], False),
    ],
)
def test_every_method_says_what_it_reads(
    method: str, features: bool, maps: list[str], affinity: bool
) -> None:
    wanted = METHODS[method].captures(profile(method), Reading())
    assert [each.name for each in wanted.maps] == maps
    assert (wanted.features is not None, wanted.affinity is not None) == (features, affinity)


def test_dataset_diffusion_reads_what_its_authors_read() -> None:
    wanted = METHODS["dataset-diffusion"].captures(profile("dataset-diffusion"), Reading())
    [coarse] = wanted.maps
    assert (coarse.side, coarse.padded, coarse.half, coarse.parts) == (16, True, "conditional", EVERYWHERE)
    assert wanted.affinity is not None
    assert (wanted.affinity.side, wanted.affinity.half) == (32, "conditional")


def test_a_phrase_of_two_tokens_is_their_mean_or_the_largest() -> None:
    """The second token is everywhere: its maximum drowns the first one's map, the mean does not."""
    two = replace(BOTH, phrases=("boat tree", "tree"), phrase_tokens=((1, 2), (2,)))
    query = ClassQuery(name="boat", label_id=3, phrases=("boat tree",))
    np.testing.assert_allclose(class_map(two, query, tokens="mean"), (COLUMNS + ROWS) / 2)
    np.testing.assert_allclose(class_map(two, query), np.maximum(COLUMNS, ROWS))
    several = replace(query, phrases=("boat tree", "tree"))
    expected = np.maximum((COLUMNS + ROWS) / 2, ROWS)
    np.testing.assert_allclose(class_map(two, several, tokens="mean"), expected, rtol=1e-6)
    silent = replace(two, phrase_tokens=((), ()))
    assert not class_map(silent, several, tokens="mean").any()
