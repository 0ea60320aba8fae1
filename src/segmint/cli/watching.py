"""Long work on a terminal: one line of progress, notes above it, Ctrl-C that ends cleanly."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from segmint.cli.progress import LOG_EVERY_S
from segmint.cli.telling import terminal
from segmint.listening import Silent, Stage, Step, Validated


class Watcher(Silent):
    """Shows a training's progress; see `segmint.listening`."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._tasks: dict[str, TaskID] = {}
        self._stopping = False
        self._told_at: dict[str, float] = {}

    def noted(self, text: str) -> None:
        """Print a line above the progress."""
        style = "yellow" if text.startswith(("warning", "broken")) else None
        self._console.print(text, style=style, highlight=False, markup=False)

    def finished(self, what: Any) -> None:
        """Show a stage, whose line goes when it ends, or an iteration; print the scores of a validation."""
        match what:
            case Stage():
                self._update(what.name, what.done, what.total, "")
                self._log(what.name, f"{what.done} of {what.total}")
                if what.done >= what.total:
                    self._progress.remove_task(self._tasks.pop(what.name))
            case Step():
                said = f"loss {what.loss:.4f}  lr {what.rate:.2e}  {what.images_per_s:.1f} images/s"
                self._update("training", what.iteration, what.iterations, said)
                self._log("training", f"iteration {what.iteration} of {what.iterations}, {said}")
            case Validated():
                names = {"raw": "weights", "ema": "running mean"}
                said = ", ".join(f"{names[kind]} {percent(value)}" for kind, value in what.mean_iou.items())
                self.noted(f"iteration {what.iteration}: mean IoU of the {said}")

    def stop_asked(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._stopping

    def ask_to_stop(self, *_: Any) -> None:
        """Take a first Ctrl-C as a wish, a second as an order."""
        if self._stopping:
            raise KeyboardInterrupt
        self._stopping = True
        self.noted("stopping after this step, with a checkpoint; --resume goes on (Ctrl-C again: at once)")

    def _log(self, name: str, said: str) -> None:
        """A line now and then, the first at once, where no terminal shows a bar."""
        now = time.monotonic()
        if not self._console.is_terminal and now - self._told_at.get(name, float("-inf")) >= LOG_EVERY_S:
            self._told_at[name] = now
            self.noted(f"{name}: {said}")

    def _update(self, name: str, done: int, total: int, said: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, said=said)
        self._progress.update(self._tasks[name], completed=done, total=total, said=said)


@contextmanager
def watched(console: Console, *, quiet: bool = False) -> Iterator[Watcher]:
    """A watcher for the time of some long work; with `quiet` it only catches Ctrl-C."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
    )
    shown = terminal(quiet=True) if quiet else console
    with Progress(*columns, console=shown, transient=True) as progress:
        watcher = Watcher(shown, progress)
        try:
            before = signal.signal(signal.SIGINT, watcher.ask_to_stop)
        except ValueError:  # not in the main thread: Ctrl-C is somebody else's business
            yield watcher
            return
        try:
            yield watcher
        finally:
            signal.signal(signal.SIGINT, before)


def counter(*, quiet: bool) -> Progress:
    """Name, bar, count and time left of some work, on stderr where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = terminal(stderr=True, quiet=quiet)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def percent(value: float | None) -> str:
    """A share as `59.6 %`, or – where there is none."""
    return "–" if value is None else f"{100 * value:.1f} %"
