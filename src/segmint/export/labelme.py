"""LabelMe: a JSON file of polygons beside each image, to be corrected there."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from segmint.export.formats import Format
from segmint.export.polygons import bridged, outlines
from segmint.export.source import ExportItem, Source
from segmint.export.spread import do_each

VERSION = "5.0.1"
"""Of the layout; later LabelMe reads it."""
LAYOUT = """
`labelme/SPLIT/`: a JSON file beside each image, one polygon an object, its regions and holes joined by
bridges without area. Open with `labelme FOLDER/labelme/train`.
"""


def write_labelme(source: Source, out: Path) -> list[str]:
    """Write each image with its objects."""
    for split in source.splits:
        (out / "labelme" / split).mkdir(parents=True, exist_ok=True)
    do_each(source, partial(_write_item, out))
    return []


def _write_item(out: Path, source: Source, split: str, item: ExportItem) -> None:
    folder = out / "labelme" / split
    (folder / f"{item.record.id}.{item.suffix}").write_bytes(item.image)
    (folder / f"{item.record.id}.json").write_text(json.dumps(_document(source, item)))


def _document(source: Source, item: ExportItem) -> dict[str, Any]:
    height, width = item.labels.shape
    names = {entry.label_id: entry.name for entry in source.vocabulary.entries}
    return {
        "version": VERSION,
        "flags": {},
        "shapes": [
            {
                "label": names[parts[0].label_id],
                "points": bridged(*parts).tolist(),
                "group_id": None,
                "shape_type": "polygon",
                "flags": {},
            }
            for parts in outlines(source.instances(item))
        ],
        "imagePath": f"{item.record.id}.{item.suffix}",
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


LABELME = Format(
    write=write_labelme,
    own_names=("labelme",),
    layout=LAYOUT,
    objects="LabelMe",
)
