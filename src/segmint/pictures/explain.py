"""The whole method for one item in one picture: each stage a titled panel, in the order of the work."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32
from PIL import Image as PilImage
from PIL import ImageDraw

from segmint.artifacts import ClassEvidence, Clusters
from segmint.pictures import paint
from segmint.pictures.stages import HEADS_SHOWN, Explanation, label_name

CELL = 200
"""Side of a small picture, in pixels; a large one is two of them and a gap."""
GAP = 14
PANEL_GAP = 58
MARGIN = 56
TITLE_H = 92
"""Room above a panel for its title and one line of text."""
LARGE = 2 * CELL + GAP
GROUND, INK, SOFT, LINE = (250, 250, 252), (27, 36, 48), (98, 110, 126), (214, 219, 227)
ACCENT = (29, 95, 158)
MAX_ROW_W = 2000
"""Panels go to the next row beyond this width."""


class Panel(NamedTuple):
    """One stage: a title, a line of explanation, and pictures in columns of two small ones or one large."""

    title: str
    text: str
    canvas: PilImage.Image


def draw_method(known: Explanation) -> paint.Picture:
    """The picture. Stages that the method does not have are left out."""
    panels = [*_panels(known)]
    rows = _rows(panels)
    width = max(sum(p.canvas.width for p in row) + PANEL_GAP * (len(row) - 1) for row in rows) + 2 * MARGIN
    top, row_h = 128, TITLE_H + LARGE + 44
    sheet = PilImage.new("RGB", (width, top + row_h * len(rows) + 56), GROUND)
    draw = ImageDraw.Draw(sheet)
    _headline(draw, known, width)
    number = 1
    for at, row in enumerate(rows):
        number = _draw_row(sheet, draw, row, top + at * row_h, number=number, width=width)
    _legend(draw, known, sheet.height - 52)
    return np.asarray(sheet)


def _panels(known: Explanation) -> list[Panel]:
    trace, palette = known.trace, paint.palette_of(known.vocabulary)
    panels = [Panel("The model draws", "one prompt, one image", _large(known.image, smooth=True))]
    if known.summary.components:
        heads = [picture for _, picture in paint.heads_rgb(known.summary.components, HEADS_SHOWN)]
        said = "self-attention, three components a head"
        panels.append(Panel("What its heads see", said, _grid(heads, rows=2)))
    if trace.clusters is not None:
        panels.append(_clusters(trace.clusters))
    if trace.evidence is not None:
        panels.append(_class_maps(known, trace.evidence))
    if trace.voted is not None:
        voted = trace.voted
        ballots = [paint.colourise(each, palette) for each in voted.ballots[:9]]
        count, said = len(voted.ballots), "each clustering at each threshold"
        panels.append(Panel(f"{count} ballots", said, _grid(ballots, rows=3)))
        vote = [paint.colourise(voted.labels, palette), paint.heat(voted.agreement, "viridis")]
        panels.append(Panel("Vote", "and agreement", _grid(vote, rows=2)))
    masks = [paint.colourise(each, palette) for each in (trace.unrefined, known.labels) if each is not None]
    named = ("Refine", "before, after") if len(masks) > 1 else ("Mask", "label ids in colour")
    panels.append(Panel(*named, _grid(masks, rows=2)))
    final = paint.outlined_overlay(known.image, known.labels, palette)
    return [*panels, Panel("The pair", "image and mask, no label used", _large(final))]


def _clusters(found: Clusters) -> Panel:
    tops = [paint.partition(each) for each in found.clusters[:3]]
    cut = [_segments(each, number) for each, number in zip(tops, found.segments[:3], strict=True)]
    counts = ", ".join(map(str, found.counts[:3]))
    said = f"K-means, {counts} clusters; below, cut into segments"
    return Panel("Clusters", said, _grid([*tops, *cut], rows=2))


def _class_maps(known: Explanation, evidence: ClassEvidence) -> Panel:
    cells = [
        _named(paint.heat(values), label_name(known.vocabulary, label_id))
        for label_id, values in zip(evidence.label_ids, evidence.values, strict=True)
    ]
    return Panel("Where words look", "cross-attention maps", _grid(cells, rows=2))


def _segments(picture: paint.Picture, numbers: Int32[np.ndarray, "grid_h grid_w"]) -> paint.Resized:
    large = paint.resized(picture, (CELL, CELL))
    shown = PilImage.fromarray(numbers.astype(np.int32)).resize((CELL, CELL), PilImage.Resampling.NEAREST)
    return np.where(paint.borders(np.asarray(shown))[..., None], np.uint8(255), large)


def _named(picture: paint.Picture, name: str) -> paint.Resized:
    cell = PilImage.fromarray(paint.resized(picture, (CELL, CELL)))
    draw = ImageDraw.Draw(cell)
    draw.text(
        (9, CELL - 9),
        name,
        font=paint.font(21, name),
        fill=(255, 255, 255),
        anchor="ls",
        stroke_width=3,
        stroke_fill=(0, 0, 0),
    )
    return np.asarray(cell)


def _grid(pictures: Sequence[paint.AnyPicture], *, rows: int) -> PilImage.Image:
    """Pictures in so many rows, together as high as a large one."""
    side = (LARGE - GAP * (rows - 1)) // rows
    columns = max(1, -(-len(pictures) // rows))
    canvas = PilImage.new("RGB", (columns * side + (columns - 1) * GAP, LARGE), GROUND)
    for i, picture in enumerate(pictures):
        column, row = i % columns, i // columns
        cell = PilImage.fromarray(picture).resize((side, side), PilImage.Resampling.NEAREST)
        canvas.paste(cell, (column * (side + GAP), row * (side + GAP)), _rounded(side))
    return canvas


def _large(picture: paint.Picture, *, smooth: bool = False) -> PilImage.Image:
    method = (
        PilImage.Resampling.BICUBIC if smooth or picture.shape[0] > LARGE else PilImage.Resampling.NEAREST
    )
    canvas = PilImage.new("RGB", (LARGE, LARGE), GROUND)
    canvas.paste(PilImage.fromarray(picture).resize((LARGE, LARGE), method), (0, 0), _rounded(LARGE))
    return canvas


def _rounded(side: int) -> PilImage.Image:
    mask = PilImage.new("L", (side * 2, side * 2), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, side * 2 - 1, side * 2 - 1), radius=22, fill=255)
    return mask.resize((side, side), PilImage.Resampling.LANCZOS)


def _rows(panels: list[Panel]) -> list[list[Panel]]:
    """Two rows of about the same width, or one where all fit."""
    widths = [panel.canvas.width + PANEL_GAP for panel in panels]
    if sum(widths) <= MAX_ROW_W:
        return [panels]
    cuts = range(1, len(panels))
    best = min(cuts, key=lambda cut: abs(sum(widths[:cut]) - sum(widths[cut:])))
    return [panels[:best], panels[best:]]


def _draw_row(
    sheet: PilImage.Image, draw: ImageDraw.ImageDraw, row: list[Panel], top: int, *, number: int, width: int
) -> int:
    used = sum(panel.canvas.width for panel in row)
    gap = min((width - 2 * MARGIN - used) / max(len(row) - 1, 1), 2.2 * PANEL_GAP)
    x = float(MARGIN)
    for panel in row:
        _title(draw, panel, x, top, number)
        sheet.paste(panel.canvas, (round(x), top + TITLE_H))
        if panel is not row[-1]:
            _chevron(draw, x + panel.canvas.width + gap / 2, top + TITLE_H + LARGE / 2)
        x, number = x + panel.canvas.width + gap, number + 1
    return number


def _title(draw: ImageDraw.ImageDraw, panel: Panel, x: float, top: int, number: int) -> None:
    draw.ellipse((x, top + 4, x + 34, top + 38), fill=ACCENT)
    draw.text((x + 17, top + 21), str(number), font=paint.font(21, "1"), fill=(255, 255, 255), anchor="mm")
    draw.text((x + 44, top + 21), panel.title, font=paint.font(28, panel.title), fill=INK, anchor="lm")
    room = max(panel.canvas.width, 250)
    draw.text(
        (x, top + 64),
        paint.shortened(panel.text, 19, room),
        font=paint.font(19, panel.text),
        fill=SOFT,
        anchor="lm",
    )


def _chevron(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    draw.line([(x - 6, y - 13), (x + 7, y), (x - 6, y + 13)], fill=ACCENT, width=5, joint="curve")


def _headline(draw: ImageDraw.ImageDraw, known: Explanation, width: int) -> None:
    prompt = " ".join(known.record.prompt.split())
    draw.text(
        (MARGIN, 46),
        paint.shortened(f"“{prompt}”", 36, width - 2 * MARGIN),
        font=paint.font(36, prompt),
        fill=INK,
        anchor="lm",
    )
    record = known.record
    said = f"{record.model}  ·  {known.trace.method}  ·  item {record.id}  ·  seed {record.seed}"
    draw.text((MARGIN, 90), said, font=paint.font(20, said), fill=SOFT, anchor="lm")


def _legend(draw: ImageDraw.ImageDraw, known: Explanation, y: int) -> None:
    shown = set(np.unique(known.labels).tolist()) | set(known.record.label_ids)
    entries = [
        (e.name, paint.shown_colour(e.colour)) for e in known.vocabulary.entries if e.label_id in shown
    ]
    uncertain = tuple(paint.palette_of(known.vocabulary)[255].tolist())
    x = float(MARGIN)
    for name, colour in [("background", paint.SLATE), *entries, ("uncertain", uncertain)]:
        draw.rounded_rectangle((x, y, x + 24, y + 24), radius=6, fill=colour, outline=LINE)
        draw.text((x + 34, y + 12), name, font=paint.font(21, name), fill=INK, anchor="lm")
        x += 34 + draw.textlength(name, font=paint.font(21, name)) + 34
