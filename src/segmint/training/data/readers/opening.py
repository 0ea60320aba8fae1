"""From the words `voc:/data/VOCdevkit@val` to a LabelledSet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from segmint.errors import DatasetError
from segmint.runs import layout
from segmint.textfile import shown, stands
from segmint.training.data.datasets import LabelledSet
from segmint.training.data.readers.coco import read_coco
from segmint.training.data.readers.run import read_run
from segmint.training.data.readers.voc import find_devkit, read_voc

_LONG = 300
"""Characters of an address that a message shows."""
Kind = Literal["run", "voc", "coco"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a dataset is: `[KIND:]PATH[@PART]`.

    `part` is the image set of a VOC folder (`val`), or the folder of images of a COCO file.
    """

    path: Path
    kind: Kind | None = None
    part: str | None = None


def parse_address(text: str) -> Address:
    """The parts of `[KIND:]PATH[@PART]`; an existing path is taken as it is, whatever signs it holds."""
    if stands(text):
        return Address(path=Path(text))
    head, colon, rest = text.partition(":")
    kind: Kind | None = None
    if colon and head in get_args(Kind):
        kind, text = head, rest  # type: ignore[assignment]
    path, at, part = text.rpartition("@")
    if at and not stands(text):
        return Address(path=Path(path), kind=kind, part=part)
    return Address(path=Path(text), kind=kind)


def _shortened(path: Path) -> str:
    text = str(path)
    return text if len(text) < _LONG and text.isprintable() else shown(text, _LONG)


def open_set(
    address: Address, *, classes: Sequence[str] | None = None, mask_set: str | None = None
) -> LabelledSet:
    """The dataset at an address; its kind is recognised by what lies there, unless it is given.

    Args:
        address: where it is.
        classes: names of the label ids 1, 2, … for a VOC folder that does not name its classes itself.
        mask_set: of a run, the mask set to take; None takes corrections where some were imported.

    Raises:
        DatasetError: nothing is there, its kind cannot be told, or its reader refuses it.
    """
    if not stands(address.path):
        raise DatasetError(
            f"no dataset at {_shortened(address.path)}; give a run, a VOC folder, a COCO .json file, or "
            "toybox:val"
        )
    kind = address.kind or _kind_of(address.path)
    if kind == "run":
        return read_run(address.path, part=address.part, mask_set=mask_set)
    if kind == "coco":
        return read_coco(address.path, images=Path(address.part) if address.part else None)
    return read_voc(address.path, part=address.part, classes=classes)


def _kind_of(path: Path) -> Kind:
    if path.is_file():
        if path.suffix == ".json":
            return "coco"
        raise DatasetError(f"{path} is a file; expected a COCO .json file, or a folder")
    if (path / layout.HEADER).is_file():
        return "run"
    if find_devkit(path) is not None:
        return "voc"
    raise DatasetError(
        f"{path} is no dataset that segmint knows: expected {layout.HEADER} (a run), "
        f"{layout.IMAGE_SETS} (VOC layout) or VOCdevkit/VOC2012, or a COCO .json file"
    )
