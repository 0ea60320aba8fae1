"""Reader of folders in PASCAL VOC layout: JPEGImages/, SegmentationClass/, ImageSets/Segmentation/."""

import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from segmint.errors import DatasetError
from segmint.labels.labelmap import read_label_map
from segmint.labels.legend import Legend, legend_of
from segmint.plan.classes import preset_vocabulary
from segmint.plan.photos.sources import SUFFIXES
from segmint.runs import layout
from segmint.textfile import read_text, shown, stands
from segmint.training.data.datasets import LabelledSet, Sample
from segmint.vocabulary import Vocabulary

_USUAL = (".jpg", ".png", ".jpeg")
"""Endings of images, the most usual first."""
_FLAG = re.compile(r"\s+(-1|0|1)$")
_LONG = 200
"""Characters of a name that a message shows."""
DEVKIT = "VOCdevkit/VOC2012"


def find_devkit(path: Path) -> Path | None:
    """The folder that holds `ImageSets/Segmentation`: the path itself, or VOC2012 inside it."""
    for folder in (path, path / DEVKIT, path / "VOC2012", *sorted(path.glob("VOC20??"))):
        if (folder / layout.IMAGE_SETS).is_dir():
            return folder
    return None


def read_voc(path: Path, *, part: str | None = None, classes: Sequence[str] | None = None) -> LabelledSet:
    """The images of one image set of a VOC folder.

    Args:
        path: a VOCdevkit, its parent, or any folder in that layout.
        part: the image set; without it `val`, else `trainval`, else the only one there is.
        classes: names of the label ids 1, 2, …; without it `labelmap.txt` says (see `labels.labelmap`), and
            a VOC20xx folder has VOC's own twenty.

    Raises:
        DatasetError: the layout, the image set, a file or the class list is missing.
    """
    folder = find_devkit(path)
    if folder is None:
        raise DatasetError(f"{path} is not in VOC layout: {layout.IMAGE_SETS}/ is missing (also in {DEVKIT})")
    part = part or _usual_part(folder)
    legend = _legend(folder, classes)
    images = _images(folder / layout.IMAGES)
    names, doubled = _names(folder, part, images)
    return LabelledSet(
        name=f"{folder.resolve().name}:{part}",
        classes=legend.classes,
        samples=tuple(_sample(folder, images, name, legend) for name in names),
        skipped={"listed twice": doubled} if doubled else {},
    )


def download_voc(root: Path, *, part: str = "val") -> Path:
    """PASCAL VOC 2012 (2 GB) under `root`, by torchvision's own downloader; returns the VOCdevkit.

    Raises:
        DatasetError: the server cannot be reached, or the archive is damaged.
    """
    from torchvision.datasets import VOCSegmentation

    try:
        VOCSegmentation(str(root), year="2012", image_set=part, download=True)
    except (OSError, RuntimeError) as error:
        raise DatasetError(
            f"PASCAL VOC 2012 could not be downloaded to {root} ({error}); "
            "fetch it on a machine with a network and pass its VOCdevkit folder"
        ) from None
    return root / "VOCdevkit"


def _usual_part(folder: Path) -> str:
    found = sorted(each.stem for each in (folder / layout.IMAGE_SETS).glob("*.txt"))
    for part in ("val", "trainval", *found[:1]):
        if part in found:
            return part
    raise DatasetError(f"{folder / layout.IMAGE_SETS} holds no image set (a .txt file of item names)")


def _names(folder: Path, part: str, images: Mapping[str, Path]) -> tuple[list[str], int]:
    """The names that an image set lists, each once, and how many lines said one again."""
    path = folder / layout.image_set(part)
    if not stands(path):
        found = ", ".join(sorted(each.stem for each in path.parent.glob("*.txt"))) or "none"
        raise DatasetError(f"no image set {path.stem!r} in {path.parent}; found: {found}")
    text, _ = read_text(path, what="image set", error=DatasetError)
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    names = [_name(line, images, f"{path}, line {number}") for number, line in lines if line]
    if not names:
        raise DatasetError(f"image set {path} is empty")
    once = list(dict.fromkeys(names))
    return once, len(names) - len(once)


def _name(line: str, images: Mapping[str, Path], where: str) -> str:
    """One line is one name: as the files have it, else with slashes for backslashes, without an ending, or
    without the flag that lists of single classes put behind it."""
    plain = unicodedata.normalize("NFC", line)
    slashed = PurePosixPath(plain.replace("\\", "/"))
    forms = [plain, str(slashed), str(slashed.with_suffix("")) if slashed.name else plain]
    flagged = _FLAG.sub("", plain)
    for name in (*forms, flagged, str(PurePosixPath(flagged.replace("\\", "/")))):
        if name in images:
            return name
    if slashed.is_absolute() or ".." in slashed.parts:
        raise DatasetError(f"{where}: {shown(line)} leaves the folder; expected a name below {layout.IMAGES}")
    endings = ", ".join(_USUAL[:3])
    told = line if line.isprintable() and len(line) < _LONG else shown(line)
    raise DatasetError(f"{where}: item {told} has no image in {layout.IMAGES} (looked for {endings})")


def _images(folder: Path) -> dict[str, Path]:
    """Image files at any depth by their path without the ending; of two, the more usual kind."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*"), key=_kind):
        if path.suffix.lower() in SUFFIXES:
            name = path.relative_to(folder).with_suffix("").as_posix()
            found.setdefault(unicodedata.normalize("NFC", name), path)
    return found


def _kind(path: Path) -> tuple[int, str]:
    suffix = path.suffix.lower()
    return (_USUAL.index(suffix) if suffix in _USUAL else len(_USUAL), path.as_posix())


def _sample(folder: Path, images: Mapping[str, Path], name: str, legend: Legend) -> Sample:
    inside = images[name].relative_to(folder / layout.IMAGES).with_suffix(".png")
    return Sample(item_id=name, image=images[name], mask=folder / layout.MASKS / inside, legend=legend)


def _legend(folder: Path, given: Sequence[str] | None) -> Legend:
    if given is not None:
        return legend_of(Vocabulary.of(given))
    if os.path.lexists(folder / layout.LABELS):
        return read_label_map(folder / layout.LABELS)
    if folder.resolve().name.startswith("VOC20"):
        return legend_of(preset_vocabulary("voc"))
    raise DatasetError(
        f"{folder} does not say what its label ids mean: add {layout.LABELS} "
        "(a line `id: name: R,G,B` each), "
        'or pass --dataset-classes "first, second, …"'
    )
