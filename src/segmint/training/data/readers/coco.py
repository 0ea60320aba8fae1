"""Reader of COCO-format annotation files; polygons and run-length codes are drawn when they are needed."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from segmint.errors import DatasetError, MissingDependency
from segmint.training.data.datasets import LabelledSet, Sample
from segmint.vocabulary import IGNORE, MAX_CLASSES

Outline = Any
"""A COCO segmentation: polygons as lists of x, y, …, or run lengths as {"counts": …, "size": [h, w]}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One annotated object."""

    label_id: int
    outline: Outline
    area_px: float
    crowd: bool = False
    """A crowd's outline is coarse: its pixels are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """All objects of one image."""

    item_id: str
    regions: tuple[Region, ...]

    def draw(self, *, height_px: int, width_px: int) -> UInt8[np.ndarray, "image_h image_w"]:
        """Paint the regions on the background, the largest first, so that small objects stay in sight.

        Raises:
            MissingDependency: pycocotools is not installed.
            DatasetError: an outline cannot be read, or was made for an image of another size.
        """
        mask = np.zeros((height_px, width_px), np.uint8)
        for region in sorted(self.regions, key=lambda each: (not each.crowd, -each.area_px)):
            inside = self._inside(region, height_px, width_px)
            mask[inside] = IGNORE if region.crowd else region.label_id
        return mask

    def _inside(self, region: Region, height_px: int, width_px: int) -> np.ndarray:
        try:
            from pycocotools import mask as coco
        except ImportError:
            raise MissingDependency("COCO files need pycocotools: pip install 'segmint[export]'") from None
        try:
            outline = region.outline
            if isinstance(outline, list):
                code = coco.merge(coco.frPyObjects(outline, height_px, width_px))
            elif isinstance(outline["counts"], list):
                code = coco.frPyObjects(outline, *outline["size"])
            else:
                code = outline
            inside = coco.decode(code).astype(bool)
        except (TypeError, KeyError, ValueError, IndexError) as error:
            raise DatasetError(
                f"item {self.item_id}: an annotation's outline cannot be read: {error}"
            ) from None
        if inside.shape != (height_px, width_px):
            raise DatasetError(
                f"item {self.item_id}: an annotation was made for {inside.shape[1]}×{inside.shape[0]} px, "
                f"the image is {width_px}×{height_px}"
            )
        return np.asarray(inside)


def read_coco(path: Path, *, images: Path | None = None) -> LabelledSet:
    """The images of a COCO annotation file, objects of one class painted as one.

    Categories get the label ids 1, 2, … in the order of their own ids. An image without objects is all
    background; pixels of a crowd are ignored.

    Args:
        path: the .json file.
        images: folder of the images; without it, places that are usual beside the file are tried.

    Raises:
        DatasetError: the file cannot be read, a part of it is missing, or the images are not found.
    """
    data = _load(path)
    classes = _classes(path, data["categories"])
    label_of = {category: label for label, category in enumerate(sorted(classes), start=1)}
    if not data["images"]:
        raise DatasetError(f"{path} lists no image")
    folder = images or _find_images(path, data["images"][0]["file_name"])
    regions: defaultdict[Any, list[Region]] = defaultdict(list)
    for position, annotation in enumerate(data["annotations"]):
        regions[annotation.get("image_id")].append(_region(path, position, annotation, label_of))
    return LabelledSet(
        name=path.stem,
        classes={label: classes[category] for category, label in label_of.items()},
        samples=tuple(_sample(folder, image, regions[image["id"]]) for image in data["images"]),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as JSON: {error}") from None
    for part in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(part), list):
            raise DatasetError(f"{path} is no COCO file: it has no list {part!r}")
    found: dict[str, Any] = data
    return found


def _classes(path: Path, categories: list[Mapping[str, Any]]) -> dict[int, str]:
    try:
        classes = {int(each["id"]): str(each["name"]) for each in categories if each["name"] != "background"}
    except (KeyError, TypeError, ValueError):
        raise DatasetError(f"{path}: a category has no id and name") from None
    if not 0 < len(classes) <= MAX_CLASSES:
        raise DatasetError(f"{path} has {len(classes)} categories; expected 1 to {MAX_CLASSES}")
    return classes


def _find_images(path: Path, first: str) -> Path:
    split = path.stem.rpartition("_")[2]
    around = (path.parent, path.parent.parent)
    for folder in (
        near / name for near in around for name in (".", "images", split, f"images/{split}", "JPEGImages")
    ):
        if (folder / first).is_file():
            return folder
    raise DatasetError(f"the images of {path} are not beside it; say where: coco:{path}@FOLDER")


def _region(path: Path, position: int, annotation: Mapping[str, Any], label_of: Mapping[int, int]) -> Region:
    try:
        return Region(
            label_id=label_of[int(annotation["category_id"])],
            outline=annotation["segmentation"],
            area_px=float(annotation.get("area", 0.0)),
            crowd=bool(annotation.get("iscrowd", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: annotation {position} has no usable {error}") from None


def _sample(folder: Path, image: Mapping[str, Any], regions: list[Region]) -> Sample:
    item_id = Path(image["file_name"]).stem
    return Sample(
        item_id=item_id,
        image=folder / image["file_name"],
        mask=Regions(item_id=item_id, regions=tuple(regions)),
    )
