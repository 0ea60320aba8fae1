"""Datasets as a command line names them, the rendered splits of the worlds among them."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segmint.settings import Flag, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segmint.toybox.worlds import World
    from segmint.training.data.datasets import LabelledSet

WORLDS = ("toybox", "yard")
DEFAULT_COUNT = {"train": 1000, "val": 300, "test": 300, "reserve": 300}
"""Scenes of a rendered split, where the address names no other number."""
COUNT_DIGITS = 9
HELP = (
    "a run, a folder in VOC layout (PATH or PATH@SPLIT), a COCO file (FILE.json or coco:FILE.json@IMAGES), "
    "or toybox:val, toybox:test, toybox:train (toybox:test@500 for 500 scenes), "
    "and the same of yard:"
)

Val = Annotated[str, typer.Option(metavar="DATASET", help=f"What to judge on: {HELP}.")]


class DataOptions(Settings):
    """How datasets are read, and on which classes a network is judged."""

    subset: Annotated[str | None, Flag("--subset")] = None
    """Judge on these classes only: "boat, tree"; else the lists must agree."""
    others: Annotated[Literal["ignore", "background"], Flag("--others")] = "ignore"
    """With --subset: true pixels of other classes are left out, or background."""
    dataset_classes: Annotated[str | None, Flag("--dataset-classes")] = None
    """Names of the ids 1, 2, … of a VOC folder that does not say."""
    download: Annotated[bool, Flag("--download")] = False
    """Fetch PASCAL VOC 2012 (2 GB) to the folder of the dataset to judge on first."""
    skip_broken: Annotated[bool, Flag("--skip-broken")] = False
    """Leave out files that cannot be read."""


def open_dataset(
    text: str, *, classes: "Sequence[str] | None" = None, mask_set: str | None = None
) -> "LabelledSet":
    """The dataset that a command line names.

    Splits of a world are rendered once, into a folder in VOC layout of the user's cache.

    Raises:
        DatasetError: there is no such dataset, or it cannot be read.
    """
    from segmint.training.data.readers.opening import Address, open_set, parse_address

    if text.partition(":")[0] in WORLDS and ":" in text:
        folder = rendered(text)
        found = open_set(Address(path=folder, kind="voc", part=folder.name.partition("-")[0]))
        return replace(found, name=text)
    return open_set(parse_address(text), classes=classes, mask_set=mask_set)


def downloaded(data: str) -> str:
    """The address of PASCAL VOC 2012 in the folder that an address names; fetched if it is not there.

    Raises:
        DatasetError: it could not be fetched.
    """
    from segmint.training.data.readers.opening import parse_address
    from segmint.training.data.readers.voc import download_voc, find_devkit

    address = parse_address(data)
    root = address.path.parent if address.path.name == "VOCdevkit" else address.path
    if find_devkit(root) is None:
        download_voc(root, part=address.part or "val")
    return f"voc:{root}@{address.part or 'val'}"


def rendered(text: str) -> Path:
    """The folder of `WORLD:SPLIT[@COUNT]`; renders it if the cache does not hold it.

    Raises:
        DatasetError: there is no such split, or the count is no number from 1 on.
    """
    from segmint.errors import DatasetError
    from segmint.toybox.worlds import world_named

    name, _, rest = text.partition(":")
    split, _, count = rest.partition("@")
    counted = not count or (count.isdecimal() and len(count) <= COUNT_DIGITS and int(count) > 0)
    if split not in DEFAULT_COUNT or not counted:
        raise DatasetError(
            f"no {name} split {text!r}; expected {name}:train, {name}:val or {name}:test, with @COUNT"
        )
    world, number = world_named(name), int(count or DEFAULT_COUNT[split])
    folder = cache_folder() / name / f"{split}-{number}-{_version(world, split)}"
    if not folder.is_dir():
        _render(folder, world, split, number)
    return folder


def cache_folder() -> Path:
    """Where rendered splits are kept: `$XDG_CACHE_HOME/segmint`, usually `~/.cache/segmint`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segmint"


def _version(world: "World", split: str) -> str:
    """Changes with what the renderer draws, so that a cached split never outlives its world."""
    scenes = [world.render(seed, split=split) for seed in range(3)]  # type: ignore[arg-type]
    said = json.dumps(world.classes).encode()
    return hashlib.sha256(said + b"".join(s.image.tobytes() + s.mask.tobytes() for s in scenes)).hexdigest()[
        :12
    ]


def _render(folder: Path, world: "World", split: str, count: int) -> None:
    from segmint.plan.classes import preset_vocabulary
    from segmint.runs import layout
    from segmint.runs.codec import encode_image, encode_mask

    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    for part in (layout.IMAGES, layout.MASKS, layout.IMAGE_SETS):
        (draft / part).mkdir(parents=True)
    names = [f"{split}-{seed:06d}" for seed in range(count)]
    palette = preset_vocabulary(world.name).palette()
    for seed, name in enumerate(names):
        scene = world.render(seed, split=split)  # type: ignore[arg-type]
        (draft / layout.image(name, "jpg")).write_bytes(encode_image(scene.image, "jpg"))
        (draft / layout.mask(name)).write_bytes(encode_mask(scene.mask, palette))
    (draft / layout.image_set(split)).write_text("\n".join([*names, ""]), encoding="utf-8")
    lines = [f"{label_id}: {name}" for label_id, name in enumerate(("background", *world.classes))]
    (draft / layout.LABELS).write_text("\n".join([*lines, ""]), encoding="utf-8")
    try:
        draft.replace(folder)
    except OSError:  # another process was faster
        shutil.rmtree(draft, ignore_errors=True)
