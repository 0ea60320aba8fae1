"""PASCAL VOC 2012 layout, as torchvision's `VOCSegmentation` loads it."""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np

from segmint.artifacts import Mask
from segmint.export.formats import Format
from segmint.export.source import ExportItem, Source
from segmint.export.spread import of_each
from segmint.labels.labelmap import write_label_map
from segmint.masks.instances import Instances
from segmint.runs import codec
from segmint.vocabulary import IGNORE, voc_colour

LAYOUT = """
`VOCdevkit/VOC2012` with `JPEGImages/`, `SegmentationClass/` (palette PNG, pixel value = label id),
`SegmentationObject/` (pixel value = number of the object) and `ImageSets/Segmentation/`; `labelmap.txt` names
the ids. Load it with
`torchvision.datasets.VOCSegmentation(FOLDER, year="2012", image_set="train")`.
"""
NO_BOXES = (
    "there are no Annotations/*.xml: what reads boxes from them, as supervision's from_pascal_voc, finds no "
    "object; take coco or yolo for that"
)
LAST_OBJECT = IGNORE - 1
FOLDERS = ("JPEGImages", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation")


def write_voc(source: Source, out: Path) -> list[str]:
    """Write the layout; uncertain pixels stay 255, as in VOC itself."""
    home = out / "VOCdevkit" / "VOC2012"
    folders = {name: home / name for name in FOLDERS}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    (home / "labelmap.txt").write_text(write_label_map(source.vocabulary.entries), encoding="utf-8")
    converted = crowded = 0
    lists = folders["ImageSets/Segmentation"]
    with (lists / "trainval.txt").open("w") as both:
        for split, written in of_each(source, partial(_write_item, folders)):
            with (lists / f"{split}.txt").open("w") as names:
                for item_id, was_converted, lost in written:
                    converted += was_converted
                    crowded += lost
                    names.write(f"{item_id}\n")
                    if split in ("train", "val"):
                        both.write(f"{item_id}\n")
    lossy = f"{converted} PNG images became JPEG (quality {codec.JPEG_QUALITY}): VOC knows no other"
    full = f"{crowded} objects are left out of SegmentationObject: a mask numbers {LAST_OBJECT} at most"
    return [*(note for note, count in ((lossy, converted), (full, crowded)) if count), NO_BOXES]


def _write_item(
    folders: Mapping[str, Path], source: Source, split: str, item: ExportItem
) -> tuple[str, bool, int]:
    """Its id, whether its image was encoded anew, and how many objects did not fit."""
    item_id = item.record.id
    (folders["JPEGImages"] / f"{item_id}.jpg").write_bytes(as_jpeg(item))
    mask = codec.encode_mask(item.labels, source.vocabulary.palette())
    (folders["SegmentationClass"] / f"{item_id}.png").write_bytes(mask)
    objects, lost = object_mask(source.instances(item), item.labels)
    (folders["SegmentationObject"] / f"{item_id}.png").write_bytes(
        codec.encode_mask(objects, _numbers_palette())
    )
    return item_id, item.suffix != "jpg", lost


@cache
def _numbers_palette() -> list[int]:
    return [channel for each in range(256) for channel in voc_colour(each)]


def object_mask(instances: Instances, labels: Mask) -> tuple[Mask, int]:
    """VOC's mask of object numbers, with the uncertain pixels of the labels, and how many did not fit."""
    numbers = np.where(instances.numbers > LAST_OBJECT, 0, instances.numbers)
    found: Mask = np.where(labels == IGNORE, IGNORE, numbers).astype(np.uint8)
    return found, max(len(instances.label_ids) - LAST_OBJECT, 0)


def as_jpeg(item: ExportItem) -> bytes:
    """The image as JPEG: its own bytes where it is one."""
    if item.suffix == "jpg":
        return item.image
    return codec.encode_image(codec.decode_image(item.image, source=item.record.id), "jpg")


VOC = Format(
    write=write_voc,
    own_names=("VOCdevkit",),
    layout=LAYOUT,
)
