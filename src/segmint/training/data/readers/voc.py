"""Reader of folders in PASCAL VOC layout: JPEGImages/, SegmentationClass/, ImageSets/Segmentation/."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from segmint.errors import DatasetError
from segmint.plan.presets import vocabulary
from segmint.runs import layout
from segmint.training.data.datasets import LabelledSet, Sample
from segmint.vocabulary import Vocabulary

SUFFIXES = (".jpg", ".png", ".jpeg", ".JPG", ".JPEG", ".PNG")
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
        classes: names of the label ids 1, 2, …; without it `labelmap.txt` says (lines `id: name: R,G,B` as
            segmint writes them, or `name:R,G,B::` as CVAT does), and a VOC20xx folder has VOC's own twenty.

    Raises:
        DatasetError: the layout, the image set, a file or the class list is missing.
    """
    folder = find_devkit(path)
    if folder is None:
        raise DatasetError(f"{path} is not in VOC layout: {layout.IMAGE_SETS}/ is missing (also in {DEVKIT})")
    part = part or _usual_part(folder)
    names = [line.split()[0] for line in _lines(folder / layout.image_set(part)) if line.strip()]
    if not names:
        raise DatasetError(f"image set {folder / layout.image_set(part)} is empty")
    images = {each.name: each for each in (folder / layout.IMAGES).glob("*")}
    return LabelledSet(
        name=f"{folder.resolve().name}:{part}",
        classes=_classes(folder, classes),
        samples=tuple(_sample(folder, images, name) for name in names),
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


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        found = ", ".join(sorted(each.stem for each in path.parent.glob("*.txt"))) or "none"
        raise DatasetError(f"no image set {path.stem!r} in {path.parent}; found: {found}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from None


def _sample(folder: Path, images: Mapping[str, Path], name: str) -> Sample:
    for suffix in SUFFIXES:
        if f"{name}{suffix}" in images:
            return Sample(item_id=name, image=images[f"{name}{suffix}"], mask=folder / layout.mask(name))
    raise DatasetError(
        f"item {name} has no image in {folder / layout.IMAGES} (looked for {', '.join(SUFFIXES[:3])})"
    )


def _classes(folder: Path, given: Sequence[str] | None) -> dict[int, str]:
    if given is not None:
        return dict(enumerate(Vocabulary.of(given).names, start=1))
    if (folder / layout.LABELS).is_file():
        return _labelmap(folder / layout.LABELS)
    if folder.resolve().name.startswith("VOC20"):
        return dict(enumerate(vocabulary("voc").names, start=1))
    raise DatasetError(
        f"{folder} does not say what its label ids mean: add {layout.LABELS} "
        "(a line `id: name: R,G,B` each), "
        'or pass --dataset-classes "first, second, …"'
    )


def _labelmap(path: Path) -> dict[int, str]:
    lines = [line.strip() for line in _lines(path)]
    fields = [
        [part.strip() for part in line.split(":")] for line in lines if line and not line.startswith("#")
    ]
    if all(each[0].isdecimal() and len(each) >= 2 for each in fields):
        named = {int(each[0]): each[1] for each in fields}
    else:
        named = {index: each[0] for index, each in enumerate(fields)}
    classes = {label_id: name for label_id, name in named.items() if 0 < label_id < 255}
    if not classes or not all(classes.values()):
        raise DatasetError(f"{path} names no class; expected lines `id: name: R,G,B`")
    return classes
