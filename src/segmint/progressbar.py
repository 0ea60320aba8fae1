"""How a job in Python tells what it does: a bar where somebody looks, the rest to `logging`."""

import logging
import sys
from importlib.util import find_spec
from typing import Any

from segmint.listening import Silent

LOGGER = logging.getLogger("segmint")
"""Where what a person should know goes, where no command prints it."""


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
