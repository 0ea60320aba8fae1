"""Rows become means, tables and a figure."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmint.benchmark.report import figure, to_csv, to_markdown, write_report
from segmint.benchmark.rows import Report, Row, make_row, means
from segmint.benchmark.tally import tally
from segmint.errors import StorageError

NAMES = ("background", "boat", "tree")


def row(method: str, seed: int, labels: list[int], mode: str = "label", case: str | None = None) -> Row:
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    counted = tally(truth, np.array([labels], np.uint8), label_count=3)
    return make_row(
        counted,
        NAMES,
        method=method,
        mode=mode,  # type: ignore[arg-type]
        case=case,
        seed=seed,
        images=2,
        cpu_s=1.0,
        capture_cpu_s=3.0,
        peak_memory_mb=8.0,
    )


@pytest.fixture
def report() -> Report:
    rows = (row("pcc", 0, [0, 0, 1, 255]), row("ovam", 0, [0, 0, 1, 1]), row("pcc", 1, [0, 0, 1, 1]))
    return Report(
        segmint_version="1", dataset="toybox val", model="toybox", settings={}, rows=rows, means=means(rows)
    )


def test_a_row_holds_the_keys_of_the_bar(report: Report) -> None:
    first = json.loads(report.model_dump_json())["rows"][0]
    assert first["miou"] == pytest.approx(75)
    assert first["miou_labelled"] == 100
    assert first["uncertain"] == 0.25
    assert first["class_iou"] == {"background": 100.0, "boat": 50.0, "tree": None}
    assert first["cpu_s_per_image"] == 0.5
    assert {"method", "mode", "seed", "boundary_iou", "peak_memory_mb"} <= set(first)


def test_means_are_over_seeds_with_their_spread(report: Report) -> None:
    pcc, ovam = report.means
    assert (pcc.method, pcc.seeds, pcc.images) == ("pcc", 2, 4)
    assert pcc.mean["miou"] == pytest.approx(87.5)
    assert pcc.spread["miou"] == pytest.approx(12.5)
    assert ovam.spread["miou"] == 0


def test_tables_put_the_best_first(report: Report) -> None:
    lines = to_markdown(report).splitlines()
    methods = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert methods == ["method", "ovam", "pcc", "method", "ovam", "pcc"] or methods[:1] == ["method"]
    assert any("87.5 ± 12.5" in line for line in lines)


def test_cases_have_lines_of_their_own(report: Report) -> None:
    rows = (
        *(row("pcc", seed, [0, 0, 1, 1], case="small") for seed in (0, 1)),
        *(row("ovam", seed, [0, 0, 1, 2], case="small") for seed in (0, 1)),
        row("pcc", 0, [0, 0, 0, 1], case="grey"),
    )
    report = report.model_copy(update={"rows": rows, "means": means(rows)})
    assert [(each.case, each.method, each.seeds) for each in report.means] == [
        ("small", "pcc", 2),
        ("small", "ovam", 2),
        ("grey", "pcc", 1),
    ]
    said = [line for line in to_markdown(report).splitlines() if line.startswith("| ")]
    assert [line.split("|")[1].strip() for line in said] == ["case", "---", "small", "small", "grey"]
    assert "presence AUC" in said[0]
    assert "| – |" in said[2]
    assert "50%" in said[4]  # of the foreground
    assert len(figure(report)) > 1000


def test_csv_has_a_line_a_row(report: Report) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(report.rows))))
    assert [line["method"] for line in lines] == ["pcc", "ovam", "pcc"]
    assert float(lines[0]["iou_boat"]) == 50
    assert lines[0]["iou_tree"] == ""


def test_all_files_are_written(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, tmp_path / "new" / "folder")
    assert sorted(path.suffix for path in paths) == [".csv", ".json", ".md", ".png"]
    assert Report.model_validate_json(paths[0].read_bytes()) == report
    with Image.open(paths[-1]) as picture:
        assert picture.width > 400


def test_a_folder_that_is_a_file_is_refused(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_report(report, tmp_path / "file")
