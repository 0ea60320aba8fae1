"""What a training tells whoever watches it, and the one thing that it asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


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


@runtime_checkable
class Observer(Protocol):
    """Watches a training."""

    def note(self, text: str) -> None:
        """Something that the user should read: skipped samples, a class without an image, a new best."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Progress of a stage other than the iterations: `inspecting`, `validating`."""

    def step(self, step: Step) -> None:
        """An iteration is done."""

    def validated(self, iteration: int, mean_iou: Mapping[str, float | None]) -> None:
        """A validation is done; scores by kind of weights (`raw`, `ema`)."""

    def stop_asked(self) -> bool:
        """Whether to write a checkpoint and stop; asked after each iteration."""
        ...


class Silent:
    """An observer that says nothing and never stops."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Say nothing."""

    def step(self, step: Step) -> None:
        """Say nothing."""

    def validated(self, iteration: int, mean_iou: Mapping[str, float | None]) -> None:
        """Say nothing."""

    def stop_asked(self) -> bool:
        """Go on."""
        return False
