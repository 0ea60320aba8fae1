"""Ultralytics' segmentation layout: normalised polygons, one object a line, and `data.yaml`."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from segmint.export.card import yaml_text
from segmint.export.formats import Format
from segmint.export.polygons import Region, bridged, outlines
from segmint.export.source import ExportItem, Source
from segmint.export.spread import do_each
from segmint.masks.instances import Instances

DIGITS = 6
"""Of a coordinate in [0, 1]: a thousandth of a pixel at any size met here."""
LAYOUT = """
`images/SPLIT/`, `labels/SPLIT/` (one line an object: class number from 0, then x y … of its polygon, divided
by width and height) and `data.yaml`. Train with
`yolo segment train data=FOLDER/data.yaml model=yolo11n-seg.pt`.
"""


def write_yolo(source: Source, out: Path) -> list[str]:
    """Write the layout; holes are joined to their outline by a bridge without area."""
    for split in source.splits:
        for name in ("images", "labels"):
            (out / name / split).mkdir(parents=True, exist_ok=True)
    do_each(source, partial(_write_item, out))
    (out / "data.yaml").write_text(_data_yaml(source))
    return []


def _write_item(out: Path, source: Source, split: str, item: ExportItem) -> None:
    numbers = {entry.label_id: number for number, entry in enumerate(source.vocabulary.entries)}
    (out / "images" / split / f"{item.record.id}.{item.suffix}").write_bytes(item.image)
    lines = _lines(source.instances(item), item.labels.shape, numbers)
    (out / "labels" / split / f"{item.record.id}.txt").write_text(lines)


def _lines(instances: Instances, size: tuple[int, ...], numbers: dict[int, int]) -> str:
    height, width = size
    return "".join(
        f"{numbers[parts[0].label_id]} {_points(parts, width, height)}\n" for parts in outlines(instances)
    )


def _points(parts: Sequence[Region], width: int, height: int) -> str:
    across, down = _texts(width), _texts(height)
    return " ".join(f"{across[x]} {down[y]}" for x, y in bridged(*parts).tolist())


@lru_cache(maxsize=16)
def _texts(side: int) -> tuple[str, ...]:
    """Each coordinate from 0 to `side`, divided by it."""
    shares = (np.arange(side + 1) / side).tolist()
    return tuple(f"{each:.{DIGITS}f}".rstrip("0").rstrip(".") for each in shares)


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
