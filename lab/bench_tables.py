"""What `lab.bench` found, as tables for a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from lab.cost.export import ExportCost
    from lab.cost.masks import MaskTime
    from lab.cost.methods import MethodCost
    from lab.cost.overhead import Overhead
    from lab.cost.store import StoreCost
    from lab.cost.training import Throughput
    from lab.cost.transformers import CallCost

MEMORY_COLUMNS = {
    "called": (
        "UNet calls at full size, by shapes, float16",
        *("model", "batch", "calls", "plain_mb", "captured_mb", "extra_mb_an_image", "decode_mb"),
    ),
    "masks": ("Making one mask", "shape", "input_mb", "peak_mb"),
    "drawn": (
        "Whole images, beyond the weights",
        *("model", "steps", "batch", "plain_mb", "captured_mb", "extra_mb_an_image"),
    ),
}
"""Title and columns of the tables of `bench memory`."""


def overhead_table(found: "Overhead") -> Table:
    """Seconds and ratios of one measurement."""
    title = (
        f"{found.model}, {found.device} {found.dtype}, {found.steps} steps, batches of {found.batch}; "
        f"images {'equal' if found.equal_images else 'NOT EQUAL'}"
    )
    table = Table("", "s an image", "× plain (range)", title=title)
    table.add_row("plain diffusers", f"{found.plain_s:.3f}", "1")
    table.add_row("segmint, images alone", f"{found.drawn_s:.3f}", f"{found.drawn_ratio:.3f}")
    spread = f"{found.minted_ratio_low:.3f}–{found.minted_ratio_high:.3f}"
    ratio = f"{found.minted_ratio:.3f} ({spread})"
    table.add_row(f"with masks ({found.method})", f"{found.minted_s:.3f}", ratio)
    return table


def transformers_table(rows: "Sequence[CallCost]") -> Table:
    """A row for each network."""
    table = Table(title="One call, full width, few blocks, CPU seconds, one thread")
    for column in ("shape", "tokens", "plain", "read", "× plain", "held MB an image", "equal"):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for each in rows:
        seconds = f"{each.plain_s:.2f}", f"{each.read_s:.2f}", f"{each.ratio:.3f}"
        equal = "yes" if each.equal else "NO"
        table.add_row(each.shape, str(each.tokens), *seconds, f"{each.held_mb:.1f}", equal)
    return table


def images_table(rows: "Sequence[CallCost]") -> Table:
    """A row for each true model, composed of what was measured."""
    table = Table(title="An image of the true model, CPU seconds: calls, and what comes on top")
    columns = (
        "shape",
        "calls",
        "calls s",
        "reading",
        "masks",
        "× plain",
        "masks with evidence",
        "evidence",
        "× plain",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "shape" else "right")
    for each in rows:
        own = each.image
        alone = f"{own.reading_s:.1f}", f"{own.masks_s:.2f}", f"{own.ratio:.3f}"
        informed = (
            f"{own.masks_with_evidence_s:.2f}",
            f"{own.evidence_s:.0f}",
            f"{own.ratio_with_evidence:.2f}",
        )
        table.add_row(each.shape, f"{own.calls}", f"{own.plain_s:.0f}", *alone, *informed)
    return table


def masks_table(rows: "Sequence[MaskTime]") -> Table:
    """A row for each stage of each shape, and their sum."""
    from lab.cost.masks import METHOD, STAGES

    table = Table(title=f"Masks by {METHOD}, CPU seconds an image, one thread")
    for column in ("shape", "stage", "plain", "ours", "ratio (range)"):
        table.add_column(column, justify="left" if column in ("shape", "stage") else "right")
    for row in rows:
        for stage in STAGES:
            theirs, own = row.plain_s[stage], row.ours_s[stage]
            shown = row.shape if stage == STAGES[0] else ""
            table.add_row(shown, stage, f"{theirs:.3f}", f"{own:.3f}", f"{own / theirs:.2f}")
        sums = [f"{sum(each.values()):.3f}" for each in (row.plain_s, row.ours_s)]
        ratio = f"{row.ratio:.2f} ({row.ratio_low:.2f}–{row.ratio_high:.2f})"
        table.add_row("", "all", *sums, ratio, style="bold", end_section=True)
    same = (
        f"{row.identical_scenes} of {row.scenes} masks identical ({100 * row.equal_pixels:.3f} % of pixels)"
        for row in rows
    )
    table.caption = "\n".join(same)
    return table


def methods_table(rows: "Sequence[MethodCost]") -> Table:
    """A row for each method of each shape, a column for each number of classes."""
    counts = sorted({row.classes for row in rows})
    table = Table(title="Masks, CPU seconds and peak MB an image by the number of classes, one thread")
    for column in ("shape", "method", *map(str, counts)):
        table.add_column(column, justify="left" if column in ("shape", "method") else "right")
    for shape, method in dict.fromkeys((row.shape, row.method) for row in rows):
        own = {row.classes: row for row in rows if (row.shape, row.method) == (shape, method)}
        cells = [f"{own[count].cpu_s:.2f} s, {own[count].peak_mb:.0f}" for count in counts]
        table.add_row(shape, method, *cells)
    return table


def store_table(rows: "Sequence[StoreCost]") -> Table:
    """A row for each size of the run."""
    table = Table(title=f"The store on {rows[0].place}, CPU time on one core")
    columns = ("items", "ms an item", "newest 1 000", "items/s", "resume s", "lists s", "verify ms an item")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            f"{row.items:,}",
            f"{row.item_ms:.2f}",
            f"{row.tail_item_ms:.2f}",
            f"{row.items_a_second:.0f}",
            f"{row.resume_s:.2f}",
            f"{row.finish_s:.2f}",
            f"{row.verify_item_ms:.2f}",
        )
    return table


def training_table(rows: "Sequence[Throughput]") -> Table:
    """A row for each network."""
    unit = "CPU second, one thread" if rows[0].device == "cpu" else f"second, {rows[0].device}"
    table = Table(title=f"images a {unit}")
    for heading in (
        "network",
        "px",
        "batch",
        "loader alone",
        "network alone",
        "training",
        "of network alone",
    ):
        side = "left" if heading == "network" else "right"
        table.add_column(heading, justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        cells = [row.architecture, str(row.side_px), str(row.batch_size), f"{row.loader:.1f}"]
        if row.network is not None and row.fed is not None:
            cells += [f"{row.network:.2f}", f"{row.fed:.2f}", f"{row.fed / row.network:.2f}"]
        table.add_row(*cells)
    return table


def memory_table(kind: str, rows: Sequence[Any]) -> Table:
    """The columns that are read; the file of --out has all."""
    title, *names = MEMORY_COLUMNS[kind]
    table = Table(title=title)
    for name in names:
        heading = name.replace("_mb_an_image", ", MB an image").replace("_mb", ", MB").replace("_", " ")
        table.add_column(heading, justify="left" if name in ("model", "shape") else "right")
    for row in rows:
        cells = [getattr(row, name) for name in names]
        table.add_row(*(f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells))
    return table


def export_table(rows: "Sequence[ExportCost]") -> Table:
    """A row for each format."""
    first = rows[0]
    title = f"Export of {first.items} images of {first.side_px} px, one process"
    table = Table("format", "images a CPU second", "images a second", title=title)
    for row in rows:
        table.add_row(row.format, f"{row.images_a_cpu_second:.0f}", f"{row.images_a_second:.0f}")
    return table
