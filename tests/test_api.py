import subprocess
import sys

import numpy as np
import pytest

import segmint
from segmint.api import Model
from segmint.backbone.fake import FakeBackbone
from segmint.backbone.settings import ModelSettings
from segmint.errors import GenerationError
from segmint.runs.verify import verify

SMALL = {"sampling.height_px": 32, "sampling.width_px": 32, "sampling.steps": 2}


@pytest.fixture
def model() -> Model:
    return Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone())


def test_the_public_names_are_sorted_and_all_there():
    names = [name for name in segmint.__all__ if not name.startswith("_")]
    assert names == sorted(names)
    assert all(hasattr(segmint, name) for name in segmint.__all__)
    assert set(segmint.__all__) <= set(dir(segmint))
    with pytest.raises(AttributeError):
        segmint.nothing  # noqa: B018


def test_importing_segmint_loads_nothing_heavy():
    heavy = ["torch", "numpy", "pydantic", "diffusers", "PIL"]
    code = f"import segmint, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_in_one_call_and_again_goes_on(model, tmp_path):
    run = segmint.generate(model, classes=["boat", "tree"], count=2, out=tmp_path / "demo", settings=SMALL)
    assert run.done_ids() == {"000000", "000001"}
    run = segmint.generate(model, classes="boat, tree", count=3, out=tmp_path / "demo", settings=SMALL)
    assert len(segmint.open_run(tmp_path / "demo").done_ids()) == 3
    assert verify(run.files).problems == ()


def test_one_pair_in_memory(model):
    item = segmint.mint(model, "a boat at sea", ["boat"], settings={**SMALL, "sampling.seed": 7})
    assert item.image.shape == (32, 32, 3)
    assert set(np.unique(item.trace.mask.labels)) <= {0, 1, 255}
    again = segmint.mint(model, "a boat at sea", ["boat"], settings={**SMALL, "sampling.seed": 7})
    assert np.array_equal(item.image, again.image)


def test_a_failed_item_is_raised():
    broken = Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone(fail_items=frozenset({"000000"})))
    with pytest.raises(GenerationError, match="told to fail"):
        segmint.mint(broken, "a boat", ["boat"], settings=SMALL)


def test_attention_maps_of_a_loaded_model() -> None:
    model = segmint.Model(settings=ModelSettings(), backbone=FakeBackbone())
    found = segmint.attention_maps(model, "a boat and a tree", ["boat"])
    assert found.words == ("boat",)
    assert found.maps[""].shape[0] == 1
