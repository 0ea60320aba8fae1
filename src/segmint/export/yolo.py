"""Ultralytics' segmentation layout: normalised polygons, one region a line, and `data.yaml`."""

from pathlib import Path

import numpy as np

from segmint.export.card import yaml_text
from segmint.export.formats import Format
from segmint.export.polygons import Region, bridged, regions
from segmint.export.source import ExportItem, Source

DIGITS = 6
"""Of a coordinate in [0, 1]: a thousandth of a pixel at any size met here."""
LAYOUT = """
`images/SPLIT/`, `labels/SPLIT/` (one line a region: class number from 0, then x y … of its polygon, divided
by width and height) and `data.yaml`. Train with
`yolo segment train data=FOLDER/data.yaml model=yolo11n-seg.pt`.
"""


def write_yolo(source: Source, out: Path) -> list[str]:
    """Write the layout; holes are joined to their outline by a bridge without area."""
    numbers = {entry.label_id: number for number, entry in enumerate(source.vocabulary.entries)}
    for split in source.splits:
        images, labels = out / "images" / split, out / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        for item in source.items(split):
            (images / f"{item.record.id}.{item.suffix}").write_bytes(item.image)
            (labels / f"{item.record.id}.txt").write_text(_lines(item, numbers))
    (out / "data.yaml").write_text(_data_yaml(source))
    return []


def _lines(item: ExportItem, numbers: dict[int, int]) -> str:
    height, width = item.labels.shape
    found, _ = regions(item.labels)
    return "".join(f"{numbers[region.label_id]} {_points(region, width, height)}\n" for region in found)


def _points(region: Region, width: int, height: int) -> str:
    scaled = bridged(region) / np.array([width, height])
    return " ".join(f"{value:.{DIGITS}f}".rstrip("0").rstrip(".") for value in scaled.ravel())


def _data_yaml(source: Source) -> str:
    lines = [f"{split}: images/{split}" for split in source.splits]
    if "val" not in source.splits:  # Ultralytics asks for one
        lines.append(f"val: images/{next(iter(source.splits))}")
    names = [f"  {i}: {yaml_text(entry.name)}" for i, entry in enumerate(source.vocabulary.entries)]
    return "\n".join(["# paths are relative to this file", *lines, "names:", *names, ""])


YOLO = Format(
    write=write_yolo,
    own_names=("images", "labels", "data.yaml"),
    layout=LAYOUT,
    objects="YOLO",
)
