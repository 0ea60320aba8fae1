"""Keep and reject decisions: an append-only record in the run, replayed to each item's state.

Each line of `curation.jsonl` is one event, written in one piece and flushed to the disk before anybody is
told: either a group of decisions made together or the undoing of an earlier group. A line that a crash cut
short is closed and skipped, never joined to the next one: a record can lose the event in flight and no other.
"""

import errno
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Literal, get_args

from segmint.errors import RunError, StorageError
from segmint.limits import limits
from segmint.runs import layout
from segmint.runs.files.local import FULL, Files, LocalFiles, flush_folder, plainly
from segmint.runs.files.lock import NO_LOCKS, lock_refusal

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
    masks: str | None = None
    """The mask set that came with these decisions, and stands for the run's own until they are undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What an undo took back: the event, and the states that its items have now."""

    event: Event
    states: Mapping[str, State]


class CurationLog:
    """The record of one run, kept up to date by reading only what was appended since the last look."""

    def __init__(self, run: Path | None) -> None:
        self.path = None if run is None else LocalFiles(run).inside(layout.CURATION)
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

    @property
    def masks(self) -> str | None:
        """The mask set that was imported last and not taken back; None where there is none."""
        event = self.imported()
        return None if event is None else event.masks

    def imported(self) -> Event | None:
        """The newest import of masks that is not undone."""
        standing = (each for each in reversed(self._events) if each.event_id not in self._undone)
        return next((each for each in standing if each.masks is not None), None)

    def state(self, item_id: str) -> State:
        """State of one item."""
        return self._states.get(item_id, "undecided")

    def refresh(self) -> bool:
        """Read what was appended, by this process or another; True where there was something."""
        if self.path is None:
            return False
        try:
            with open(self.path, "rb", opener=plainly) as file:
                length = file.seek(0, os.SEEK_END)
                if length < self._offset:
                    self._forget()
                file.seek(self._offset)
                more = min(limits().list_bytes, length - self._offset)  # a read takes all its memory at once
                lines = file.read(more).splitlines(keepends=True)
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
        undone: set[str] = set()
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
                undone.add(event.undoes)
        if undone:
            self._rebuild({i for event in self._events if event.event_id in undone for i in event.decisions})

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


def decide(
    run: Path,
    decisions: Mapping[str, State],
    *,
    by: str,
    why: str | None = None,
    masks: str | None = None,
    then: Callable[[], None] | None = None,
) -> Event:
    """Write one group of decisions down; they are on the disk when this returns.

    Args:
        run: the run folder.
        decisions: the new state of each item.
        by: author; `undo` can be limited to an author's own decisions.
        why: the rule or remark behind the decisions.
        masks: the mask set that comes with them.
        then: what belongs to the decisions, such as bringing lists up to date: where it raises, nothing is
            decided.

    Raises:
        StorageError: the record cannot be written; nothing is decided then.
    """
    event = _event(by=by, why=why, decisions=dict(decisions), masks=masks)
    _append(run, [event], then)
    return event


def decide_all(
    run: Path,
    groups: Sequence[tuple[Mapping[str, State], str | None]],
    *,
    by: str,
    then: Callable[[], None] | None = None,
) -> list[Event]:
    """As `decide`, for several groups with their reasons: all of them, or none."""
    events = [_event(by=by, why=why, decisions=dict(decisions)) for decisions, why in groups]
    _append(run, events, then)
    return events


def undo(run: Path, *, by: str | None = None, then: Callable[[], None] | None = None) -> Undone | None:
    """Take the newest group of decisions back, of one author or of anybody; None where there is none left.

    `then`, and what is raised, as in `decide`.
    """
    log = CurationLog(run)
    event = log.last(by)
    if event is None:
        return None
    _append(run, [_event(by=by or event.by, undoes=event.event_id)], then)
    log.refresh()
    return Undone(event=event, states={item_id: log.state(item_id) for item_id in event.decisions})


def read_states(run: Path) -> Mapping[str, State]:
    """State of every kept or rejected item of a run; empty where nothing was decided."""
    return CurationLog(run).states


def states_at(files: Files) -> Mapping[str, State]:
    """As `read_states`, wherever the run lives; decisions are made on a disk, and copied along."""
    return log_at(files).states


def log_at(files: Files) -> CurationLog:
    """The record of a run, wherever it lives."""
    if isinstance(files, LocalFiles):
        return CurationLog(files.root if os.path.lexists(files.root / layout.CURATION) else None)
    log = CurationLog(None)
    if files.exists(layout.CURATION):
        log.replay(files.read(layout.CURATION))
    return log


def accepted(item_ids: Iterable[str], states: Mapping[str, State], *, kept_only: bool = False) -> list[str]:
    """The items that a dataset made of this run holds: all but the rejected, or only those kept by hand."""
    if kept_only:
        return [item_id for item_id in item_ids if states.get(item_id) == "kept"]
    return [item_id for item_id in item_ids if states.get(item_id) != "rejected"]


def _event(**said: Any) -> Event:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Event(event_id=uuid.uuid4().hex[:12], time=now, **said)


def _encode(event: Event) -> bytes:
    data: dict[str, Any] = {"event": event.event_id, "time": event.time, "by": event.by}
    if event.why is not None:
        data["why"] = event.why
    if event.masks is not None:
        data["masks"] = event.masks
    if event.undoes is not None:
        data["undoes"] = event.undoes
    else:
        data["decisions"] = dict(event.decisions)
    return json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _decode(line: bytes) -> Event | None:
    try:
        data = json.loads(line)
        decisions, why, undoes = data.get("decisions", {}), data.get("why"), data.get("undoes")
        masks = data.get("masks")
        if not all(state in STATES for state in decisions.values()):
            return None
        if not all(isinstance(each, str | None) for each in (why, undoes, masks)):
            return None
        return Event(
            event_id=str(data["event"]),
            time=str(data["time"]),
            by=str(data["by"]),
            why=why,
            decisions={str(item_id): state for item_id, state in decisions.items()},
            undoes=undoes,
            masks=masks,
        )
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def _append(run: Path, events: Sequence[Event], then: Callable[[], None] | None = None) -> None:
    """Write events down and do what belongs to them; where either is refused the record is as it was."""
    path = LocalFiles(run).inside(layout.CURATION)
    if not run.is_dir():
        raise RunError(f"no run folder at {run}")
    try:
        with open(path, "ab+", buffering=0, opener=plainly) as file, _exclusive(file.fileno()):
            size = file.seek(0, os.SEEK_END)
            try:
                _write_lines(file, size, b"".join(map(_encode, events)))
                flush_folder(run)
                if then is not None:
                    then()
            except BaseException:
                file.truncate(size)
                with suppress(OSError):
                    os.fsync(file.fileno())
                raise
    except OSError as error:
        if error.errno in FULL:
            raise StorageError(
                f"no space left to write the decision to {path}; make room, then decide again"
            ) from None
        if error.errno in NO_LOCKS:
            raise StorageError(lock_refusal(path, error)) from None
        raise StorageError(
            f"cannot write the decision to {path}: {error.strerror}; nothing is decided"
        ) from None


def _write_lines(file: FileIO, size: int, lines: bytes) -> None:
    torn = False
    if size:
        file.seek(size - 1)
        torn = file.read(1) != b"\n"
    data = (TORN if torn else b"") + lines
    if file.write(data) != len(data):  # a full disk takes a part
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file.fileno())


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
