"""Sheets of many pictures: a run's contact sheet, methods side by side, plain rows."""

import io
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw

from segmint.artifacts import AnyImage, Image, Mask
from segmint.pictures import paint
from segmint.runs import layout
from segmint.runs.store import Run
from segmint.vocabulary import IGNORE, Colour, Vocabulary, voc_colour

ITEMS = 12
"""Items on a sheet, spread evenly over the run."""
TILE_PX = 200
ACROSS = 2
"""Items side by side."""
PAIRS_ACROSS = 3
"""Pairs of images side by side."""
GAP_PX, MARGIN_PX, CAPTION_PX, ROW_GAP_PX = 6, 28, 40, 8
PAPER, INK, FAINT = (252, 252, 250), (32, 34, 38), (120, 124, 130)
UNCERTAIN_NAME = "uncertain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One item to show: image and mask of one size, and a line of text."""

    image: Image
    mask: Mask
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two images to compare, their names, and how far apart they are."""

    left: AnyImage
    right: AnyImage
    names: tuple[str, str]
    value: str


def write_contact_sheet(run: Run) -> None:
    """Draw the sheet of a run and put it into the run folder; a run without items gets none.

    Raises:
        RunError, ImageError: an item's files are damaged.
    """
    done = sorted(run.done_ids())
    if not done:
        return
    panels = [
        Panel(image=image, mask=mask, caption=f"{record.id}  {record.prompt}")
        for record, image, mask in run.shown(spread(done, ITEMS))
    ]
    header = run.header
    title = f"{len(done)} of {header.items} items · {header.model} · segmint {header.segmint_version}"
    buffer = io.BytesIO()
    contact_sheet(panels, run.vocabulary(), title=title).save(buffer, "PNG")
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
    present = set(np.unique(np.concatenate([np.unique(panel.mask) for panel in panels])).tolist())
    legend = _legend_rows(present, vocabulary, width - 2 * MARGIN_PX)
    top = MARGIN_PX + 34 + 24 * len(legend) + 14
    rows = -(-len(panels) // across)
    row_height = TILE_PX + CAPTION_PX + ROW_GAP_PX
    sheet = PilImage.new("RGB", (width, top + rows * row_height + MARGIN_PX - ROW_GAP_PX), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN_PX, MARGIN_PX - 6), title, fill=INK, font=paint.font(20, title))
    _draw_legend(pen, legend, MARGIN_PX + 30)
    palette = paint.file_palette(vocabulary)
    for place, panel in enumerate(panels):
        left = MARGIN_PX + place % across * (panel_width + MARGIN_PX)
        _draw_panel(sheet, panel, palette, left, top + place // across * row_height)
    return sheet


def pair_sheet(within: Sequence[Pair], beyond: Sequence[Pair], *, title: str) -> PilImage.Image:
    """Pairs of images about a threshold: above the line those within it, below those beyond.

    Args:
        within: pairs that count as alike, the nearest first.
        beyond: pairs that do not, the nearest first.
        title: a line above all.
    """
    across = max(1, min(PAIRS_ACROSS, max(len(within), len(beyond))))
    pair_width, row_height = 2 * TILE_PX + GAP_PX, TILE_PX + CAPTION_PX
    rows = [-(-len(each) // across) for each in (within, beyond)]
    width = max(2 * MARGIN_PX + across * (pair_width + MARGIN_PX) - MARGIN_PX, 640)
    sheet = PilImage.new("RGB", (width, 3 * MARGIN_PX + 2 * CAPTION_PX + sum(rows) * row_height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN_PX, MARGIN_PX - 6), title, fill=INK, font=paint.font(20, title))
    top = 2 * MARGIN_PX
    for words, pairs, took in (("alike", within, rows[0]), ("not alike", beyond, rows[1])):
        heading = f"{words}: {len(pairs)} pairs, the nearest first" if pairs else f"{words}: none"
        pen.line((MARGIN_PX, top + 4, width - MARGIN_PX, top + 4), fill=FAINT)
        pen.text((MARGIN_PX, top + 10), heading, fill=INK, font=paint.font(15, heading))
        top += CAPTION_PX
        for place, pair in enumerate(pairs):
            left = MARGIN_PX + place % across * (pair_width + MARGIN_PX)
            _draw_pair(sheet, pair, left, top + place // across * row_height)
        top += took * row_height
    return sheet


def side_by_side(
    images: Sequence[AnyImage], columns: Mapping[str, Sequence[Mask]], vocabulary: Vocabulary
) -> PilImage.Image:
    """One row an image: the image, then each column's mask in its classes' colours, headed by its name."""
    side, head, gap = 128, 16, 4
    palette = paint.file_palette(vocabulary)
    size = gap + (1 + len(columns)) * (side + gap), head + len(images) * (side + gap)
    sheet = PilImage.new("RGB", size, (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for at, name in enumerate(["image", *columns]):
        pen.text((gap + at * (side + gap) + 2, 2), name, fill=(30, 30, 30))
    for row, image in enumerate(images):
        masks = (paint.colourise(each[row], palette) for each in columns.values())
        for at, pixels in enumerate([image, *masks]):
            tile = PilImage.fromarray(paint.fitted(pixels, side, smooth=at == 0))
            sheet.paste(tile, (gap + at * (side + gap), head + row * (side + gap)))
    return sheet


def rows_of(pictures: Sequence[AnyImage], *, columns: int = 8) -> PilImage.Image:
    """Pictures of one size in rows, with a thin white gap."""
    side = pictures[0].shape[0]
    gap = max(2, side // 32)
    rows = -(-len(pictures) // columns)
    size = columns * (side + gap) + gap, rows * (side + gap) + gap
    sheet = PilImage.new("RGB", size, (255, 255, 255))
    for index, picture in enumerate(pictures):
        place = (gap + index % columns * (side + gap), gap + index // columns * (side + gap))
        sheet.paste(PilImage.fromarray(picture), place)
    return sheet


def spread(ids: Sequence[str], count: int) -> list[str]:
    """At most `count` of the ids, evenly spaced, the first among them."""
    if len(ids) <= count:
        return list(ids)
    return [ids[place * len(ids) // count] for place in range(count)]


def _legend_rows(
    present: Set[int], vocabulary: Vocabulary, width: int
) -> list[list[tuple[int, str, Colour]]]:
    """Place, name and colour of each label that is present, as many side by side as there is room for."""
    names = [("background", (0, 0, 0))]
    names += [(each.name, each.colour) for each in vocabulary.entries if each.label_id in present]
    if IGNORE in present:
        names.append((UNCERTAIN_NAME, voc_colour(IGNORE)))
    rows: list[list[tuple[int, str, Colour]]] = [[]]
    at = 0
    for name, colour in names:
        takes = 24 + int(paint.font(15, name).getlength(name)) + 22
        if at and at + takes > width:
            rows.append([])
            at = 0
        rows[-1].append((at, name, colour))
        at += takes
    return rows


def _draw_legend(
    pen: ImageDraw.ImageDraw, rows: Sequence[Sequence[tuple[int, str, Colour]]], top: int
) -> None:
    for number, row in enumerate(rows):
        y = top + 24 * number
        for at, name, colour in row:
            x = MARGIN_PX + at
            pen.rounded_rectangle((x, y + 2, x + 16, y + 18), radius=3, fill=colour, outline=FAINT)
            pen.text((x + 24, y + 1), name, fill=INK, font=paint.font(15, name))


def _draw_panel(sheet: PilImage.Image, panel: Panel, palette: paint.Palette, left: int, top: int) -> None:
    coloured = paint.colourise(panel.mask, palette)
    blended = paint.outlined_overlay(panel.image, panel.mask, palette)
    for place, pixels in enumerate((panel.image, coloured, blended)):
        tile = PilImage.fromarray(paint.fitted(pixels, TILE_PX, smooth=place != 1))
        x = left + place * (TILE_PX + GAP_PX) + (TILE_PX - tile.width) // 2
        sheet.paste(tile, (x, top + (TILE_PX - tile.height) // 2))
    pen = ImageDraw.Draw(sheet)
    room = 3 * TILE_PX + 2 * GAP_PX
    for line, text in enumerate(_wrap(panel.caption, room, lines=2)):
        pen.text((left, top + TILE_PX + 4 + 17 * line), text, fill=FAINT, font=paint.font(14, panel.caption))


def _draw_pair(sheet: PilImage.Image, pair: Pair, left: int, top: int) -> None:
    for place, pixels in enumerate((pair.left, pair.right)):
        tile = PilImage.fromarray(paint.fitted(pixels, TILE_PX, smooth=True))
        x = left + place * (TILE_PX + GAP_PX) + (TILE_PX - tile.width) // 2
        sheet.paste(tile, (x, top + (TILE_PX - tile.height) // 2))
    pen = ImageDraw.Draw(sheet)
    pen.text((left, top + TILE_PX + 4), pair.value, fill=INK, font=paint.font(14, pair.value))
    names = _wrap(" and ".join(pair.names), 2 * TILE_PX - 60, lines=1)[0]
    pen.text((left + 60, top + TILE_PX + 4), names, fill=FAINT, font=paint.font(14, names))


def _wrap(text: str, width: int, *, lines: int) -> list[str]:
    font = paint.font(14, text)
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
