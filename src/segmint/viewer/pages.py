"""HTML from templates: every text is escaped, whatever a class or a prompt is called."""

import base64
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from segmint.pictures import paint
from segmint.viewer.statistics import Statistics
from segmint.vocabulary import Colour, Vocabulary

HEAT_SPREAD_CELLS = 1.2
"""Standard deviation by which each centre is spread, so that a few of them read as a cloud."""
HEAT_PX = 120
"""Side of a centre-of-mass map on the page."""
MATRIX_LABELS = 40
"""Labels in the co-occurrence matrix; the most frequent where there are more."""

Heat = Mapping[int, Float[np.ndarray, "y x"]]


def page(template: str, **values: Any) -> str:
    """A template of this folder, filled."""
    return _templates().get_template(template).render(**values)


def statistics_values(measured: Statistics, heat: Heat, vocabulary: Vocabulary, note: str) -> dict[str, Any]:
    """What `statistics.html` shows: it stands alone in the viewer and within the report."""
    return {
        "measured": measured,
        "classes": [each for each in measured.classes if each.column],
        "colours": {entry.name: paint.shown_colour(entry.colour) for entry in vocabulary.entries},
        "together": _together(measured),
        "heat": [(e.name, _cloud(heat[e.label_id])) for e in vocabulary.entries if e.label_id in heat],
        "note": note,
    }


def percent(share: float | None, digits: int = 1) -> str:
    """A share in words, `12.3 %`; a dash where there is none."""
    return "–" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def data_uri(image: paint.Picture, lossless: bool = True) -> str:
    """A picture as an address that holds it."""
    kind, data = ("png", paint.png(image)) if lossless else ("jpeg", paint.jpeg(image, quality=82))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def hex_colour(colour: Colour) -> str:
    """`#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    made.filters.update(percent=percent, data_uri=data_uri, hex=hex_colour, num="{:g}".format)
    return made


def _printable(value: Any) -> Any:
    """The value without control characters, which HTML has no way to write."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(letter for letter in value if letter in "\n\t" or ord(letter) >= 32)


def _together(measured: Statistics) -> dict[str, Any]:
    shown = [each for each in measured.classes if each.shown and each.column]
    frequent = sorted(shown, key=lambda each: -each.shown)[:MATRIX_LABELS]
    chosen = sorted(frequent, key=lambda each: each.column)
    columns = [each.column for each in chosen]
    return {
        "names": [each.name for each in chosen],
        "counts": measured.cooccurrence[np.ix_(columns, columns)],
    }


def _cloud(cells: Float[np.ndarray, "y x"]) -> paint.Picture:
    from scipy.ndimage import gaussian_filter

    spread = gaussian_filter(cells.astype(np.float32), HEAT_SPREAD_CELLS)
    smooth = paint.upsampled(spread / max(float(spread.max()), 1e-9), (HEAT_PX, HEAT_PX))
    return paint.heat(smooth, "magma")
