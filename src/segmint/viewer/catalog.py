"""A run as the viewer sees it: tables that follow the folder while it grows, decisions, frozen orders."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segmint.errors import RunError, SegmintError
from segmint.runs import layout
from segmint.runs.curation.decisions import STATES, CurationLog, Event, State, Undone, decide, undo
from segmint.runs.masksets import check_mask_set, mask_set_names
from segmint.runs.store import Run, heal_image_sets, open_run, write_image_sets
from segmint.viewer.table import CHUNK, Query, Table

POLL_S = 1.0
"""How often the folder is looked at for new items."""
BREATH_S = 0.002
"""Rest between two chunks, in which a waiting request gets its turn."""
SETTLE_S = 0.5
"""Rest after the last decision before the image-set lists are written again."""
KEPT_ORDERS = 16
"""Frozen orders held at a time; an older one is made anew when asked for."""

Carry = Callable[[Mapping[str, State]], None]
"""Writes changed states down where a copy of a run came from; where it raises, nothing is decided."""
Order = np.ndarray[tuple[int], np.dtype[np.int32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A stretch of a query's result; `order` names the frozen order, so that further pages agree."""

    order: str
    total: int
    offset: int
    rows: tuple[int, ...]


class Catalog:
    """Everything that requests ask about a run, safe for threads; `watching` follows the folder."""

    def __init__(self, folder: Path, carry: Carry | None = None) -> None:
        self.run: Run = open_run(folder)
        self._carry = carry
        heal_image_sets(self.run)
        self.folder = folder
        self.vocabulary = self.run.vocabulary()
        self.lock = threading.RLock()
        self.decisions = 0
        self._log = CurationLog(folder)
        self._tables: dict[str, Table] = {}
        self._orders: OrderedDict[str, tuple[tuple[object, ...], Order]] = OrderedDict()
        self._serial = 0
        self._stop, self._wake = threading.Event(), threading.Event()
        self._lists_due = threading.Event()

    def mask_sets(self) -> list[str]:
        """Names of the mask sets, the default one ("") first."""
        return mask_set_names(self.run)

    def table(self, mask_set: str) -> Table:
        """The table of a mask set, opened on first use.

        Raises:
            RunError: the run has no such mask set.
        """
        with self.lock:
            if mask_set not in self._tables:
                check_mask_set(self.run, mask_set)
                self._tables[mask_set] = Table(self.folder, self.vocabulary, mask_set)
                self._advance(mask_set, chunks=1)
                self._wake.set()
            return self._tables[mask_set]

    def row(self, mask_set: str, item_id: str) -> int:
        """The item's row in a table.

        Raises:
            RunError: the run has no such item, in this mask set.
        """
        table = self.table(mask_set)
        with self.lock:
            if item_id not in table.row_of:
                self._advance(mask_set)
            row = table.row_of.get(item_id)
        if row is None:
            where = f"mask set {mask_set!r}" if mask_set else "this run"
            raise RunError(f"no item {item_id[:120]!r} in {where}")
        return row

    def ids(self, mask_set: str = layout.DEFAULT_MASK_SET) -> list[str]:
        """Every item that was found in a mask set."""
        table = self.table(mask_set)
        with self.lock:
            return list(table.ids)

    def agreements(self) -> dict[str, float]:
        """Agreement of every item that is not rejected; 0 where its method casts no votes."""
        table = self.table(layout.DEFAULT_MASK_SET)
        with self.lock:
            values = np.nan_to_num(table.column("agreement")).tolist()
            rejected = (table.column("state") == STATES.index("rejected")).tolist()
            rows = zip(table.ids, values, rejected, strict=True)
            return {item_id: value for item_id, value, gone in rows if not gone}

    def page(self, mask_set: str, query: Query, offset: int, limit: int, order: str = "") -> Page:
        """A stretch of the result; the first call freezes an order, later ones name it and stay in it."""
        table = self.table(mask_set)
        with self.lock:
            asked = (mask_set, query)
            held = self._orders.get(order)
            if held is None or held[0] != asked:
                order, rows = self._freeze(asked, table.order(query))
            else:
                self._orders.move_to_end(order)
                rows = held[1]
            chosen = rows[max(offset, 0) : max(offset, 0) + limit]
            return Page(order=order, total=len(rows), offset=max(offset, 0), rows=tuple(chosen.tolist()))

    def state(self, item_id: str) -> State:
        """Whether the item is kept, rejected or undecided."""
        with self.lock:
            return self._log.state(item_id)

    def corrections(self) -> dict[str, Any] | None:
        """What was imported last and not taken back: mask set, why, when, how many items."""
        with self.lock:
            event = self._log.imported()
        if event is None:
            return None
        return {"masks": event.masks, "why": event.why, "time": event.time, "items": len(event.decisions)}

    def decide(self, item_ids: Sequence[str], state: State, by: str, why: str | None = None) -> Event:
        """Write a decision down; it is on the disk when this returns."""
        event = decide(self.folder, dict.fromkeys(item_ids, state), by=by, why=why, then=self._carried)
        self._read_decisions()
        self._lists_due.set()
        return event

    def undo(self, by: str) -> Undone | None:
        """Take this author's last decision back."""
        undone = undo(self.folder, by=by, then=self._carried)
        self._read_decisions()
        self._lists_due.set()
        return undone

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow the folder in the background while the block runs; the image-set lists agree after it."""
        thread = threading.Thread(target=self._follow, name="segmint-catalog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._wake.set()
            thread.join(timeout=30)
            self._write_lists()

    def refresh(self) -> None:
        """Read everything that is new, now."""
        self.table(layout.DEFAULT_MASK_SET)
        for mask_set in list(self._tables):
            self._advance(mask_set)
        self._read_decisions()

    def _follow(self) -> None:
        while not self._stop.is_set():
            with suppress(SegmintError):  # a folder that is away for a moment is looked at again
                self.refresh()
            if self._lists_due.is_set() and not self._stop.wait(SETTLE_S):
                self._write_lists()
            self._wake.wait(POLL_S)
            self._wake.clear()

    def _advance(self, mask_set: str, chunks: int | None = None) -> None:
        with self.lock:
            table = self._tables[mask_set]
            pending = table.pending()
        starts = range(0, len(pending), CHUNK)[:chunks]
        for start in starts:
            with self.lock:
                table.read(pending[start : start + CHUNK])
                table.set_states(dict(self._log.states))
            self._stop.wait(BREATH_S)
        if len(starts) * CHUNK < len(pending):
            table.look_again()

    def _read_decisions(self) -> None:
        with self.lock:
            if self._log.refresh():
                self.decisions += 1
                for table in self._tables.values():
                    table.set_states(dict(self._log.states))

    def _carried(self) -> None:
        """Hand on what the record says now and did not say before."""
        if self._carry is None:
            return
        with self.lock:
            before = dict(self._log.states)
        now = CurationLog(self.folder).states
        changed: dict[str, State] = {
            item_id: now.get(item_id, "undecided")
            for item_id in before.keys() | now.keys()
            if now.get(item_id) != before.get(item_id)
        }
        if changed:
            self._carry(changed)

    def _write_lists(self) -> None:
        if self._lists_due.is_set():
            self._lists_due.clear()
            with suppress(SegmintError):  # a folder that cannot be written still has its record of decisions
                write_image_sets(self.run)

    def _freeze(self, asked: tuple[object, ...], rows: Order) -> tuple[str, Order]:
        self._serial += 1
        name = str(self._serial)
        self._orders[name] = (asked, rows)
        while len(self._orders) > KEPT_ORDERS:
            self._orders.popitem(last=False)
        return name, rows
