"""Reader of COCO-format annotation files; outlines are checked at once and drawn when they are needed."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from segmint.errors import DatasetError
from segmint.textfile import parse_json, read_text, shown
from segmint.training.data.datasets import LabelledSet, Sample, name_key
from segmint.training.data.readers import outlines
from segmint.vocabulary import BACKGROUND, IGNORE, MAX_CLASSES

Id = int | str
"""Of an image or a category; a whole number that is written as text is that number."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONGEST_ID = 18
"""Digits of a number among ids that are text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One annotated object."""

    where: str
    """For messages: the annotation's place and id."""
    label_id: int
    outline: outlines.Polygons | outlines.Runs
    crowd: bool = False
    """A crowd's outline is coarse: its pixels are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """All objects of one image."""

    item_id: str
    regions: tuple[Region, ...]
    size: tuple[int, int] | None = None
    """(height, width) of the image as the file states it."""

    def draw(self, *, height_px: int, width_px: int) -> UInt8[np.ndarray, "image_h image_w"]:
        """Paint the regions on the background, crowds first, then the largest first, so that small objects
        stay in sight; what counts is the area that is drawn, not the one that the file states.

        Raises:
            MissingDependency: pycocotools is not installed.
            DatasetError: an outline was made for an image of another size.
        """
        if self.regions and self.size not in (None, (height_px, width_px)):
            stated_h, stated_w = self.size or (0, 0)
            raise DatasetError(
                f"item {self.item_id}: its annotations were made for {stated_w}×{stated_h} px, the image is "
                f"{width_px}×{height_px} when it stands upright as its EXIF says"
            )
        drawn = [(region, self._inside(region, height_px, width_px)) for region in self.regions]
        mask = np.zeros((height_px, width_px), np.uint8)
        for region, packed in sorted(drawn, key=lambda each: (not each[0].crowd, -each[1][1])):
            inside = np.unpackbits(packed[0], count=mask.size).astype(bool).reshape(mask.shape)
            mask[inside] = IGNORE if region.crowd else region.label_id
        return mask

    def _inside(self, region: Region, height_px: int, width_px: int) -> tuple[np.ndarray, int]:
        """The region's pixels, eight to a byte, and how many they are."""
        try:
            inside = outlines.draw(region.outline, height_px=height_px, width_px=width_px)
        except (TypeError, ValueError, MemoryError) as error:
            raise DatasetError(f"item {self.item_id}, {region.where}: {error}") from None
        return np.packbits(inside), int(inside.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    where: str
    file_name: str
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labels:
    """Label ids by category, and the names behind them; what was left out, by reason."""

    ids: Mapping[Id, int]
    names: Mapping[int, str]
    skipped: Counter[str] = field(default_factory=Counter)


def read_coco(path: Path, *, images: Path | None = None) -> LabelledSet:
    """The images of a COCO annotation file, objects of one class painted as one.

    Categories get the label ids 1, 2, … in the order of their own ids. Categories of one name are one class;
    one called "background" is the background; one that is only the `supercategory` of others, and of no
    annotation, is left out. An image without objects is all background; pixels of a crowd are ignored.
    Annotations of an image that is not listed, and those whose outline encloses nothing, are left out and
    counted.

    Args:
        path: the .json file.
        images: folder of the images; without it, places that are usual beside the file are tried.

    Raises:
        DatasetError: the file cannot be read, an entry in it cannot be meant, or the images are not found.
    """
    data = _load(path)
    listed = _images(path, data["images"])
    labels = _labels(path, data["categories"], _used(data["annotations"]))
    regions: defaultdict[Id, list[Region]] = defaultdict(list)
    for position, annotation in enumerate(data["annotations"]):
        entry = _entry("annotation", position, annotation)
        key, region = _region(annotation, f"{path}: {entry}", entry, labels)
        if key not in listed:
            labels.skipped["annotations of no listed image"] += 1
        elif region is None:
            labels.skipped["annotations that enclose nothing"] += 1
        else:
            regions[key].append(region)
    _check_outlined(path, data["annotations"], labels)
    folder = images or _find_images(path, [each.file_name for each in listed.values()])
    names = _item_ids([each.file_name for each in listed.values()])
    return LabelledSet(
        name=path.stem,
        classes=labels.names,
        samples=tuple(
            _sample(folder, name, image, regions.get(key, []))
            for name, (key, image) in zip(names, listed.items(), strict=True)
        ),
        skipped=dict(labels.skipped),
    )


def _load(path: Path) -> dict[str, Any]:
    text, _ = read_text(path, what="COCO file", error=DatasetError)
    try:
        data = parse_json(text, constants=True)
    except ValueError as error:
        raise DatasetError(f"{path} cannot be read as JSON: {error}") from None
    for part in ("images", "annotations", "categories"):
        if not isinstance(data, dict) or not isinstance(data.get(part), list):
            raise DatasetError(f"{path} is no COCO file: it has no list {part!r}")
    found: dict[str, Any] = data
    return found


def _images(path: Path, entries: Sequence[Any]) -> dict[Id, _Image]:
    if not entries:
        raise DatasetError(f"{path} lists no image")
    found: dict[Id, _Image] = {}
    holders: dict[str, str] = {}
    for position, entry in enumerate(entries):
        where = f"{path}: {_entry('image', position, entry)}"
        key, name = _id(_field(entry, "id", where), where), _field(entry, "file_name", where)
        if not isinstance(name, str) or not name.strip() or _CONTROL.search(name):
            raise DatasetError(f"{where} has the file_name {shown(name)}; expected the name of a file")
        if key in found:
            raise DatasetError(f"{where} has the id of another image; each needs its own")
        plain = str(PurePosixPath(name.replace("\\", "/")))
        if holders.setdefault(plain, where) is not where:
            raise DatasetError(f"{where} has the file_name {shown(name)} of another image; put them together")
        found[key] = _Image(where=where, file_name=name, size=_size(entry, where))
    return found


def _size(entry: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    """(height, width); None where one of them is not told (missing, null or 0)."""
    sides = [entry.get("height"), entry.get("width")]
    for side in sides:
        whole = isinstance(side, int | float) and not isinstance(side, bool) and math.isfinite(_number(side))
        if side is not None and not (whole and side >= 0 and side == int(side)):
            raise DatasetError(f"{where} has the height and width {shown(sides)}; expected whole pixels")
    return (int(sides[0]), int(sides[1])) if all(sides) else None  # type: ignore[arg-type]


def _labels(path: Path, entries: Sequence[Any], used: frozenset[Id]) -> _Labels:
    named: dict[Id, str] = {}
    parents: set[str] = set()
    for position, entry in enumerate(entries):
        where = f"{path}: {_entry('category', position, entry)}"
        if not isinstance(entry, dict) or entry.get("id") is None or entry.get("name") is None:
            raise DatasetError(f"{where} has no id and name")
        key, name = _id(entry["id"], where), entry["name"]
        if not isinstance(name, str) or not name.strip() or not name.strip().isprintable():
            raise DatasetError(f"{where} has the name {shown(name)}; expected text")
        if key in named:
            raise DatasetError(f"{where} has the id of another category; each needs its own")
        named[key] = " ".join(name.split())
        if isinstance(entry.get("supercategory"), str) and entry["supercategory"] != name:
            parents.add(" ".join(entry["supercategory"].split()))
    idle = {key for key, name in named.items() if name in parents and key not in used}
    names = dict.fromkeys(named[key] for key in sorted(named, key=_order) if key not in idle)
    classes = [name for name in names if name_key(name) != "background"]
    if not 0 < len(classes) <= MAX_CLASSES:
        raise DatasetError(f"{path} has {len(classes)} categories; expected 1 to {MAX_CLASSES}")
    ids = {name: label for label, name in enumerate(classes, start=1)}
    return _Labels(
        ids={key: ids.get(name, BACKGROUND) for key, name in named.items() if key not in idle},
        names={label: name for name, label in ids.items()},
        skipped=Counter({"parent categories": len(idle)} if idle else {}),
    )


def _used(annotations: Sequence[Any]) -> frozenset[Id]:
    given = [each.get("category_id") for each in annotations if isinstance(each, dict)]
    return frozenset(_plain(each) for each in given if isinstance(each, int | str))


def _region(annotation: Any, where: str, entry: str, labels: _Labels) -> tuple[Id, Region | None]:
    """The image that an annotation is of, and its region; None where that encloses nothing."""
    category = _id(_field(annotation, "category_id", where), where)
    if category not in labels.ids:
        raise DatasetError(f"{where} has the category_id {shown(category)}, which no category has")
    image = _id(_field(annotation, "image_id", where), where)
    crowd = _crowd(annotation.get("iscrowd"), where)
    try:
        outline = outlines.checked(annotation.get("segmentation"))
    except ValueError as error:
        raise DatasetError(f"{where}: {error}") from None
    if outline is None:
        return image, None
    return image, Region(where=entry, label_id=labels.ids[category], outline=outline, crowd=crowd)


def _check_outlined(path: Path, annotations: Sequence[Any], labels: _Labels) -> None:
    """All boxes and no outlines: a file for detection, of which every mask would be background."""
    if annotations and labels.skipped.get("annotations that enclose nothing") == len(annotations):
        raise DatasetError(f"{path}: none of its {len(annotations)} annotations has an outline to fill")


def _field(entry: Any, name: str, where: str) -> Any:
    if not isinstance(entry, dict):
        raise DatasetError(f"{where} is {shown(entry)}; expected an object")
    if entry.get(name) is None:
        raise DatasetError(f"{where} has no {name}")
    return entry[name]


def _id(value: Any, where: str) -> Id:
    whole = isinstance(value, float) and value.is_integer()
    if isinstance(value, bool) or not (whole or isinstance(value, int | str)):
        raise DatasetError(f"{where} has the id {shown(value)}; expected a whole number or text")
    return _plain(int(value) if whole else value)


def _plain(value: Id) -> Id:
    text = value.strip() if isinstance(value, str) else ""
    number = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _LONGEST_ID
    return int(text) if number else value


def _order(key: Id) -> tuple[bool, int, str]:
    return (
        isinstance(key, str),
        0 if isinstance(key, str) else key,
        str(key) if isinstance(key, str) else "",
    )


def _crowd(value: Any, where: str) -> bool:
    if value is None or value in (0, 1, "0", "1"):
        return value in (1, "1")
    raise DatasetError(f"{where} has iscrowd {shown(value)}; expected 0 or 1")


def _number(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _entry(what: str, position: int, entry: Any) -> str:
    own = entry.get("id") if isinstance(entry, dict) else None
    return f"{what} {position}" if own is None else f"{what} {position} (id {shown(own, 20)})"


def _find_images(path: Path, names: Sequence[str]) -> Path:
    """The usual folder in which the first listed image lies that lies in any."""
    split = path.stem.rpartition("_")[2]
    near = [
        around / name
        for around in (path.parent, path.parent.parent)
        for name in (".", "images", split, f"images/{split}", "JPEGImages")
    ]
    for name in names:
        for folder in near:
            if _is_file(_inside(folder, name)):
                return folder
    raise DatasetError(f"the images of {path} are not beside it; say where: coco:{path}@FOLDER")


def _inside(folder: Path, name: str) -> Path:
    """Where a listed file lies; backslashes divide folders unless a file is called so."""
    return folder / name if "\\" not in name or _is_file(folder / name) else folder / name.replace("\\", "/")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system takes
        return False


def _item_ids(names: Sequence[str]) -> list[str]:
    """Each file's stem; its whole path without the ending where several share one."""
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    stems = Counter(path.stem for path in paths)
    return [path.stem if stems[path.stem] == 1 else str(path.with_suffix("")) for path in paths]


def _sample(folder: Path, name: str, image: _Image, regions: Sequence[Region]) -> Sample:
    return Sample(
        item_id=name,
        image=_inside(folder, image.file_name),
        mask=Regions(item_id=name, regions=tuple(regions), size=image.size),
    )
