"""HTML and SVG built as a tree, so that every text is escaped by the one function that writes it out."""

import base64
import math
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from segmint.pictures import paint
from segmint.vocabulary import Colour

Child = Element | str | None


def el(tag: str, attributes: Mapping[str, str | int | float] | None = None, *children: Child) -> Element:
    """An element; children are elements or texts, and None is left out."""
    node = Element(tag, {key: _text(value) for key, value in (attributes or {}).items()})
    for child in children:
        if isinstance(child, Element):
            node.append(child)
        elif child is not None:
            _append_text(node, child)
    return node


def to_html(node: Element) -> str:
    """The tree as HTML text."""
    return ElementTree.tostring(node, encoding="unicode", method="html")


def section(title: str, *children: Child, note: str | None = None) -> Element:
    """A titled part of a page."""
    remark = el("p", {"class": "note"}, note) if note else None
    return el("section", {"class": "figure-card"}, el("h2", None, title), remark, *children)


def picture(image: paint.Picture, alt: str, *, css_class: str = "", lossless: bool = True) -> Element:
    """An image inside the page, as a data URI."""
    kind, data = ("png", paint.png(image)) if lossless else ("jpeg", paint.jpeg(image, quality=82))
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    size: dict[str, int] = {"width": image.shape[1], "height": image.shape[0]}
    return el("img", {"src": source, "alt": alt, "class": css_class, **size})


def swatch(colour: Colour) -> Element:
    """A small square of a class's colour."""
    square = el("rect", {"width": 12, "height": 12, "rx": 3, "fill": hex_colour(colour)})
    return el("svg", {"class": "swatch", "width": 12, "height": 12, "aria-hidden": "true"}, square)


def hex_colour(colour: Colour) -> str:
    """`#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def percent(share: float | None, digits: int = 1) -> str:
    """A share in words, `12.3 %`; a dash where there is none."""
    return "–" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def _text(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _append_text(node: Element, text: str) -> None:
    clean = "".join(c for c in text if c in "\n\t" or ord(c) >= 32)
    if len(node):
        node[-1].tail = (node[-1].tail or "") + clean
    else:
        node.text = (node.text or "") + clean
