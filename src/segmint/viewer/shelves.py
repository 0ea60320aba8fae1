"""What takes the viewer long to work out, held while somebody looks: an item's stages, a run's
statistics, what its items look like."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from segmint.errors import ImageError, SegmintError
from segmint.pictures.stages import Stage, draw_stages, explain
from segmint.runs import layout
from segmint.runs.curation.alike import (
    MOST,
    Alike,
    Likeness,
    Mark,
    check_threshold,
    compare,
    mark_of,
    standing_first,
)  # fmt: skip
from segmint.runs.store import Run
from segmint.viewer.catalog import Catalog
from segmint.viewer.pages import page, statistics_values
from segmint.viewer.pictures import Pictures
from segmint.viewer.statistics import Centre, centres, heat_maps, measure
from segmint.vocabulary import Vocabulary

Found = TypeVar("Found")
STAGES_HELD = 4
"""Items whose stages stay in memory."""
IDLE_S = 15.0
"""Reading items stops when nobody has looked at the page for this long."""
PAIRED_WHILE_READING = 1000
"""Items of which pairs are told before all are read; of more, each look would take seconds."""
CHUNK = 64
"""Items read between two looks at the clock."""


class StageShelf:
    """Stages of the items looked at last."""

    def __init__(self, run: Run, vocabulary: Vocabulary) -> None:
        self.run, self.vocabulary = run, vocabulary
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, str], list[Stage]] = OrderedDict()

    def stages(self, item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> list[Stage]:
        """The item's stages; one request computes, the others wait for it."""
        key = (item_id, mask_set)
        with self._lock:
            if key not in self._held:
                self._held[key] = draw_stages(explain(self.run, self.vocabulary, item_id, mask_set))
                while len(self._held) > STAGES_HELD:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsPage:
    """The page so far: of how many masks the centres of mass are known."""

    html: str
    masks_read: int
    masks_total: int


class Reader(Generic[Found]):
    """Reads every item in the background, as long as somebody looks."""

    def __init__(self, ids: Callable[[], Sequence[str]], read: Callable[[str], Found]) -> None:
        self._ids, self._read = ids, read
        self._found: dict[str, Found] = {}
        self._lock = threading.Lock()
        self._reading, self._looked_s = False, 0.0

    def found(self) -> dict[str, Found]:
        """What is known of which items by now; asking keeps the reading going."""
        self._looked_s = time.monotonic()
        with self._lock:
            if not self._reading:
                self._reading = True
                threading.Thread(target=self._work, daemon=True, name="segmint-reader").start()
            return dict(self._found)

    def _work(self) -> None:
        try:
            while time.monotonic() - self._looked_s < IDLE_S:
                ids = self._ids()
                with self._lock:
                    todo = [each for each in ids if each not in self._found][:CHUNK]
                if not todo:
                    return
                fresh = {each: self._read(each) for each in todo}
                with self._lock:
                    self._found.update(fresh)
        finally:
            with self._lock:
                self._reading = False


class StatisticsShelf:
    """Statistics of the viewer's mask sets."""

    def __init__(self, catalog: Catalog, pictures: Pictures) -> None:
        self.catalog, self.pictures = catalog, pictures
        self._readers: dict[str, Reader[tuple[Centre, ...]]] = {}
        self._lock = threading.Lock()

    def page(self, mask_set: str, *, with_rejected: bool) -> StatisticsPage:
        """The page as far as masks are read; asking again finds more."""
        known = self._reader(mask_set).found()
        table = self.catalog.table(mask_set)
        with self.catalog.lock:
            measured = measure(table, with_rejected=with_rejected)
            total = len(table)
        included = [
            c for i, cs in known.items() if with_rejected or self.catalog.state(i) != "rejected" for c in cs
        ]
        note = f"Centres of mass over the image, from {len(known)} of {total} masks."
        values = statistics_values(measured, heat_maps(included), self.catalog.vocabulary, note)
        return StatisticsPage(
            html=page("statistics.html", **values), masks_read=len(known), masks_total=total
        )

    def _reader(self, mask_set: str) -> Reader[tuple[Centre, ...]]:
        with self._lock:
            if mask_set not in self._readers:
                self._readers[mask_set] = Reader(
                    partial(self.catalog.ids, mask_set), partial(self._centres_of, mask_set)
                )
            return self._readers[mask_set]

    def _centres_of(self, mask_set: str, item_id: str) -> tuple[Centre, ...]:
        try:
            return tuple(centres(self.pictures.mask(item_id, mask_set)))
        except ImageError:
            return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlikePage:
    """Pairs so far: of how many items it is known what they look like."""

    found: Alike
    distance: int | float
    done: int
    total: int
    without: int
    """Items that cannot be compared: their features were not kept, or a file is damaged."""


class AlikeShelf:
    """Near-duplicates among the items that are not rejected, as `segmint curate --duplicates` finds them."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._readers = {by: Reader(catalog.ids, partial(self._mark, by)) for by in MOST}
        self._last: tuple[object, Alike] = (None, Alike(taken=[], left=[]))

    def page(self, by: Likeness, distance: int | float) -> AlikePage:
        """The pairs as far as items are read, of many once all are; asking again finds more.

        Raises:
            ConfigError: the distance is beyond what may count as alike.
        """
        check_threshold(distance, by)
        read = self._readers[by].found()
        known = {item_id: mark for item_id, mark in read.items() if mark is not None}
        total = len(self.catalog.ids())
        if len(read) < total > PAIRED_WHILE_READING:
            known = {}
        agreements = self.catalog.agreements()
        order = tuple(each for each in standing_first(agreements) if each in known)
        asked, (answered, found) = (by, distance, order), self._last
        if asked != answered:
            found = compare(order, known, distance, by=by)
            self._last = (asked, found)
        without = sum(mark is None for mark in read.values())
        return AlikePage(found=found, distance=distance, done=len(read), total=total, without=without)

    def _mark(self, by: Likeness, item_id: str) -> Mark | None:
        try:
            return mark_of(self.catalog.run, self.catalog.run.record(item_id), by)
        except SegmintError:  # the grid tells of it
            return None
