"""Labelled images to train or judge on, whatever they are stored as.

A reader (see `readers`) makes a LabelledSet: samples with the label ids of their own files. `match` holds it
against a list of class names and makes a MatchedSet: the same samples with a table from file ids to the
network's labels, which are 0 for the background and 1, 2, … in the order of that list.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int16, UInt8

from segmint.errors import DatasetError, ImageError
from segmint.labels.legend import Legend, plain_legend
from segmint.labels.maskfile import by_table, read_mask, used_values
from segmint.plan.photos.reading import Photo, read_photo
from segmint.vocabulary import BACKGROUND, IGNORE

Others = Literal["ignore", "background"]
"""What becomes of true pixels of a class that is left out of a subset."""
UNKNOWN = -1
"""In a table: a value that means nothing in this dataset."""


@runtime_checkable
class Drawable(Protocol):
    """Labels that come as outlines and are drawn when they are needed."""

    def draw(self, *, height_px: int, width_px: int) -> UInt8[np.ndarray, "image_h image_w"]:
        """Label ids of the files, as a mask of that size."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image and where its labels come from: a mask file, or regions to be drawn."""

    item_id: str
    image: Path
    mask: Path | Drawable
    legend: Legend | None = None
    """What the values of a mask file mean; of regions, None."""
    group: str | None = None
    """The prompt of a minted image: what is alike of it, and stays on one side of a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """A dataset as its reader found it."""

    name: str
    classes: Mapping[int, str]
    """Class names by the label id of the files, without the background (0) and the uncertain pixels (255)."""
    samples: tuple[Sample, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    """How many samples were left out, by reason; named by the command line."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatchedSample:
    """A sample whose labels can be read as the network's."""

    item_id: str
    image: Path
    mask: Path | Drawable
    table: Int16[np.ndarray, "256"]
    """Network label for each label id of the dataset; UNKNOWN for ids that mean nothing."""
    legend: Legend | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedSet:
    """Samples that share one list of classes."""

    name: str
    classes: tuple[str, ...]
    judged: tuple[int, ...]
    """Network labels that count in the mean scores: all, or those of the subset; always with 0."""
    samples: tuple[MatchedSample, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the network's labels 0, 1, …"""
        return ("background", *self.classes)

    def fingerprint(self) -> str:
        """SHA-256 over the classes and the samples' ids, wherever the files lie."""
        text = "\n".join([*self.classes, "", *(sample.item_id for sample in self.samples)])
        return hashlib.sha256(text.encode()).hexdigest()


def match(
    found: LabelledSet,
    classes: Sequence[str],
    *,
    subset: Sequence[str] | None = None,
    others: Others = "ignore",
) -> MatchedSet:
    """A dataset's labels expressed as those of a network that knows `classes`.

    Names are compared without regard to case, blanks, hyphens and underscores, unless nothing else is left.

    Args:
        found: what the reader found.
        classes: the network's class names, label 1 first.
        subset: judge on these classes only. Without it both sides must have the same classes.
        others: true pixels of classes outside the subset are left out, or count as background.

    Raises:
        DatasetError: the class lists differ and no subset is given, the subset names a class that a side
            lacks, or two classes of one side have one name.
    """
    for names in (classes, tuple(found.classes.values())):
        _check_distinct(names, found)
    ours = {name_key(name): label for label, name in enumerate(classes, start=1)}
    theirs = {name_key(name): name for name in found.classes.values()}
    if subset is None:
        if ours.keys() != theirs.keys():
            raise DatasetError(_mismatch(found, classes, ours, theirs))
        judged = tuple(range(len(classes) + 1))
    else:
        judged = (BACKGROUND, *sorted(_chosen(found, classes, subset, ours, theirs)))
    table = np.full(256, UNKNOWN, np.int16)
    table[BACKGROUND], table[IGNORE] = BACKGROUND, IGNORE
    for value, name in found.classes.items():
        label = ours.get(name_key(name), UNKNOWN)
        table[value] = label if label in judged else (IGNORE if others == "ignore" else BACKGROUND)
    samples = tuple(
        MatchedSample(item_id=s.item_id, image=s.image, mask=s.mask, table=table, legend=s.legend)
        for s in found.samples
    )
    return MatchedSet(
        name=found.name, classes=tuple(classes), judged=judged, samples=samples, skipped=dict(found.skipped)
    )


def unite(sets: Sequence[MatchedSet]) -> MatchedSet:
    """Several sets of the same classes as one; item ids then begin with their set's name."""
    if len(sets) == 1:
        return sets[0]
    names = _distinct([each.name for each in sets])
    samples = tuple(
        replace(sample, item_id=f"{name}/{sample.item_id}")
        for name, each in zip(names, sets, strict=True)
        for sample in each.samples
    )
    reasons = {reason for each in sets for reason in each.skipped}
    skipped = {reason: sum(each.skipped.get(reason, 0) for each in sets) for reason in sorted(reasons)}
    return MatchedSet(
        name=" + ".join(names),
        classes=sets[0].classes,
        judged=sets[0].judged,
        samples=samples,
        skipped=skipped,
    )


def read_pair(
    sample: MatchedSample,
) -> tuple[UInt8[np.ndarray, "image_h image_w 3"], UInt8[np.ndarray, "image_h image_w"]]:
    """An image (RGB, 0–255) and its mask (network labels, 255 where ignored)."""
    photo, labels = read_noted(sample)
    return photo.rgb, labels


def read_noted(sample: MatchedSample) -> tuple[Photo, UInt8[np.ndarray, "image_h image_w"]]:
    """As `read_pair`, with what had to be decided about the image.

    Raises:
        ImageError: a file is missing, truncated or no picture, or image and mask differ in size.
        DatasetError: the mask holds a value that is neither a class nor 255.
    """
    photo = read_photo(sample.image)
    image = photo.rgb
    values = _values(sample, image.shape[0], image.shape[1])
    if values.shape != image.shape[:2]:
        raise ImageError(
            f"item {sample.item_id}: the image is {image.shape[1]}×{image.shape[0]} px and the mask "
            f"{values.shape[1]}×{values.shape[0]}; they must be the same size, the image upright as its EXIF "
            f"says ({sample.image})"
        )
    used = used_values(values)
    wrong = [each for each in used if sample.table[each] == UNKNOWN]
    if wrong:
        raise DatasetError(f"item {sample.item_id}: its mask has the values {wrong[:5]}, which are no class")
    if all(sample.table[each] == each for each in used):
        return photo, values.copy()
    return photo, by_table(values, sample.table.astype(np.uint8))


def _values(sample: MatchedSample, height_px: int, width_px: int) -> UInt8[np.ndarray, "..."]:
    if not isinstance(sample.mask, Path):
        return sample.mask.draw(height_px=height_px, width_px=width_px)
    known = {each: "" for each in range(1, IGNORE) if sample.table[each] != UNKNOWN}
    legend = sample.legend or plain_legend(known)
    try:
        return read_mask(sample.mask, legend, unknown=DatasetError)
    except DatasetError as error:
        raise DatasetError(f"item {sample.item_id}: {error}") from None


def _chosen(
    found: LabelledSet,
    classes: Sequence[str],
    subset: Sequence[str],
    ours: Mapping[str, int],
    theirs: Mapping[str, str],
) -> set[int]:
    if not subset:
        raise DatasetError("the subset of classes to judge on is empty; name at least one class")
    for name in subset:
        for known, whose in ((ours, f"the segmenter ({', '.join(classes)})"), (theirs, _listed(found))):
            if name_key(name) not in known:
                raise DatasetError(f"cannot judge on class {name!r}: it is not among the classes of {whose}")
    return {ours[name_key(name)] for name in subset}


def _mismatch(
    found: LabelledSet, classes: Sequence[str], ours: Mapping[str, int], theirs: Mapping[str, str]
) -> str:
    only_ours = [name for name in classes if name_key(name) not in theirs]
    only_theirs = [name for key, name in theirs.items() if key not in ours]
    common = [name for name in classes if name_key(name) in theirs]
    advice = f'; to judge on what they share pass --subset "{", ".join(common)}"' if common else ""
    return (
        f"the classes differ: only the segmenter has [{', '.join(only_ours)}], "
        f"only {found.name} has [{', '.join(only_theirs)}]{advice}"
    )


def _check_distinct(names: Sequence[str], found: LabelledSet) -> None:
    holders: dict[str, str] = {}
    for name in names:
        other = holders.setdefault(name_key(name), name)
        if other is not name:
            raise DatasetError(
                f"{found.name}: classes {other!r} and {name!r} cannot be told apart (case, blanks, hyphens "
                "and underscores do not count); rename one"
            )


def _listed(found: LabelledSet) -> str:
    return f"{found.name} ({', '.join(found.classes.values())})"


def name_key(name: str) -> str:
    """A class name without what is not compared: case, blanks, hyphens, underscores."""
    return "".join(name.casefold().replace("_", " ").replace("-", " ").split()) or name


def _distinct(names: Sequence[str]) -> list[str]:
    return [f"{name}-{place}" if names.count(name) > 1 else name for place, name in enumerate(names, start=1)]
