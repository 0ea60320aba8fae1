"""What a training tells its listener as `finished`: an iteration, a validation, a part of a stage."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Progress of what is not an iteration: inspecting, validating, labelling anew."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One finished iteration."""

    iteration: int
    """Counted from 1."""
    iterations: int
    loss: float
    rate: float
    """The heads' learning rate."""
    images_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """A finished validation."""

    iteration: int
    mean_iou: Mapping[str, float | None]
    """By kind of weights (`raw`, `ema`)."""
