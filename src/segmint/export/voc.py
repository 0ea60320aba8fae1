"""PASCAL VOC 2012 layout, as torchvision's `VOCSegmentation` loads it."""

from pathlib import Path

from segmint.export.formats import Format
from segmint.export.source import ExportItem, Source
from segmint.labels.labelmap import write_label_map
from segmint.runs import codec

LAYOUT = """
`VOCdevkit/VOC2012` with `JPEGImages/`, `SegmentationClass/` (palette PNG, pixel value = label id) and
`ImageSets/Segmentation/`; `labelmap.txt` names the ids. Load it with
`torchvision.datasets.VOCSegmentation(FOLDER, year="2012", image_set="train")`.
"""


def write_voc(source: Source, out: Path) -> list[str]:
    """Write the layout; uncertain pixels stay 255, as in VOC itself."""
    home = out / "VOCdevkit" / "VOC2012"
    folders = {name: home / name for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    (home / "labelmap.txt").write_text(write_label_map(source.vocabulary.entries), encoding="utf-8")
    palette, converted = source.vocabulary.palette(), 0
    lists = folders["ImageSets/Segmentation"]
    with (lists / "trainval.txt").open("w") as both:
        for split in source.splits:
            with (lists / f"{split}.txt").open("w") as names:
                for item in source.items(split):
                    item_id = item.record.id
                    converted += item.suffix != "jpg"
                    (folders["JPEGImages"] / f"{item_id}.jpg").write_bytes(as_jpeg(item))
                    mask = codec.encode_mask(item.labels, palette)
                    (folders["SegmentationClass"] / f"{item_id}.png").write_bytes(mask)
                    names.write(f"{item_id}\n")
                    if split in ("train", "val"):
                        both.write(f"{item_id}\n")
    lossy = f"{converted} PNG images became JPEG (quality {codec.JPEG_QUALITY}): VOC knows no other"
    return [lossy] if converted else []


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
