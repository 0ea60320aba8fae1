"""Where 023eacf differs from a700206, and was meant to: the house, and what issues brought since.

The images, and the masks of every published method, differ nowhere; up to 24b430c the default method's masks
were the same as well. After 023eacf the rivals became what their authors wrote (99b8f1a), and more differs.
"""

import io
import tarfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.sameness.reading import document, parsed, tensors

WHITE = 255
OF_THE_DEFAULT = ("competition", "presence")
"""Sections of the mask settings that no published method reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A difference that was meant."""

    files: str
    """A pattern of paths."""
    why: str
    same: Callable[[bytes, bytes], bool]
    """Whether two files differ by this and by nothing else."""


def same_but_outlines(then: bytes, now: bytes) -> bool:
    """Whether two pictures differ only in pixels that are white in one of them."""
    left, right = (np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) for each in (then, now))
    if left.shape != right.shape:
        return False
    moved = (left != right).any(axis=-1)
    white = (left == WHITE).all(axis=-1) | (right == WHITE).all(axis=-1)
    return bool((white | ~moved).all())


def same_but_layers(then: bytes, now: bytes) -> bool:
    """Whether two files of features differ only in what their layers are called."""
    left, right = (dict(np.load(io.BytesIO(each))) for each in (then, now))
    said = [parsed(each.pop("header").tobytes().decode()) | {"layers": None} for each in (left, right)]
    arrays = left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)
    return bool(arrays and said[0] == said[1])


def same_but_more(then: bytes, now: bytes) -> bool:
    """Whether JSON says all that it said, and more fields at most."""
    return grown(parsed(then.decode()), parsed(now.decode()))


def same_but_settings(then: bytes, now: bytes) -> bool:
    """Whether TOML says all that it said but of the default method, and more at most."""
    left, right = (tomllib.loads(each.decode()) for each in (then, now))
    for name in OF_THE_DEFAULT:
        left.get("masks", {}).pop(name, None)
    return grown(left, right)


def same_but_mask_settings(then: bytes, now: bytes) -> bool:
    """The same of a mask set's JSON."""
    left, right = parsed(then.decode()), parsed(now.decode())
    for name in OF_THE_DEFAULT:
        left["settings"].pop(name)
    return grown(left, right)


def same_but_seals(*roles: str) -> Callable[[bytes, bytes], bool]:
    """Whether records differ only in lengths and checksums of these files, and in fields that came since."""

    def same(then: bytes, now: bytes) -> bool:
        left, right = parsed(then.decode()), parsed(now.decode())
        for role in roles:
            left["files"].pop(role)
        return grown(left, right)

    return same


def same_but_header(then: bytes, now: bytes) -> bool:
    """Whether two checkpoints hold the same tensors, and the header all that it held."""
    (said, left), (says, right) = tensors(then), tensors(now)
    return left == right and grown(said, says)


def same_but_specks(then: bytes, now: bytes) -> bool:
    """Whether objects, a line or an annotation each, are some of those that there were."""
    try:
        left, right = parsed(then.decode()), parsed(now.decode())
    except ValueError:
        return set(now.splitlines()) <= set(then.splitlines())
    shapes = [[_nameless(each) for each in side.pop("annotations")] for side in (left, right)]
    return bool(left == right and all(each in shapes[0] for each in shapes[1]))


def same_but_bits(then: bytes, now: bytes) -> bool:
    """Whether two shards hold the same files: PNGs of the same pixels, records that say what they said."""
    left, right = _members(then), _members(now)
    return left.keys() == right.keys() and all(
        grown(_pixels(data), _pixels(right[name]))
        if name.endswith(".png")
        else grown(parsed(data.decode()), parsed(right[name].decode()))
        if name.endswith(".json")
        else data == right[name]
        for name, data in left.items()
    )


