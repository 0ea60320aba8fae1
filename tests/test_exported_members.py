"""The public API: a list that changes on purpose only, and an import that costs nothing."""

import subprocess
import sys

import pytest

import segmint

PUBLIC = [
    "Item",
    "Model",
    "Recipe",
    "Run",
    "SegmintError",
    "Vocabulary",
    "__version__",
    "attention_maps",
    "generate",
    "label",
    "load",
    "load_recipe",
    "mint",
    "open_run",
    "register_method",
]

HEAVY = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "numpy",
    "scipy",
    "pydantic",
    "typer",
    "rich",
    "PIL",
)


def test_what_is_public() -> None:
    assert list(segmint.__all__) == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    member = getattr(segmint, name)
    assert name in dir(segmint)
    assert name == "__version__" or member.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'segmint' has no attribute 'surprise'"):
        _ = segmint.surprise


def test_importing_segmint_loads_nothing_heavy() -> None:
    code = f"import sys, segmint; print([name for name in {HEAVY!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
