"""CVAT's Segmentation mask 1.1: a zip of colour masks with the label map that explains them."""

import io
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image as PilImage

from segmint.artifacts import Mask
from segmint.errors import ExportError
from segmint.export.formats import Format
from segmint.export.source import Source
from segmint.labels.labelmap import HEADER
from segmint.masks.instances import Instances, Numbers
from segmint.runs.codec import EPOCH
from segmint.vocabulary import BACKGROUND, IGNORE, voc_colour

UNCERTAIN = "uncertain"
"""CVAT knows labels only: the pixels that are 255 are one of these."""
LAYOUT = """
`images/` and `annotations.zip` in CVAT's format *Segmentation mask 1.1*: `labelmap.txt`, `SegmentationClass/`
and `SegmentationObject/` (RGB masks), `ImageSets/Segmentation/`. In CVAT: make a task of the images with the
labels of `labelmap.txt`, then *Upload annotations*. What is exported there in the same format comes back by
`segmint import RUN FILE.zip`.
"""


def write_cvat(source: Source, out: Path) -> list[str]:
    """Write images and the zip; uncertain pixels are a label of their own."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    palette = np.array(source.vocabulary.palette(), np.uint8).reshape(256, 3)
    with zipfile.ZipFile(out / "annotations.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        _put(archive, "labelmap.txt", _label_map(source).encode())
        for split in source.splits:
            ids = []
            for item in source.items(split):
                name = item.record.id
                ids.append(name)
                (out / "images" / f"{name}.{item.suffix}").write_bytes(item.image)
                _put(archive, f"SegmentationClass/{name}.png", _png(palette[item.labels]))
                objects = every_object(source.instances(item), item.labels)
                _put(archive, f"SegmentationObject/{name}.png", _png(_in_colours(objects)))
            _put(archive, f"ImageSets/Segmentation/{split}.txt", "".join(f"{i}\n" for i in ids).encode())
    return []


def every_object(instances: Instances, labels: Mask) -> Numbers:
    """Object numbers of all pixels but the background: CVAT reads no others.

    What is no object, specks and uncertain pixels, is one of each label.
    """
    numbers, last = instances.numbers.copy(), len(instances.label_ids)
    left = (numbers == 0) & (labels != BACKGROUND)
    for number, label_id in enumerate(np.unique(labels[left]), start=last + 1):
        numbers[left & (labels == label_id)] = number
    return numbers


def _in_colours(numbers: Numbers) -> UInt8[np.ndarray, "image_h image_w 3"]:
    colours = [voc_colour(each) for each in range(int(numbers.max(initial=0)) + 1)]
    return np.asarray(np.array(colours, np.uint8)[numbers])


def _label_map(source: Source) -> str:
    """`name:R,G,B::` a line, which is all that CVAT reads: masks are told apart by colours alone."""
    rows = {"background": (0, 0, 0), **{each.name: each.colour for each in source.vocabulary.entries}}
    rows.setdefault(UNCERTAIN, voc_colour(IGNORE))
    for name in rows:
        if ":" in name:
            raise ExportError(f"CVAT's label map cannot hold the colon in {name!r}; give another by --rename")
    if len(set(rows.values())) < len(rows):
        raise ExportError("two labels have one colour, by which CVAT tells them apart; give classes others")
    lines = (f"{name}:{','.join(map(str, colour))}::" for name, colour in rows.items())
    return "\n".join([HEADER, *lines, ""])


def _png(pixels: Shaped[np.ndarray, "image_h image_w 3"]) -> bytes:
    buffer = io.BytesIO()
    PilImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, date_time=EPOCH), data, zipfile.ZIP_DEFLATED)


CVAT = Format(
    write=write_cvat,
    own_names=("images", "annotations.zip"),
    layout=LAYOUT,
)
