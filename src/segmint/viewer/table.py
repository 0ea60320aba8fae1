"""The records of a mask set as columns, so that 20 000 items are filtered and sorted in milliseconds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Shaped

from segmint.errors import SegmintError
from segmint.runs import layout
from segmint.runs.curation.decisions import STATES
from segmint.runs.curation.rules import parse_number
from segmint.runs.files.local import LocalFiles
from segmint.runs.records import ItemRecord, decode_record
from segmint.vocabulary import Vocabulary

MEASURES = ("uncertain", "agreement", "presence", "consistency", "separability", "specks", "smallest")
"""Numbers of the rules that have a column, and can be sorted by."""
SORTS = ("index", *MEASURES, "area", "state", "method", "id")
_MEASURED = {name: parse_number(name) for name in MEASURES}
CHUNK = 256
"""Records read under one hold of the lock, so that requests get in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to show, in which order. Areas and shares are fractions of an item's pixels."""

    text: str = ""
    state: str = ""
    """One of STATES, or empty for any."""
    classes: tuple[str, ...] = ()
    """Classes that an item must show (an area above 0)."""
    area_class: str = ""
    """The class that `area_min`, `area_max` and the sort "area" speak of."""
    area_min: float = 0.0
    area_max: float = 1.0
    uncertain_min: float = 0.0
    uncertain_max: float = 1.0
    method: str = ""
    sort: str = "index"
    descending: bool = False


