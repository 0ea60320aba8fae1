"""Keep and reject decisions: an append-only record in the run, replayed to each item's state.

Each line of `curation.jsonl` is one event, written in one piece and flushed to the disk before anybody is
told: either a group of decisions made together or the undoing of an earlier group. A line that a crash cut
short is closed and skipped, never joined to the next one: a record can lose the event in flight and no other.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from segmint.errors import RunError, StorageError
from segmint.runs import layout
from segmint.runs.files.local import Files, LocalFiles

State = Literal["undecided", "kept", "rejected"]
STATES: tuple[State, ...] = get_args(State)
TORN = b"~\n"
"""Closes a line that a crash cut short, in a way that no whole line can end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the record: decisions made together by a person or a rule, or the undoing of one."""

    event_id: str
    time: str
    by: str
    why: str | None = None
    decisions: Mapping[str, State] = field(default_factory=dict)
    undoes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What an undo took back: the event, and the states that its items have now."""

    event: Event
    states: Mapping[str, State]


class CurationLog:
    """The record of one run, kept up to date by reading only what was appended since the last look."""

    def __init__(self, run: Path | None) -> None:
        self.path = None if run is None else run / layout.CURATION
        self.damaged_lines = 0
        self._events: list[Event] = []
        self._undone: set[str] = set()
        self._states: dict[str, State] = {}
        self._offset = 0
        self.refresh()

    @property
    def states(self) -> Mapping[str, State]:
        """State of every item that is kept or rejected; any other item is undecided."""
        return self._states

    @property
    def mentioned(self) -> set[str]:
        """Items that any event decided, whether it was undone or not."""
        return {item_id for event in self._events for item_id in event.decisions}

    def state(self, item_id: str) -> State:
        """State of one item."""
        return self._states.get(item_id, "undecided")

    def refresh(self) -> bool:
        """Read what was appended, by this process or another; True where there was something."""
        if self.path is None:
            return False
        try:
            with self.path.open("rb") as file:
                file.seek(0, os.SEEK_END)
                if file.tell() < self._offset:
                    self._forget()
                file.seek(self._offset)
                lines = file.read().splitlines(keepends=True)
        except FileNotFoundError:
            had = bool(self._events)
            self._forget()
            return had
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from None
        whole = [line for line in lines if line.endswith(b"\n")]
        self._offset += sum(map(len, whole))
        self._replay(whole)
        return bool(whole)

    def replay(self, data: bytes) -> None:
        """Take in a record that was read elsewhere; a line that is not whole is left out."""
        self._replay(line for line in data.splitlines(keepends=True) if line.endswith(b"\n"))

    def last(self, by: str | None = None) -> Event | None:
        """The newest group of decisions that is not undone, of one author or of anybody."""
        for event in reversed(self._events):
            if event.undoes is None and event.event_id not in self._undone and by in (None, event.by):
                return event
        return None

    def _forget(self) -> None:
        self._events, self._undone, self._states, self._offset, self.damaged_lines = [], set(), {}, 0, 0

    def _replay(self, lines: Iterable[bytes]) -> None:
        touched: set[str] = set()
        for line in lines:
            if not line.strip():
                continue
            event = _decode(line)
            if event is None:
                self.damaged_lines += 1
            elif event.undoes is None:
                self._events.append(event)
                self._apply(event.decisions)
            elif event.undoes not in self._undone:
                self._undone.add(event.undoes)
                touched |= {i for e in self._events if e.event_id == event.undoes for i in e.decisions}
        if touched:
            self._rebuild(touched)

    def _rebuild(self, items: set[str]) -> None:
        for item_id in items:
            self._states.pop(item_id, None)
        for event in self._events:
            if event.event_id not in self._undone:
                self._apply({i: state for i, state in event.decisions.items() if i in items})

    def _apply(self, decisions: Mapping[str, State]) -> None:
        for item_id, state in decisions.items():
            if state == "undecided":
                self._states.pop(item_id, None)
            else:
                self._states[item_id] = state


def decide(run: Path, decisions: Mapping[str, State], *, by: str, why: str | None = None) -> Event:
    """Write one group of decisions down; they are on the disk when this returns.

    Args:
        run: the run folder.
        decisions: the new state of each item.
        by: author; `undo` can be limited to an author's own decisions.
        why: the rule or remark behind the decisions.

    Raises:
        StorageError: the record cannot be written; nothing is decided then.
    """
    event = Event(event_id=uuid.uuid4().hex[:12], time=_now(), by=by, why=why, decisions=dict(decisions))
    _append(run, event)
    return event


def undo(run: Path, *, by: str | None = None) -> Undone | None:
    """Take the newest group of decisions back, of one author or of anybody; None where there is none left."""
    log = CurationLog(run)
    event = log.last(by)
    if event is None:
        return None
    _append(run, Event(event_id=uuid.uuid4().hex[:12], time=_now(), by=by or event.by, undoes=event.event_id))
    log.refresh()
    return Undone(event=event, states={item_id: log.state(item_id) for item_id in event.decisions})


def read_states(run: Path) -> Mapping[str, State]:
    """State of every kept or rejected item of a run; empty where nothing was decided."""
    return CurationLog(run).states


def states_at(files: Files) -> Mapping[str, State]:
    """As `read_states`, wherever the run lives; decisions are made on a disk, and copied along."""
    if isinstance(files, LocalFiles):
        return CurationLog(files.root).states
    log = CurationLog(None)
    if files.exists(layout.CURATION):
        log.replay(files.read(layout.CURATION))
    return log.states


def accepted(item_ids: Iterable[str], states: Mapping[str, State], *, kept_only: bool = False) -> list[str]:
    """The items that a dataset made of this run holds: all but the rejected, or only those kept by hand."""
    if kept_only:
        return [item_id for item_id in item_ids if states.get(item_id) == "kept"]
    return [item_id for item_id in item_ids if states.get(item_id) != "rejected"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encode(event: Event) -> bytes:
    data: dict[str, Any] = {"event": event.event_id, "time": event.time, "by": event.by}
    if event.why is not None:
        data["why"] = event.why
    if event.undoes is not None:
        data["undoes"] = event.undoes
    else:
        data["decisions"] = dict(event.decisions)
    return json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _decode(line: bytes) -> Event | None:
    try:
        data = json.loads(line)
        decisions = data.get("decisions", {})
        if not all(state in STATES for state in decisions.values()):
            return None
        return Event(
            event_id=str(data["event"]),
            time=str(data["time"]),
            by=str(data["by"]),
            why=data.get("why"),
            decisions={str(item_id): state for item_id, state in decisions.items()},
            undoes=data.get("undoes"),
        )
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def _append(run: Path, event: Event) -> None:
    path = run / layout.CURATION
    if not run.is_dir():
        raise RunError(f"no run folder at {run}")
    try:
        with path.open("ab+", buffering=0) as file, _exclusive(file.fileno()):
            size = file.seek(0, os.SEEK_END)
            torn = False
            if size:
                file.seek(size - 1)
                torn = file.read(1) != b"\n"
            line = (TORN if torn else b"") + _encode(event)
            whole = file.write(line) == len(line)
            if not whole:  # a full disk takes a part: leave none of it
                file.truncate(size)
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"cannot write the decision to {path}: {error.strerror}") from None
    if not whole:
        raise StorageError(f"no space left to write the decision to {path}; make room, then decide again")


@contextmanager
def _exclusive(descriptor: int) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows: one write in append mode has to do
        yield
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
