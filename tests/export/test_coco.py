"""COCO: run lengths straight from the object numbers, held against pycocotools and the outlines."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8

from segmint.export.coco import _by_outlines, _by_runs
from segmint.export.yolo import _texts
from segmint.masks.instances import part, runs_of

coco = pytest.importorskip("pycocotools.mask")


def blocky(seed: int, height: int, width: int) -> UInt8[np.ndarray, "image_h image_w"]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 3, (height, width)).astype(np.uint8).repeat(2, axis=0).repeat(3, axis=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_runs_are_what_pycocotools_makes_of_the_mask(seed: int, height: int, width: int, stuff: bool) -> None:
    instances = part(blocky(seed, height, width), stuff=[1] if stuff else [])
    traced, run = list(_by_outlines(instances)), list(_by_runs(instances))
    assert [each | {"segmentation": None} for each in run] == [
        each | {"segmentation": None} for each in traced
    ]
    for number, each in enumerate(run, start=1):
        whole = coco.encode(np.asfortranarray((instances.numbers == number).astype(np.uint8)))
        assert each["segmentation"] == {"size": list(whole["size"]), "counts": whole["counts"].decode()}
        json.dumps(each)


def test_runs_start_where_the_value_changes() -> None:
    starts, lengths = runs_of(np.array([3, 3, 0, 3]))
    assert (starts.tolist(), lengths.tolist()) == ([0, 2, 3], [2, 1, 1])
    assert [len(each) for each in runs_of(np.zeros(0, np.int32))] == [0, 0]


def test_coordinates_have_no_idle_digits() -> None:
    assert _texts(8) == ("0", "0.125", "0.25", "0.375", "0.5", "0.625", "0.75", "0.875", "1")
