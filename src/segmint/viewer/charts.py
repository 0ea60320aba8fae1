"""Charts as SVG trees, drawn with the page's own ink so that they fit light and dark."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import Int, Integer

from segmint.viewer.markup import el

BAR_GAP = 0.12
"""Share of a bin's width that stays empty."""
CELL_PX = 34
"""Side of a co-occurrence cell."""


def share_bar(share: float, colour: str, *, width: int = 160) -> Element:
    """A horizontal bar for a share in [0, 1] of the longest."""
    track = el("rect", {"width": width, "height": 10, "rx": 5, "class": "track"})
    bar = el(
        "rect", {"width": round(width * min(max(share, 0), 1), 2), "height": 10, "rx": 5, "fill": colour}
    )
    return el("svg", {"class": "share-bar", "width": width, "height": 10, "aria-hidden": "true"}, track, bar)


def histogram(
    counts: Integer[np.ndarray, "bin"],
    title: str,
    *,
    colour: str = "currentColor",
    width: int = 220,
    height: int = 90,
) -> Element:
    """Bars over equal bins of [0, 1], with the ends of the axis and the highest count written out."""
    top, bins = max(int(counts.max(initial=0)), 1), len(counts)
    step, bars = width / bins, []
    for i, count in enumerate(counts.tolist()):
        tall = height * count / top
        place = {
            "x": i * step + step * BAR_GAP / 2,
            "y": height - tall,
            "width": step * (1 - BAR_GAP),
            "height": tall,
        }
        said = el("title", None, f"{100 * i / bins:.0f}–{100 * (i + 1) / bins:.0f} %: {count}")
        bars.append(el("rect", {**place, "fill": colour, "rx": 1.5}, said))
    axis = el("line", {"x1": 0, "x2": width, "y1": height, "y2": height, "class": "axis"})
    labels = [
        _label("0 %", 0, height + 14, "start"),
        _label("100 %", width, height + 14, "end"),
        _label(f"{top}", width, 10, "end"),
    ]
    return el("svg", _frame("histogram", width, height + 18, title), *bars, axis, *labels)


def matrix(names: Sequence[str], counts: Int[np.ndarray, "label label"], title: str) -> Element:
    """A square of counts: deeper where more; each cell says its pair and count."""
    longest = max(map(len, names), default=1)
    left, top, side = 8 + 7 * longest, 10 + 5 * longest, len(names) * CELL_PX
    peak = max(int(counts.max(initial=0)), 1)
    cells = [
        _cell(
            left + c * CELL_PX,
            top + r * CELL_PX,
            int(counts[r, c]),
            peak=peak,
            pair=f"{names[r]} with {names[c]}",
            diagonal=r == c,
        )
        for r in range(len(names))
        for c in range(len(names))
    ]
    rows = [_label(name, left - 6, top + (r + 0.5) * CELL_PX + 4, "end") for r, name in enumerate(names)]
    columns = [_slanted(name, left + (c + 0.5) * CELL_PX, top - 6) for c, name in enumerate(names)]
    frame = _frame("matrix", left + side + 5 * longest, top + side, title)
    return el("svg", frame, *cells, *rows, *columns)


def _cell(x: int | float, y: int | float, count: int, *, peak: int, pair: str, diagonal: bool) -> Element:
    strength = round(0.06 + 0.84 * count / peak, 3) if count else 0.03
    square = {"x": x + 1, "y": y + 1, "width": CELL_PX - 2, "height": CELL_PX - 2, "rx": 4}
    text = el(
        "text",
        {"x": x + CELL_PX / 2, "y": y + CELL_PX / 2 + 4, "text-anchor": "middle"},
        f"{count}" if count else "",
    )
    text.set("class", "on" if strength > 0.5 else "off")
    shade = el("rect", {**square, "class": "diagonal" if diagonal else "cell", "fill-opacity": strength})
    return el("g", None, shade, text, el("title", None, f"{pair}: {count} images"))


def _frame(
    css_class: str, width: int | float, height: int | float, title: str
) -> dict[str, str | int | float]:
    box = f"0 0 {width:g} {height:g}"
    return {
        "class": css_class,
        "viewBox": box,
        "width": width,
        "height": height,
        "role": "img",
        "aria-label": title,
    }


def _label(text: str, x: int | float, y: int | float, anchor: str) -> Element:
    return el("text", {"x": x, "y": y, "text-anchor": anchor}, text)


def _slanted(text: str, x: int | float, y: int | float) -> Element:
    return el("text", {"x": x, "y": y, "text-anchor": "start", "transform": f"rotate(-40 {x:g} {y:g})"}, text)