def same_but_quoted(then: bytes, now: bytes) -> bool:
    """Whether two pages show the same, but for the recipe that they quote."""
    left, right = document(then.decode()), document(now.decode())
    return len(left) == len(right) and all(
        a == b or (str(a).startswith(str(b)[:16]) and "[masks]" in str(b))
        for a, b in zip(left, right, strict=True)
    )


def grown(then: Any, now: Any) -> bool:
    """Whether all fields that were there are there with their values."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(key in now and grown(value, now[key]) for key, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(map(grown, then, now))
    return bool(then == now)


def _nameless(annotation: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in annotation.items() if key != "id"}


def _members(shard: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(shard)) as files:
        return {each.name: files.extractfile(each).read() for each in files}  # type: ignore[union-attr]


def _pixels(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png))).tolist()


def _anything(then: bytes, now: bytes) -> bool:
    return True


BETTER = "the default method makes better masks (15ff1ad, 064d116); its images are the same"
BY_ROLE = (
    "the stand-in model of the tests names its layers by role, as no UNet does: it proves that nothing "
    "outside a family's file reads a module's name"
)
MORE = "settings came since, and the default method has others; published methods read none of these"
SPECKS = "specks are no objects (ad9d473)"
CARD = "cards say what an export lost in other words, and more of its layout (a4cd2fc)"
SEALED = "checkpoints hold the checksum of their tensors"
ACCEPTED = (
    *(
        Accepted(files=f"{run}/{name}", why=BETTER, same=_anything)
        for run in ("segmint", "labelled-segmint")
        for name in (
            "SegmentationClass/*",
            "SegmentationAgreement/*",
            "features/*",
            "items/*",
            "contact-sheet.png",
        )
    ),
    Accepted(
        files="explain.png",
        why="the white line around a class runs as on the contact sheet: inside the right and lower of two "
        "neighbours, and not over uncertain pixels (one overlay for all pictures)",
        same=same_but_outlines,
    ),
    Accepted(files="fake/features/*.npz", why=BY_ROLE, same=same_but_layers),
    Accepted(files="fake/items/*.json", why=BY_ROLE, same=same_but_seals("features")),
    Accepted(files="items/*.json", why="records say which classes were found (064d116)", same=same_but_more),
    Accepted(files="recipe.toml", why=MORE, same=same_but_settings),
    Accepted(files="masks.json", why=MORE, same=same_but_mask_settings),
    Accepted(files="run.json", why=MORE, same=same_but_seals("recipe")),
    Accepted(files="as-*/README.md", why=CARD, same=_anything),
    Accepted(files="as-coco*/annotations/*.json", why=SPECKS, same=same_but_specks),
    Accepted(files="as-yolo/labels/*/*.txt", why=SPECKS, same=same_but_specks),
    Accepted(
        files="shards/*.tar",
        why="masks in shards are grey: ids survive (a4cd2fc)",
        same=same_but_bits,
    ),
    Accepted(files="report.html", why=MORE, same=same_but_quoted),
    Accepted(files="*.safetensors", why=SEALED, same=same_but_header),
    Accepted(files="*.safetensors.sha256", why=SEALED, same=_anything),
)
CAME_SINCE = {
    "photos/*.instances.png": "rendered scenes bring their instances (a8a43b1)",
    "SegmentationObject/*.png": "VOC exports bring objects (a4cd2fc)",
    "as-*/VOCdevkit/VOC2012/labelmap.txt": "VOC exports name their ids (a4cd2fc)",
    "judged/worst.png": "evaluations draw the worst images (fc93125)",
}
"""Files that a700206 did not write, and since when they are."""


def why_it_may(path: str, base: Path, ours: Path) -> str:
    """Why two files that differ may; empty where they may not."""
    for each in ACCEPTED:
        if (
            Path(path).match(each.files)
            and ours.is_file()
            and each.same(base.read_bytes(), ours.read_bytes())
        ):
            return each.why
    return ""


def why_new(path: str) -> str:
    """Why a file that the base did not write may be there; empty where it may not."""
    return next((why for files, why in CAME_SINCE.items() if Path(path).match(files)), "")
