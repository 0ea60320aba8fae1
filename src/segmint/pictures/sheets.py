"""A contact sheet: a handful of a run's items as image, mask and overlay, with a legend of the classes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from segmint.artifacts import Image, Mask
from segmint.runs import layout
from segmint.runs.records import ItemRecord
from segmint.runs.store import Run
from segmint.vocabulary import IGNORE, ClassEntry, Vocabulary, voc_colour

ITEMS = 12
"""Items on a sheet, spread evenly over the run."""
TILE_PX = 200
ACROSS = 2
"""Items side by side."""
GAP_PX, MARGIN_PX, CAPTION_PX, ROW_GAP_PX = 6, 28, 40, 8
PAPER, INK, FAINT = (252, 252, 250), (32, 34, 38), (120, 124, 130)
OVERLAY = 0.55
"""Opacity of the mask's colours over the image."""
UNCERTAIN_NAME = "uncertain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One item to show: image and mask of one size, and a line of text."""

    image: Image
    mask: Mask
    caption: str


def write_contact_sheet(run: Run) -> None:
    """Draw the sheet of a run and put it into the run folder; a run without items gets none.

    Raises:
        RunError, ImageError: an item's files are damaged.
    """
    records = [run.record(item_id) for item_id in spread(sorted(run.done_ids()), ITEMS)]
    if not records:
        return
    panels = [Panel(image=run.image(each), mask=run.mask(each), caption=caption(each)) for each in records]
    buffer = io.BytesIO()
    contact_sheet(panels, run.vocabulary(), title=title(run)).save(buffer, "PNG")
    run.files.write(layout.CONTACT_SHEET, buffer.getvalue())


