"""What takes the viewer long to work out, held while somebody looks: an item's stages, a run's statistics."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from segmint.errors import ImageError
from segmint.pictures.stages import Stage, draw_stages, explain
from segmint.runs import layout
from segmint.runs.store import Run
from segmint.viewer.catalog import Catalog
from segmint.viewer.pages import page, statistics_values
from segmint.viewer.pictures import Pictures
from segmint.viewer.statistics import Centre, centres, heat_maps, measure
from segmint.vocabulary import Vocabulary

STAGES_HELD = 4
"""Items whose stages stay in memory."""
IDLE_S = 15.0
"""Reading masks stops when nobody has looked at the page for this long."""
CHUNK = 64
"""Masks read between two looks at the clock."""


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


class StatisticsShelf:
    """Statistics of the viewer's mask sets; masks are read in the background while somebody looks."""

    def __init__(self, catalog: Catalog, pictures: Pictures) -> None:
        self.catalog, self.pictures = catalog, pictures
        self._centres: dict[str, dict[str, tuple[Centre, ...]]] = {}
        self._lock = threading.Lock()
        self._readers: set[str] = set()
        self._looked_s = 0.0

    def page(self, mask_set: str, *, with_rejected: bool) -> StatisticsPage:
        """The page as far as masks are read; asking again finds more."""
        self._looked_s = time.monotonic()
        self._start_reader(mask_set)
        table = self.catalog.table(mask_set)
        with self.catalog.lock:
            measured = measure(table, with_rejected=with_rejected)
            total = len(table)
        with self._lock:
            known = dict(self._centres.get(mask_set, {}))
        included = [
            c for i, cs in known.items() if with_rejected or self.catalog.state(i) != "rejected" for c in cs
        ]
        note = f"Centres of mass over the image, from {len(known)} of {total} masks."
        values = statistics_values(measured, heat_maps(included), self.catalog.vocabulary, note)
        return StatisticsPage(
            html=page("statistics.html", **values), masks_read=len(known), masks_total=total
        )

    def _start_reader(self, mask_set: str) -> None:
        with self._lock:
            if mask_set in self._readers:
                return
            self._readers.add(mask_set)
            self._centres.setdefault(mask_set, {})
        threading.Thread(target=self._read, args=(mask_set,), daemon=True, name="segmint-centres").start()

    def _read(self, mask_set: str) -> None:
        try:
            while time.monotonic() - self._looked_s < IDLE_S:
                with self.catalog.lock, self._lock:
                    known = self._centres[mask_set]
                    todo = [i for i in self.catalog.table(mask_set).ids if i not in known][:CHUNK]
                if not todo:
                    return
                found = {item_id: self._centres_of(item_id, mask_set) for item_id in todo}
                with self._lock:
                    self._centres[mask_set].update(found)
        finally:
            with self._lock:
                self._readers.discard(mask_set)

    def _centres_of(self, item_id: str, mask_set: str) -> tuple[Centre, ...]:
        try:
            return tuple(centres(self.pictures.mask(item_id, mask_set)))
        except ImageError:
            return ()
