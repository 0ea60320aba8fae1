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

COLUMNS = (
    ("miou", "mIoU", "{:.1f}"),
    ("miou_labelled", "mIoU labelled", "{:.1f}"),
    ("uncertain", "uncertain", "{:.1%}"),
    ("boundary_iou", "boundary IoU", "{:.1f}"),
    ("cpu_s_per_image", "CPU s", "{:.3f}"),
    ("peak_memory_mb", "MB", "{:.0f}"),
)
"""Columns of the tables for people: key, heading, format."""


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
    """The means as one table for each mode, best first, and a table of the classes."""
    parts = [f"Dataset: {report.dataset}. Model: {report.model}. Mean ± standard deviation over seeds."]
    for mode in modes(report):
        rows = best_first(report, mode)
        parts += [f"Mode `{mode}`: {rows[0].images} images, {rows[0].seeds} seeds.", _table(rows)]
        parts += ["IoU by class, mean over seeds:", _class_table(report, rows)]
    return "\n\n".join(parts) + "\n"


def modes(report: Report) -> tuple[Mode, ...]:
    """The modes that were run."""
    return tuple(dict.fromkeys(row.mode for row in report.rows))


def best_first(report: Report, mode: Mode) -> list[Mean]:
    """The means of one mode by falling mIoU."""
    return sorted((each for each in report.means if each.mode == mode), key=lambda each: -each.mean["miou"])


def cells(mean: Mean) -> list[str]:
    """One mean as the cells of a table row, behind the method's name."""
    shown = [mean.method]
    for key, _, form in COLUMNS:
        value = form.format(mean.mean[key])
        shown.append(f"{value} ± {mean.spread[key]:.1f}" if key == "miou" and mean.seeds > 1 else value)
    return shown


def figure(report: Report) -> bytes:
    """PNG bytes: bars of mIoU with what the uncertain pixels cost, one panel a mode."""
    from matplotlib.figure import Figure

    shown = modes(report)
    canvas = Figure(figsize=(5.2 * len(shown), 0.6 + 0.42 * len(best_first(report, shown[0])) + 0.5), dpi=120)
    for index, mode in enumerate(shown, start=1):
        _bars(canvas.add_subplot(1, len(shown), index), best_first(report, mode), mode)
    canvas.tight_layout()
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _bars(axes: "Axes", rows: Sequence[Mean], mode: Mode) -> None:
    names = [row.method for row in rows]
    values = [row.mean["miou"] for row in rows]
    labelled = [row.mean["miou_labelled"] for row in rows]
    axes.barh(names, labelled, color="#d9dee7", label="of the labelled part")
    bars = axes.barh(
        names, values, xerr=[row.spread["miou"] for row in rows], color="#3a6ea5", label="all pixels"
    )
    axes.bar_label(bars, [f"{value:.1f}" for value in values], label_type="center", color="white", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("mIoU (%)")
    axes.set_title(f"{mode}: {rows[0].images} images", fontsize=10)
    axes.legend(fontsize=7, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)


def _table(rows: Sequence[Mean]) -> str:
    return _grid(["method", *(heading for _, heading, _ in COLUMNS)], [cells(row) for row in rows])


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
