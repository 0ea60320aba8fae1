"""Models for the backbone's tests."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tiny_models import build_sd

from segmint.artifacts import PromptSpec


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of the tiny model of a family, built once."""

    @cache
    def build(family: str) -> Path:
        return build_sd(tmp_path_factory.mktemp("models"), family=family)

    return build


@pytest.fixture
def make_spec() -> Callable[..., PromptSpec]:
    """Build a prompt spec for classes, with whatever is to differ."""

    def make(
        index: int = 0, classes: tuple[str, ...] = ("dog", "pot plant"), **changes: object
    ) -> PromptSpec:
        values: dict[str, Any] = {
            "item_id": f"item-{index}",
            "index": index,
            "prompt": "a photo of a " + " and a ".join(classes),
            "classes": classes,
            "label_ids": tuple(range(1, len(classes) + 1)),
            "phrases": tuple((name,) for name in classes),
            "seed": 7 + index,
        }
        return PromptSpec(**{**values, **changes})

    return make
