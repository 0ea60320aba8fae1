import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from segmint.backbone.loading import load
from segmint.backbone.settings import ModelSettings
from segmint.errors import ModelError

Weights = dict[str, torch.Tensor]
FILES = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


@pytest.fixture
def model(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("sd1"), tmp_path / "model"))


def change(model: Path, part: str, how: Callable[[Weights], Weights]) -> Path:
    path = model / part / FILES[part]
    save_file(how(load_file(path)), path)
    return path


def refused(model: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(ModelSettings(id=str(model)), "cpu")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def middle(weights: Weights) -> str:
    return sorted(weights)[len(weights) // 2]


@pytest.mark.parametrize("part", FILES)
def test_a_missing_tensor_is_named_with_part_and_file(model: Path, part: str) -> None:
    names = []

    def without(weights: Weights) -> Weights:
        names.append(middle(weights))
        return {name: value for name, value in weights.items() if name != names[0]}

    path = change(model, part, without)
    said = refused(model)
    assert f"part '{part}': {path} lacks " in said
    assert said.partition(" lacks ")[2].partition(";")[0] in names[0]


@pytest.mark.parametrize("part", FILES)
def test_foreign_names_are_refused(model: Path, part: str) -> None:
    path = change(model, part, lambda weights: {f"model.x.{name}": each for name, each in weights.items()})
    said = refused(model)
    assert f"part '{part}': {path} lacks" in said
    assert "more tensors (it has model.x." in said


@pytest.mark.parametrize("part", FILES)
def test_a_tensor_too_many_is_refused(model: Path, part: str) -> None:
    path = change(model, part, lambda weights: {**weights, "another.weight": torch.zeros(2)})
    assert f"part '{part}': {path} has another.weight" in refused(model)


@pytest.mark.parametrize("part", FILES)
def test_another_shape_is_refused(model: Path, part: str) -> None:
    path = change(model, part, lambda weights: {**weights, middle(weights): torch.zeros(3, 7)})
    said = refused(model)
    assert f"part '{part}': {path} has" in said
    assert "of shape 3×7" in said


@pytest.mark.parametrize("part", FILES)
def test_a_compiled_network_is_refused_in_words(model: Path, part: str) -> None:
    change(model, part, lambda weights: {f"_orig_mod.{name}": each for name, each in weights.items()})
    assert "torch.compile" in refused(model)


@pytest.mark.parametrize("part", FILES)
def test_whole_numbers_are_no_weights(model: Path, part: str) -> None:
    path = change(model, part, lambda weights: {**weights, middle(weights): weights[middle(weights)].char()})
    assert f"part '{part}': {path} has" in refused(model)
    assert "in whole numbers (I8)" in refused(model)


def test_what_older_text_encoders_carry_beside_is_let_pass(model: Path) -> None:
    beside = {
        "text_model.embeddings.position_ids": torch.arange(16)[None],
        "vision_model.post_layernorm.weight": torch.zeros(2),
        "logit_scale": torch.zeros(()),
    }
    change(model, "text_encoder", lambda weights: {**weights, **beside})
    load(ModelSettings(id=str(model)), "cpu")


def test_two_loads_give_the_same_weights(model: Path) -> None:
    one, two = (load(ModelSettings(id=str(model)), "cpu").pipe for _ in range(2))
    for part in FILES:
        first, second = getattr(one, part).state_dict(), getattr(two, part).state_dict()
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert first.keys() == second.keys()


def test_a_class_of_somebody_else_s_is_never_run(model: Path) -> None:
    index = model / "model_index.json"
    text = index.read_text().replace('"transformers",\n    "CLIPTextModel"', '"os",\n    "system"')
    assert "system" in text
    index.write_text(text)
    assert "part 'text_encoder' is a system of os" in refused(model)
