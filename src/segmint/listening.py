"""How long work tells what it does: one listener for all of it, and what a training tells it.

From Python there is a bar where somebody looks, and the rest goes to `logging`; commands have listeners of
their own.
"""

import logging
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

LOGGER = logging.getLogger("segmint")
"""Where what a person should know goes, where no command prints it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Where the time of drawing and of mask-making, side by side, went: seconds summed over all workers."""

    drawing_s: float = 0.0
    """Batches before the model."""
    waiting_s: float = 0.0
    """Drawing that stood still because too many masks were still to be made."""
    masks_s: float = 0.0
    """Masks, and the encoding of files."""
    mask_workers: int = 1
    """Beside each model."""

    def __add__(self, other: "Pace") -> "Pace":
        """Both together, of alike workers."""
        return Pace(
            drawing_s=self.drawing_s + other.drawing_s,
            waiting_s=self.waiting_s + other.waiting_s,
            masks_s=self.masks_s + other.masks_s,
            mask_workers=max(self.mask_workers, other.mask_workers),
        )

    @property
    def waiting(self) -> float:
        """Share of the drawing's time that it waited."""
        return self.waiting_s / max(self.drawing_s + self.waiting_s, 1e-9)

    @property
    def enough_mask_workers(self) -> int:
        """Mask workers beside each model that would keep up with it, at the speed that they had."""
        return max(1, math.ceil(self.masks_s / max(self.drawing_s, 1e-9)))


@runtime_checkable
class Listener(Protocol):
    """Who wants to know how some long work goes."""

    def starting(self, todo: int, planned: int) -> None:
        """Work on `todo` of `planned` things begins; the others are done already."""
        ...

    def stepped(self, done: int, total: int) -> None:
        """The thing in hand has done so many of its steps: denoising steps of a batch, lines of a file."""
        ...

    def finished(self, what: Any) -> None:
        """A thing is done for good: an `ItemRecord` (whole or failed), or what else the work is about."""
        ...

    def noted(self, text: str) -> None:
        """Something that a person should know."""
        ...

    def paced(self, pace: Pace) -> None:
        """How drawing and mask-making went side by side, once at the end."""
        ...


class Silent:
    """A listener that keeps to itself. Derive from it to hear only some of it."""

    def starting(self, todo: int, planned: int) -> None:
        """Nothing."""

    def stepped(self, done: int, total: int) -> None:
        """Nothing."""

    def finished(self, what: Any) -> None:
        """Nothing."""

    def noted(self, text: str) -> None:
        """Nothing."""

    def paced(self, pace: Pace) -> None:
        """Nothing."""


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


class Logged(Silent):
    """Tells by Python's `logging` what a person should know: notes, and things that failed."""

    def finished(self, what: Any) -> None:
        """Log a failure."""
        if getattr(what, "status", "done") == "failed":
            LOGGER.warning("item %s failed after %d attempts: %s", what.id, what.attempts, what.error)

    def noted(self, text: str) -> None:
        """Log the note."""
        LOGGER.warning("%s", text)


class ProgressBar(Logged):
    """A bar on stderr for scripts and notebooks, of the things that are still to be done."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Any = None

    def starting(self, todo: int, planned: int) -> None:
        """Show the bar, unless nothing is to be done."""
        self.close()
        if todo:
            self._bar = _bar_class()(total=planned, initial=planned - todo, desc=self._name, leave=False)

    def stepped(self, done: int, total: int) -> None:
        """Say how far the things in hand are."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"step {done} of {total}")

    def finished(self, what: Any) -> None:
        """One more."""
        super().finished(what)
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def is_watched() -> bool:
    """Whether somebody sees a bar: in a notebook, or at a terminal."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def _bar_class() -> Any:
    """The bar with widgets where a notebook has them, else the one made of letters."""
    if "ipykernel" in sys.modules and find_spec("ipywidgets"):
        from tqdm.notebook import tqdm as in_notebook

        return in_notebook
    from tqdm import tqdm

    return tqdm