class Table:
    """Columns over the items of one mask set, in the order in which they were found; grows as items appear.

    Items are found by scanning the folder of records; an unreadable record makes a row that says so. Not safe
    for threads by itself: its owner holds a lock around every call.
    """

    def __init__(self, run: Path, vocabulary: Vocabulary, mask_set: str) -> None:
        self.files, self.mask_set = LocalFiles(run), mask_set
        self.names = vocabulary.label_names
        self.ids: list[str] = []
        self.prompts: list[str] = []
        self.methods: list[str] = []
        self.row_of: dict[str, int] = {}
        self.problems: dict[str, str] = {}
        self.version = 0
        self._columns: dict[str, np.ndarray[Any, Any]] = {
            "index": np.zeros(0, np.int64),
            **{name: np.zeros(0, np.float32) for name in MEASURES},
            "method": np.zeros(0, np.uint8),
            "pixels": np.zeros(0, np.int64),
            "state": np.zeros(0, np.uint8),
            "stamp": np.zeros(0, np.int64),
        }
        self._areas = np.zeros((0, len(self.names)), np.float32)
        self._named = np.zeros((0, len(self.names)), bool)
        self._folder_stamp = -1

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, name: str) -> Shaped[np.ndarray, "item"]:
        """One column over all rows: those of MEASURES, index, method, pixels, state, stamp."""
        return self._columns[name][: len(self)]

    @property
    def areas(self) -> Float32[np.ndarray, "item label"]:
        """Share of the pixels, (item, label in the order of `names`)."""
        return self._areas[: len(self)]

    @property
    def named(self) -> Bool[np.ndarray, "item label"]:
        """Whether an item's prompt was asked to show the class, (item, label)."""
        return self._named[: len(self)]

    def method(self, row: int) -> str:
        """The method that made a row's mask."""
        return self.methods[int(self._columns["method"][row])] if self.methods else ""

    def pending(self) -> list[tuple[str, int]]:
        """(id, modification time in ns) of records that are new or changed since they were read, by id."""
        try:
            folder = self.files.inside(layout.record("x", self.mask_set).parent)
            stamp = folder.stat().st_mtime_ns
            if stamp == self._folder_stamp:
                return []
            with os.scandir(folder) as entries:
                found = [
                    (entry.name[:-5], entry.stat(follow_symlinks=False).st_mtime_ns)
                    for entry in entries
                    if entry.name.endswith(".json")
                ]
        except FileNotFoundError:
            return []
        self._folder_stamp = stamp
        stamps, rows = self._columns["stamp"], self.row_of
        return sorted((i, s) for i, s in found if i not in rows or stamps[rows[i]] != s)

    def look_again(self) -> None:
        """Scan the folder on the next call of `pending`, changed or not."""
        self._folder_stamp = -1

    def read(self, pending: Sequence[tuple[str, int]]) -> None:
        """Read these records in; an unreadable one becomes a row that says so."""
        for item_id, stamp in pending:
            row = self._row(item_id)
            self._columns["stamp"][row] = stamp
            try:
                path = layout.record(item_id, self.mask_set)
                record = decode_record(self.files.read(path), ItemRecord, source=path.name)
                self.problems.pop(item_id, None)
                self._fill(row, record)
            except SegmintError as error:
                self.problems[item_id] = str(error)
                self._blank(row)
        if pending:
            self.version += 1

    def set_states(self, states: dict[str, str]) -> None:
        """Take over the curation record's states."""
        column = self._columns["state"]
        column[:] = 0
        for item_id, state in states.items():
            row = self.row_of.get(item_id)
            if row is not None:
                column[row] = STATES.index(state)

    def order(self, query: Query) -> Int32[np.ndarray, "row"]:
        """Rows that the query shows, in its order; equal ones by index."""
        keep = self._matching(query)
        rows = np.flatnonzero(keep).astype(np.int32)
        index = self.column("index")[rows]
        key = self._sort_key(query)[rows]
        if query.descending:
            key = -key
        ordered: Int32[np.ndarray, "row"] = rows[np.lexsort((index, key))]
        return ordered

    def _matching(self, query: Query) -> Bool[np.ndarray, "item"]:
        keep = np.ones(len(self), bool)
        uncertain = self.column("uncertain")
        if query.uncertain_min > 0 or query.uncertain_max < 1:
            keep &= (uncertain >= query.uncertain_min) & (uncertain <= query.uncertain_max)
        for name in query.classes:
            keep &= self.areas[:, self.names.index(name)] > 0 if name in self.names else False
        if query.area_class in self.names and (query.area_min > 0 or query.area_max < 1):
            area = self.areas[:, self.names.index(query.area_class)]
            keep &= (area >= query.area_min) & (area <= query.area_max)
        if query.state in STATES:
            keep &= self.column("state") == STATES.index(query.state)
        if query.method:
            known = query.method in self.methods
            keep &= self.column("method") == self.methods.index(query.method) if known else False
        if query.text:
            wanted = query.text.casefold().split()
            rows = np.flatnonzero(keep)
            for row in rows:
                text = f"{self.ids[row]} {self.prompts[row]}".casefold()
                keep[row] = all(word in text for word in wanted)
        return keep

    def _sort_key(self, query: Query) -> Float64[np.ndarray, "item"]:
        if query.sort == "area" and query.area_class in self.names:
            area: Float64[np.ndarray, "item"] = self.areas[:, self.names.index(query.area_class)].astype(
                np.float64
            )
            return area
        if query.sort == "id":
            ranks = np.empty(len(self), np.float64)
            ranks[np.argsort(np.asarray(self.ids))] = np.arange(len(self))
            return ranks
        name = query.sort if query.sort in self._columns else "index"
        key: Float64[np.ndarray, "item"] = self.column(name).astype(np.float64)
        return key

    def _row(self, item_id: str) -> int:
        row = self.row_of.get(item_id)
        if row is not None:
            return row
        row = self.row_of[item_id] = len(self.ids)
        self.ids.append(item_id)
        self.prompts.append("")
        if row >= len(self._areas):
            self._grow(max(1024, 2 * row))
        return row

    def _grow(self, size: int) -> None:
        for name, column in self._columns.items():
            self._columns[name] = np.concatenate([column, np.zeros(size - len(column), column.dtype)])
        extra = (size - len(self._areas), len(self.names))
        self._areas = np.concatenate([self._areas, np.zeros(extra, np.float32)])
        self._named = np.concatenate([self._named, np.zeros(extra, bool)])

    def _fill(self, row: int, record: ItemRecord) -> None:
        if record.method not in self.methods:
            self.methods.append(record.method)
        columns = self._columns
        columns["index"][row] = record.index
        for name, measured in _MEASURED.items():
            columns[name][row] = _number(measured(record))
        columns["pixels"][row] = (record.width_px or 0) * (record.height_px or 0)
        columns["method"][row] = self.methods.index(record.method)
        self.prompts[row] = record.prompt
        self._areas[row] = [record.areas.get(name, 0.0) for name in self.names]
        self._named[row] = [name in record.classes for name in self.names]

    def _blank(self, row: int) -> None:
        for name in MEASURES:
            self._columns[name][row] = np.nan
        self._columns["index"][row] = row
        self._areas[row] = 0


def _number(value: int | float | None) -> float:
    return float("nan") if value is None else float(value)
