"""How long work tells what it does: to a progress bar, a log, a test, or nobody."""

from typing import Any, Protocol, runtime_checkable


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