def contact_sheet(panels: Sequence[Panel], vocabulary: Vocabulary, *, title: str = "") -> PilImage.Image:
    """Panels in rows under a legend of the classes that appear in them.

    Args:
        panels: at least one; sizes may differ, each keeps its proportions.
        vocabulary: names and colours of the label ids.
        title: a line above the legend.
    """
    across = min(ACROSS, len(panels))
    panel_width = 3 * TILE_PX + 2 * GAP_PX
    width = 2 * MARGIN_PX + across * panel_width + (across - 1) * MARGIN_PX
    shown = _shown(panels, vocabulary)
    legend = _legend_rows(shown, width - 2 * MARGIN_PX)
    top = MARGIN_PX + 34 + 24 * len(legend) + 14
    rows = -(-len(panels) // across)
    row_height = TILE_PX + CAPTION_PX + ROW_GAP_PX
    sheet = PilImage.new("RGB", (width, top + rows * row_height + MARGIN_PX - ROW_GAP_PX), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN_PX, MARGIN_PX - 6), title, fill=INK, font=_font(20))
    _draw_legend(pen, legend, MARGIN_PX + 30)
    for place, panel in enumerate(panels):
        left = MARGIN_PX + place % across * (panel_width + MARGIN_PX)
        _draw_panel(sheet, panel, vocabulary, left, top + place // across * row_height)
    return sheet


def colour_mask(mask: Mask, vocabulary: Vocabulary) -> UInt8[np.ndarray, "image_h image_w 3"]:
    """Label ids in the vocabulary's colours."""
    table = np.array(vocabulary.palette(), np.uint8).reshape(256, 3)
    return np.asarray(table[mask])


def overlay(image: Image, mask: Mask, vocabulary: Vocabulary) -> UInt8[np.ndarray, "image_h image_w 3"]:
    """The image with classes and uncertain pixels tinted, and a thin line around every class."""
    colours = colour_mask(mask, vocabulary).astype(np.float32)
    tinted = (1 - OVERLAY) * image.astype(np.float32) + OVERLAY * colours
    mixed = np.where((mask != 0)[..., None], tinted, image.astype(np.float32))
    mixed[_borders(mask)] = 255.0
    return np.rint(mixed).astype(np.uint8)


def caption(record: ItemRecord) -> str:
    """What stands under an item."""
    return f"{record.id}  {record.prompt}"


def title(run: Run) -> str:
    """What stands above the sheet."""
    done = len(run.done_ids())
    return f"{done} of {run.header.items} items · {run.header.model} · segmint {run.header.segmint_version}"


def spread(ids: Sequence[str], count: int) -> list[str]:
    """At most `count` of the ids, evenly spaced, the first among them."""
    if len(ids) <= count:
        return list(ids)
    return [ids[place * len(ids) // count] for place in range(count)]


def _borders(mask: Mask) -> np.ndarray:
    edge: np.ndarray = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:, :] |= mask[1:, :] != mask[:-1, :]
    edge &= mask != IGNORE
    return edge


def _shown(panels: Sequence[Panel], vocabulary: Vocabulary) -> list[tuple[str, tuple[int, int, int]]]:
    present = set(np.unique(np.concatenate([np.unique(panel.mask) for panel in panels])).tolist())
    entries: list[ClassEntry] = [each for each in vocabulary.entries if each.label_id in present]
    names = [("background", (0, 0, 0)), *((each.name, each.colour) for each in entries)]
    return [*names, (UNCERTAIN_NAME, voc_colour(IGNORE))] if IGNORE in present else names


def _legend_rows(
    names: Sequence[tuple[str, tuple[int, int, int]]], width: int
) -> list[list[tuple[int, str, tuple[int, int, int]]]]:
    rows: list[list[tuple[int, str, tuple[int, int, int]]]] = [[]]
    at = 0
    for name, colour in names:
        takes = 24 + int(_font(15).getlength(name)) + 22
        if at and at + takes > width:
            rows.append([])
            at = 0
        rows[-1].append((at, name, colour))
        at += takes
    return rows


def _draw_legend(
    pen: ImageDraw.ImageDraw, rows: Sequence[Sequence[tuple[int, str, tuple[int, int, int]]]], top: int
) -> None:
    for number, row in enumerate(rows):
        y = top + 24 * number
        for at, name, colour in row:
            x = MARGIN_PX + at
            pen.rounded_rectangle((x, y + 2, x + 16, y + 18), radius=3, fill=colour, outline=FAINT)
            pen.text((x + 24, y + 1), name, fill=INK, font=_font(15))


def _draw_panel(sheet: PilImage.Image, panel: Panel, vocabulary: Vocabulary, left: int, top: int) -> None:
    coloured = colour_mask(panel.mask, vocabulary)
    blended = overlay(panel.image, panel.mask, vocabulary)
    for place, pixels in enumerate((panel.image, coloured, blended)):
        smooth = place != 1
        tile = _fit(PilImage.fromarray(pixels), smooth=smooth)
        x = left + place * (TILE_PX + GAP_PX) + (TILE_PX - tile.width) // 2
        sheet.paste(tile, (x, top + (TILE_PX - tile.height) // 2))
    pen = ImageDraw.Draw(sheet)
    room = 3 * TILE_PX + 2 * GAP_PX
    for line, text in enumerate(_wrap(panel.caption, room, lines=2)):
        pen.text((left, top + TILE_PX + 4 + 17 * line), text, fill=FAINT, font=_font(14))


def _fit(picture: PilImage.Image, *, smooth: bool) -> PilImage.Image:
    scale = TILE_PX / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    how = PilImage.Resampling.LANCZOS if smooth else PilImage.Resampling.NEAREST
    return picture.resize(size, how)


def _wrap(text: str, width: int, *, lines: int) -> list[str]:
    font = _font(14)
    wrapped = [""]
    for word in text.split():
        longer = f"{wrapped[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            wrapped[-1] = longer
        elif len(wrapped) == lines:
            wrapped[-1] = f"{wrapped[-1][: max(0, len(wrapped[-1]) - 2)]} …"
            break
        else:
            wrapped.append(word[:80])
    return wrapped


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
