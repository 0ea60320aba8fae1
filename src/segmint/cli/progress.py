"""How a job tells what it does: a bar for people, lines for logs, JSON lines for programs, or nothing."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console

from segmint.cli.options import ProgressOptions
from segmint.cli.telling import cell, say, say_json, terminal
from segmint.listening import Pace

if TYPE_CHECKING:
    from segmint.runs.records import ItemRecord
    from segmint.runs.summary import RunSummary

LOG_EVERY_S = 30.0
"""Between two lines where no terminal shows a bar."""
LITTLE_WAITING = 0.05
"""Share of the drawing's time below which its waiting for masks needs no remedy."""


@dataclass(slots=True)
class Quiet:
    """Counts, and tells only what a person must know."""

    done: int = 0
    failed: int = 0
    todo: int = 0
    planned: int = 0
    began: float = field(default_factory=time.monotonic)
    pace_of_stages: Pace | None = None

    def starting(self, todo: int, planned: int) -> None:
        """As `Listener.starting`."""
        self.todo, self.planned, self.began = todo, planned, time.monotonic()

    def stepped(self, done: int, total: int) -> None:
        """As `Listener.stepped`."""

    def finished(self, record: "ItemRecord") -> None:
        """As `Listener.finished`."""
        if record.status == "failed":
            self.failed += 1
            self.noted(f"item {record.id} failed after {record.attempts} attempts: {record.error}")
        else:
            self.done += 1

    def noted(self, text: str) -> None:
        """As `Listener.noted`."""
        say(f"note: {text}", err=True)

    def paced(self, pace: Pace) -> None:
        """As `Listener.paced`."""
        self.pace_of_stages = pace

    def pace(self) -> tuple[float, float]:
        """Images a second so far, and seconds left at that pace."""
        did = self.done + self.failed
        rate = did / max(time.monotonic() - self.began, 1e-9)
        return rate, (self.todo - did) / rate if rate else float("inf")


@dataclass(slots=True)
class Lines(Quiet):
    """A line on stderr now and then, for logs."""

    last: float = float("-inf")

    def finished(self, record: "ItemRecord") -> None:
        """As `Listener.finished`."""
        Quiet.finished(self, record)
        now = time.monotonic()
        if now - self.last >= LOG_EVERY_S or self.done + self.failed == self.todo:
            self.last = now
            rate, left = self.pace()
            there = self.planned - self.todo + self.done
            say(f"{there} of {self.planned} items, {rate:.2g} images/s, {duration(left)} left", err=True)


@dataclass(slots=True)
class JsonLines(Quiet):
    """One JSON object a line on stdout."""

    def starting(self, todo: int, planned: int) -> None:
        """As `Listener.starting`."""
        Quiet.starting(self, todo, planned)
        self.tell("start", todo=todo, planned=planned)

    def finished(self, record: "ItemRecord") -> None:
        """As `Listener.finished`."""
        self.failed += record.status == "failed"
        self.done += record.status == "done"
        fields = record.model_dump(
            mode="json", exclude={"files", "checksum", "schema_version", "segmint_version"}
        )
        self.tell("item", **fields)

    def noted(self, text: str) -> None:
        """As `Listener.noted`."""
        self.tell("note", text=text)

    def tell(self, event: str, **fields: Any) -> None:
        """Print one event."""
        say_json({"event": event, **fields})


class Bar(Quiet):
    """A progress bar on the terminal."""

    def __init__(self, console: Console) -> None:
        Quiet.__init__(self)
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("minting"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, pace="loading the model")
        self._in_batch = 0.0

    def __enter__(self) -> "Bar":
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.stop()

    def starting(self, todo: int, planned: int) -> None:
        """As `Listener.starting`."""
        Quiet.starting(self, todo, planned)
        self._show("" if todo == 0 else "loading the model")

    def stepped(self, done: int, total: int) -> None:
        """As `Listener.stepped`."""
        rate, left = self.pace()
        known = f"{rate:.2g} images/s, {duration(left)} left, " if rate else ""
        self._show(f"{known}step {done} of {total}")

    def finished(self, record: "ItemRecord") -> None:
        """As `Listener.finished`."""
        Quiet.finished(self, record)
        rate, left = self.pace()
        self._show(f"{rate:.2g} images/s, {duration(left)} left")

    def noted(self, text: str) -> None:
        """As `Listener.noted`."""
        self._bar.console.print(f"[yellow]note:[/] {cell(text)}", highlight=False, soft_wrap=True)

    def _show(self, pace: str) -> None:
        there = self.planned - self.todo + self.done
        self._bar.update(self._task, completed=there, total=self.planned, pace=pace)


@contextmanager
def listening(progress: ProgressOptions) -> Iterator[Quiet]:
    """The listener that suits flags and terminal."""
    console = terminal(stderr=True)
    if progress.as_json:
        yield JsonLines()
    elif progress.quiet:
        yield Quiet()
    elif console.is_terminal:
        with Bar(console) as bar:
            yield bar
    else:
        yield Lines()


def print_summary(summary: "RunSummary", *, title: str, pace: Pace | None = None) -> None:
    """The table at the end of a run; `pace` of the work that was done just now."""
    from rich.table import Table

    console = terminal(file=sys.stdout)
    failed = f", [red]{summary.failed} failed[/]" if summary.failed else ""
    console.print(
        f"[bold]{cell(title)}[/]: {summary.done} of {summary.planned} items{failed}",
        highlight=False,
        soft_wrap=True,
    )
    if summary.truncated_prompts:
        console.print(
            f"[yellow]{summary.truncated_prompts} prompts were longer than the model reads; "
            "it saw their beginning[/]",
            highlight=False,
        )
    if not summary.done:
        return
    table = Table("class", box=None, header_style="bold", pad_edge=False)
    for column in ("items", "found", "mean area"):
        table.add_column(column, justify="right")
    for each in summary.classes:
        table.add_row(
            cell(each.name), str(each.named), f"{each.present / each.named:.0%}", f"{each.mean_area:.1%}"
        )
    console.print(table)
    sure = "" if summary.agreement is None else f", mean agreement {summary.agreement:.1%}"
    console.print(f"uncertain pixels {summary.uncertain_fraction or 0:.1%}{sure}", highlight=False)
    spent = " · ".join(f"{stage} {seconds:.2g} s" for stage, seconds in summary.seconds.items())
    console.print(f"time an item: {spent}", highlight=False)
    if pace is not None:
        console.print(held_back(pace), highlight=False)


def held_back(pace: Pace) -> str:
    """What held the work back, drawing or masks, and the remedy."""
    if pace.waiting < LITTLE_WAITING:
        return f"drawing: it waited {pace.waiting:.0%} of the time for masks"
    enough = pace.enough_mask_workers
    remedy = f"; try --mask-workers {enough}" if enough > pace.mask_workers else ""
    return f"masks: the drawing waited {pace.waiting:.0%} of the time{remedy}"


def summary_fields(summary: "RunSummary") -> dict[str, Any]:
    """The summary as plain data, for JSON."""
    return asdict(summary)


def duration(seconds: float) -> str:
    """Rounded for people: 40 s, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds == float("inf"):
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
