"""Statistics as HTML that the viewer shows and the report carries, and the reader of masks behind it."""

import threading
import time
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import Float, Int

from segmint.errors import ImageError
from segmint.pictures import paint
from segmint.viewer import charts
from segmint.viewer.catalog import Catalog
from segmint.viewer.markup import el, hex_colour, percent, picture, section, swatch, to_html
from segmint.viewer.pictures import Pictures
from segmint.viewer.statistics import Centre, ClassStatistics, Statistics, centres, heat_maps, measure
from segmint.vocabulary import Colour, Vocabulary

IDLE_S = 15.0
"""Reading masks stops when nobody has looked at the page for this long."""
CHUNK = 64
"""Masks read between two looks at the clock."""
HEAT_SPREAD_CELLS = 1.2
"""Standard deviation by which each centre is spread, so that a few of them read as a cloud."""
HEAT_PX = 120
"""Side of a centre-of-mass map on the page."""
MATRIX_LABELS = 40
"""Labels in the co-occurrence matrix; the most frequent where there are more."""

Heat = dict[int, Float[np.ndarray, "y x"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsPage:
    """The page so far: of how many masks the centres of mass are known."""

    html: str
    masks_read: int
    masks_total: int


def statistics_sections(
    measured: Statistics, heat: Heat, vocabulary: Vocabulary, note: str = ""
) -> list[Element]:
    """The statistics as titled sections, for any page that brings `figures.css`."""
    colours = {entry.name: paint.shown_colour(entry.colour) for entry in vocabulary.entries}
    classes = [each for each in measured.classes if each.column]
    return [
        _overview(measured),
        section(
            "Classes",
            _class_table(classes, colours),
            note="Missing: named in the prompt, absent from the mask.",
        ),
        section(
            "Area of a class in its images",
            _area_charts(classes, colours),
            note="Share of the image; bars count images.",
        ),
        section("Classes that appear together", _matrix(measured), note="Images that show both."),
        section("Certainty", _certainty(measured)),
        section(
            "Where classes lie",
            _heat_charts(heat, vocabulary),
            note=note or "Centres of mass over the image.",
        ),
    ]


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
        parts = statistics_sections(measured, heat_maps(included), self.catalog.vocabulary, note)
        html = "".join(map(to_html, parts))
        return StatisticsPage(html=html, masks_read=len(known), masks_total=total)

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


def _overview(measured: Statistics) -> Element:
    facts = {
        "images counted": f"{measured.items:,}",
        "kept": f"{measured.states['kept']:,}",
        "rejected": f"{measured.states['rejected']:,}",
        "undecided": f"{measured.states['undecided']:,}",
        "uncertain pixels": percent(measured.uncertain_mean),
        "mean agreement": percent(measured.agreement_mean),
    }
    pairs = [el("div", None, el("dt", None, name), el("dd", None, value)) for name, value in facts.items()]
    return el(
        "section", {"class": "figure-card overview"}, el("h2", None, "Overview"), el("dl", None, *pairs)
    )


def _class_table(classes: list[ClassStatistics], colours: dict[str, Colour]) -> Element:
    longest = max((each.pixel_share for each in classes), default=0) or 1
    heads = ("class", "named in", "shown in", "missing", "mean area", "pixels", "share of all pixels")
    head = el("tr", None, *(el("th", {"scope": "col"}, text) for text in heads))
    rows = [_class_row(each, colours[each.name], longest) for each in classes]
    table = el("table", {"class": "numbers"}, el("thead", None, head), el("tbody", None, *rows))
    return el("div", {"class": "scroll-x"}, table)


def _class_row(each: ClassStatistics, colour: Colour, longest: float) -> Element:
    cells = [
        f"{each.named:,}",
        f"{each.shown:,}",
        f"{each.missing:,}",
        percent(each.mean_area),
        f"{each.pixels:,}",
    ]
    bar = charts.share_bar(each.pixel_share / longest, hex_colour(colour))
    return el(
        "tr",
        None,
        el("th", {"scope": "row"}, swatch(colour), f" {each.name}"),
        *(el("td", None, text) for text in cells),
        el("td", {"class": "with-bar"}, bar, f" {percent(each.pixel_share)}"),
    )


def _area_charts(classes: list[ClassStatistics], colours: dict[str, Colour]) -> Element:
    shown = [each for each in classes if each.shown]
    figures = [
        el(
            "figure",
            None,
            el("figcaption", None, swatch(colours[each.name]), f" {each.name}"),
            charts.histogram(
                each.area_counts, f"Areas of {each.name}", colour=hex_colour(colours[each.name])
            ),
        )
        for each in shown
    ]
    return el("div", {"class": "multiples"}, *figures, None if shown else "No class appears yet.")


def _matrix(measured: Statistics) -> Element:
    order = sorted(
        (each for each in measured.classes if each.shown and each.column), key=lambda each: -each.shown
    )
    chosen = sorted(order[:MATRIX_LABELS], key=lambda each: each.column)
    columns = [each.column for each in chosen]
    if not chosen:
        return el("p", None, "No class appears yet.")
    counts = measured.cooccurrence[np.ix_(columns, columns)]
    return el(
        "div",
        {"class": "scroll-x"},
        charts.matrix([each.name for each in chosen], counts, "Co-occurrence of classes"),
    )


def _certainty(measured: Statistics) -> Element:
    def chart(title: str, counts: Int[np.ndarray, "bin"]) -> Element:
        return el(
            "figure",
            None,
            el("figcaption", None, title),
            charts.histogram(counts, title, width=320, height=110),
        )

    return el(
        "div",
        {"class": "multiples wide"},
        chart("Uncertain share of the image", measured.uncertain_counts),
        chart("Mean agreement of the ballots", measured.agreement_counts),
    )


def _heat_charts(heat: Heat, vocabulary: Vocabulary) -> Element:
    figures = [
        el(
            "figure",
            None,
            el("figcaption", None, swatch(paint.shown_colour(entry.colour)), f" {entry.name}"),
            picture(
                _heat_picture(heat[entry.label_id]), f"Centres of mass of {entry.name}", css_class="heat"
            ),
        )
        for entry in vocabulary.entries
        if entry.label_id in heat
    ]
    return el("div", {"class": "multiples"}, *figures, None if figures else "No mask is read yet.")


def _heat_picture(cells: Float[np.ndarray, "y x"]) -> paint.Picture:
    from scipy.ndimage import gaussian_filter

    spread = gaussian_filter(cells.astype(np.float32), HEAT_SPREAD_CELLS)
    smooth = paint.upsampled(spread / max(float(spread.max()), 1e-9), (HEAT_PX, HEAT_PX))
    return paint.heat(smooth, "magma")
