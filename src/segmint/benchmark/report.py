"""Write a benchmark down: JSON, CSV, a Markdown table, a figure."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segmint.benchmark.rows import Mean, Mode, Report, Row
from segmint.errors import StorageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Column = tuple[str, str, str]
"""Key, heading, format."""
COLUMNS: tuple[Column, ...] = (
    ("miou", "mIoU", "{:.1f}"),
    ("miou_labelled", "mIoU labelled", "{:.1f}"),
    ("uncertain", "uncertain", "{:.1%}"),
    ("boundary_iou", "boundary IoU", "{:.1f}"),
    ("cpu_s_per_image", "CPU s", "{:.3f}"),
    ("peak_memory_mb", "MB", "{:.0f}"),
)
"""Columns of the tables for people."""
CASE_COLUMNS: tuple[Column, ...] = (
    ("miou", "mIoU", "{:.1f}"),
    ("miou_believed", "believed", "{:.1f}"),
    ("presence_auc", "presence AUC", "{:.3f}"),
    ("foreground_recall", "found", "{:.0%}"),
    ("right_class", "right class", "{:.0%}"),
    ("specks", "specks", "{:.1f}"),
)
"""The same where cases were asked for; docs/benchmarks.md tells what they are."""
PANELS_ACROSS = 4


def write_report(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write `benchmark.json`, `.csv`, `.md` and `.png` into a folder.

    Raises:
        StorageError: the folder cannot be written.
    """
    contents = {
        "benchmark.json": report.model_dump_json(indent=1).encode(),
        "benchmark.csv": to_csv(report.rows).encode(),
        "benchmark.md": to_markdown(report).encode(),
        "benchmark.png": figure(report),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise StorageError(f"cannot write the benchmark into {folder}: {error.strerror}") from None
    return tuple(folder / name for name in contents)


def to_csv(rows: Sequence[Row]) -> str:
    """One line a row; class scores in columns `iou_NAME`."""
    names = list(rows[0].class_iou)
    plain = [key for key in Row.model_fields if key != "class_iou"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*plain, *(f"iou_{name}" for name in names)])
    for row in rows:
        writer.writerow([*(getattr(row, key) for key in plain), *(row.class_iou[name] for name in names)])
    return text.getvalue()


def to_markdown(report: Report) -> str:
    """The means as one table for each mode, best first, and a table of the classes if there are no cases."""
    parts = [f"Dataset: {report.dataset}. Model: {report.model}. Mean ± standard deviation over seeds."]
    for mode in modes(report):
        rows = [row for _, each in groups(report, mode) for row in each]
        parts += [f"Mode `{mode}`: {images_said(rows)}.", _grid(*table(rows))]
        if not by_case(rows):
            parts += ["IoU by class, mean over seeds:", _class_table(report, rows)]
    return "\n\n".join(parts) + "\n"


def modes(report: Report) -> tuple[Mode, ...]:
    """The modes that were run."""
    return tuple(dict.fromkeys(row.mode for row in report.rows))


def groups(report: Report, mode: Mode) -> list[tuple[str | None, list[Mean]]]:
    """The means of one mode by case, in the order in which cases were asked for, and by falling mIoU."""
    own = [each for each in report.means if each.mode == mode]
    cases = dict.fromkeys(each.case for each in own)
    return [
        (
            case,
            sorted((each for each in own if each.case == case), key=lambda each: -(each.mean["miou"] or 0)),
        )
        for case in cases
    ]


def by_case(rows: Sequence[Mean]) -> bool:
    """Whether cases were asked for."""
    return any(row.case for row in rows)


def images_said(rows: Sequence[Mean]) -> str:
    """How much was scored."""
    return f"{rows[0].images} images{' a case' if by_case(rows) else ''}, {rows[0].seeds} seeds"


def table(rows: Sequence[Mean]) -> tuple[list[str], list[list[str]]]:
    """Headings and lines of a table for people."""
    cases = by_case(rows)
    columns = CASE_COLUMNS if cases else COLUMNS
    head = [*(["case"] if cases else []), "method", *(heading for _, heading, _ in columns)]
    return head, [[*([row.case or ""] if cases else []), row.method, *_cells(row, columns)] for row in rows]


def _cells(mean: Mean, columns: Sequence[Column]) -> list[str]:
    shown = []
    for key, _, form in columns:
        value, spread = mean.mean[key], mean.spread[key]
        text = "–" if value is None else form.format(value)
        shown.append(f"{text} ± {spread:.1f}" if key == "miou" and mean.seeds > 1 else text)
    return shown


def figure(report: Report) -> bytes:
    """PNG bytes: bars of mIoU with what the uncertain pixels cost, one panel a mode and case."""
    from matplotlib.figure import Figure

    panels = [(mode, *each) for mode in modes(report) for each in groups(report, mode)]
    across = min(len(panels), PANELS_ACROSS)
    down = -(-len(panels) // across)
    high = 1.1 + 0.42 * max(len(rows) for _, _, rows in panels)
    canvas = Figure(figsize=(5.2 * across, high * down), dpi=120)
    for index, (mode, case, rows) in enumerate(panels, start=1):
        _bars(canvas.add_subplot(down, across, index), rows, f"{case}, {mode}" if case else mode)
    canvas.tight_layout()
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _bars(axes: "Axes", rows: Sequence[Mean], title: str) -> None:
    names = [row.method for row in rows]
    values = [row.mean["miou"] or 0.0 for row in rows]
    labelled = [row.mean["miou_labelled"] or 0.0 for row in rows]
    axes.barh(names, labelled, color="#d9dee7", label="of the labelled part")
    bars = axes.barh(
        names, values, xerr=[row.spread["miou"] or 0.0 for row in rows], color="#3a6ea5", label="all pixels"
    )
    axes.bar_label(bars, [f"{value:.1f}" for value in values], label_type="center", color="white", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("mIoU (%)")
    axes.set_title(f"{title}: {rows[0].images} images", fontsize=10)
    axes.legend(fontsize=7, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)


def _class_table(report: Report, means: Sequence[Mean]) -> str:
    names = list(report.rows[0].class_iou)
    lines = []
    for mean in means:
        rows = [row for row in report.rows if (row.method, row.mode) == (mean.method, mean.mode)]
        columns = [[value for row in rows if (value := row.class_iou[name]) is not None] for name in names]
        lines.append([mean.method, *(f"{sum(each) / len(each):.0f}" if each else "–" for each in columns)])
    return _grid(["method", *names], lines)


def _grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))
