"""Masks from attention: pure array functions, no model and no file.

`summarise` condenses a generation's attention, `METHODS` names the functions that make a mask of it. Names
are loaded when first used, so that `segmint.masks.settings` alone costs no array library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segmint.masks.evidence import ClassQuery
    from segmint.masks.features import condense, summarise
    from segmint.masks.methods import METHODS, Method, register_method
    from segmint.masks.statistics import MaskStatistics, mask_statistics

__all__ = [
    "METHODS",
    "ClassQuery",
    "MaskStatistics",
    "Method",
    "condense",
    "mask_statistics",
    "register_method",
    "summarise",
]

_HOMES = {
    "METHODS": "methods",
    "ClassQuery": "evidence",
    "MaskStatistics": "statistics",
    "Method": "methods",
    "condense": "features",
    "mask_statistics": "statistics",
    "register_method": "methods",
    "summarise": "features",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
