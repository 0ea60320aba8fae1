"""COCO instance layout, as pycocotools and torchvision's `CocoDetection` load it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from segmint.export import card
from segmint.export.formats import Format
from segmint.export.polygons import Region, bridged, outlines
from segmint.export.source import ExportItem, Source
from segmint.export.spread import of_each
from segmint.masks.instances import Instances, runs_of

Shape = Literal["polygons", "rle"]
Written = tuple[str, list[str]]
"""Of an item's image and of each of its objects: the JSON after their numbers."""
LAYOUT = """
`images/SPLIT/` and `annotations/instances_SPLIT.json`. Load it with
`pycocotools.coco.COCO("annotations/instances_train.json")` or
`torchvision.datasets.CocoDetection("images/train", "annotations/instances_train.json")`.
"""


def write_coco(source: Source, out: Path, *, shape: Shape = "polygons") -> list[str]:
    """Write the layout; each connected region of a class is one annotation.

    Args:
        source: what to write.
        out: an empty folder.
        shape: `polygons` along the pixels' edges (holes joined by bridges), or `rle`; both are exact.
    """
    (out / "annotations").mkdir(parents=True, exist_ok=True)
    for split in source.splits:
        (out / "images" / split).mkdir(parents=True, exist_ok=True)
    first = 1
    for split, written in of_each(source, partial(_write_item, out / "images", shape)):
        target = out / "annotations" / f"instances_{split}.json"
        first = _write_split(source, written, target, first=first)
    return []


def _write_item(images: Path, shape: Shape, source: Source, split: str, item: ExportItem) -> Written:
    name = f"{item.record.id}.{item.suffix}"
    (images / split / name).write_bytes(item.image)
    make = _by_runs if shape == "rle" else _by_outlines
    return _tail(_image(item, name)), [_tail(each) for each in make(source.instances(item))]


def _tail(fields: dict[str, Any]) -> str:
    """What follows an object's numbers, which are known when all items before it are."""
    return json.dumps(fields)[1:]


def _write_split(source: Source, written: Iterator[Written], target: Path, *, first: int) -> int:
    """Images and annotations go to two streams, joined at the end: no list grows in memory."""
    annotations_path = target.with_suffix(".annotations")
    annotation_id, joint = first, ""
    with target.open("w") as images, annotations_path.open("w") as annotations:
        images.write(f'{{"info": {_info(source)}, "licenses": {_licences(source)},\n"images": [')
        for image_id, (image, tails) in enumerate(written, start=1):
            images.write(f'{joint}\n{{"id": {image_id}, {image}')
            joint = ","
            for tail in tails:
                comma = "," if annotation_id > first else ""
                annotations.write(f'{comma}\n{{"id": {annotation_id}, "image_id": {image_id}, {tail}')
                annotation_id += 1
        images.write('\n],\n"annotations": [')
    with target.open("a") as whole, annotations_path.open() as annotations:
        shutil.copyfileobj(annotations, whole)
        whole.write(f'\n],\n"categories": {_categories(source)}}}\n')
    annotations_path.unlink()
    return annotation_id


def _by_outlines(instances: Instances) -> Iterator[dict[str, Any]]:
    for number, parts in enumerate(outlines(instances), start=1):
        corners = np.concatenate([part.outer for part in parts])
        left, top = corners.min(axis=0).tolist()
        right, bottom = corners.max(axis=0).tolist()
        yield {
            "category_id": instances.label_ids[number - 1],
            "bbox": [left, top, right - left, bottom - top],
            "area": sum(part.area_px for part in parts),
            "iscrowd": 0,
            "segmentation": [_flat(part) for part in parts],
        }


def _flat(region: Region) -> list[int]:
    flat: list[int] = bridged(region).ravel().tolist()
    return flat


def _by_runs(instances: Instances) -> Iterator[dict[str, Any]]:
    """From the runs of each object down the columns, which is what COCO's RLE holds; no line is traced."""
    from pycocotools import mask as coco

    size = height, width = instances.numbers.shape
    flat = instances.numbers.T.ravel()
    starts, lengths = runs_of(flat)
    owner = flat[starts]
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(1, len(instances.label_ids) + 2))
    for label_id, first, last in zip(instances.label_ids, bounds[:-1], bounds[1:], strict=True):
        begin = starts[order[first:last]]
        end = begin + lengths[order[first:last]]
        counts = np.diff(np.stack([begin, end], axis=1).ravel(), prepend=0, append=flat.size)
        counts = counts if counts[-1] else counts[:-1]
        encoded = coco.frPyObjects({"size": list(size), "counts": counts.tolist()}, height, width)
        yield {
            "category_id": label_id,
            "bbox": _box(begin, end - 1, height),
            "area": int((end - begin).sum()),
            "iscrowd": 0,
            "segmentation": {"size": list(encoded["size"]), "counts": encoded["counts"].decode()},
        }


def _box(first: Int64[np.ndarray, "run"], last: Int64[np.ndarray, "run"], height: int) -> list[int]:
    """Left, top, width and height of runs down the columns; one that goes on in the next column fills both
    ends.
    """
    left, right = first // height, last // height
    top, bottom = first % height, last % height
    if (left != right).any():
        top, bottom = np.where(left != right, 0, top), np.where(left != right, height - 1, bottom)
    x, y = int(left.min()), int(top.min())
    return [x, y, int(right.max()) + 1 - x, int(bottom.max()) + 1 - y]


def _image(item: ExportItem, name: str) -> dict[str, Any]:
    height, width = item.labels.shape
    return {
        "file_name": name,
        "width": width,
        "height": height,
        "license": 1,
        "caption": item.record.prompt,
    }


def _info(source: Source) -> str:
    said = card.facts(source)
    return json.dumps(
        {"description": said["name"], "year": int(said["created"][:4]), "version": "1.0", **said}
    )


def _licences(source: Source) -> str:
    return json.dumps([{"id": 1, "name": card.facts(source)["model_licence"], "url": ""}])


def _categories(source: Source) -> str:
    entries = source.vocabulary.entries
    return json.dumps([{"id": e.label_id, "name": e.name, "supercategory": "object"} for e in entries])


POLYGONS = Format(
    write=write_coco,
    own_names=("annotations", "images"),
    layout=LAYOUT,
    objects="COCO",
)
RLE = replace(POLYGONS, write=partial(write_coco, shape="rle"), library="pycocotools")
