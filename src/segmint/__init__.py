"""segmint mints semantic-segmentation datasets: class names in, images with pixel masks out.

    import segmint

    model = segmint.load("toybox")
    run = segmint.generate(model, classes=["boat", "tree"], count=12, out="demo")

Importing segmint loads nothing heavy; torch comes with the first model.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from segmint._version import __version__

if TYPE_CHECKING:
    from segmint.api import Model, attention_maps, generate, label, load, mint
    from segmint.dataset import Run, open_run
    from segmint.errors import SegmintError
    from segmint.masks.methods import register_method
    from segmint.pipeline import Item
    from segmint.recipe import Recipe, load_recipe
    from segmint.vocabulary import Vocabulary

__all__ = [
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

_HOMES = {
    "Item": "segmint.pipeline",
    "Model": "segmint.api",
    "Recipe": "segmint.recipe",
    "Run": "segmint.dataset",
    "SegmintError": "segmint.errors",
    "Vocabulary": "segmint.vocabulary",
    "attention_maps": "segmint.api",
    "generate": "segmint.api",
    "label": "segmint.api",
    "load": "segmint.api",
    "load_recipe": "segmint.recipe",
    "mint": "segmint.api",
    "open_run": "segmint.dataset",
    "register_method": "segmint.masks.methods",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segmint' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
