"""What every export reads: the accepted items of a run, split, one at a time."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from segmint.artifacts import Grid, Mask
from segmint.errors import ConfigError, ExportError, ImageError, SegmintError
from segmint.labels.legend import Legend, legend_of
from segmint.labels.relabelling import Relabelling
from segmint.masks.instances import MIN_AREA_SHARE, Instances, part
from segmint.runs import codec, layout
from segmint.runs.curation.decisions import accepted, states_at
from segmint.runs.masksets import chosen_set, sets_by_item
from segmint.runs.records import ItemRecord
from segmint.runs.splits import DEFAULT_SPLITS, SplitBy, deal
from segmint.runs.store import Run, heal_image_sets
from segmint.vocabulary import IGNORE, Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """One item as exports take it: the image file's own bytes, the mask as label ids."""

    record: ItemRecord
    image: bytes
    suffix: str
    """`jpg` or `png`."""
    labels: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What was met on the way, for the notes at the end."""

    written: dict[str, int] = field(default_factory=dict)
    """Items by split."""
    unreadable: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    """Why an item could not be read."""
    uncertain: list[int] = field(default_factory=lambda: [0, 0])
    """Pixels that are 255, and all pixels."""
    objects: list[int] = field(default_factory=lambda: [0, 0])
    """Objects that were written, and specks that were dropped."""

    def add(self, other: "Tally") -> None:
        """Count what another process met as well."""
        for split, count in other.written.items():
            self.written[split] = self.written.get(split, 0) + count
        self.unreadable.extend(other.unreadable)
        self.reasons.update(other.reasons)
        for own, more in ((self.uncertain, other.uncertain), (self.objects, other.objects)):
            own[:] = [mine + theirs for mine, theirs in zip(own, more, strict=True)]


def no_progress() -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRule:
    """What counts as an object."""

    min_area: int | float = MIN_AREA_SHARE
    """Share of the image (under 1) or pixels (from 1), under which a region is a speck."""
    stuff: tuple[str, ...] = ()
    """Classes, by their names in the export, all of whose pixels in an image are one object."""
    cut: bool = True
    """Whether things of a class that touch are told apart, where minting saw that they are several."""

    def least_px(self, pixels: int) -> int | float:
        """The least area in an image of so many pixels."""
        return self.min_area if self.min_area >= 1 else self.min_area * pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The items to export. `splits` holds ids only; images and masks are read as they are asked for."""

    run: Run
    vocabulary: Vocabulary
    mask_set: str
    """Its name, for records."""
    sets: Mapping[str, str]
    """Whose mask each item is taken from."""
    splits: Mapping[str, tuple[str, ...]]
    legend: Legend
    """What the run's masks hold."""
    relabel: Callable[[Mask], Mask]
    """From the run's label ids to those of `vocabulary`."""
    objects: ObjectRule = ObjectRule()
    workers: int = 1
    """Processes that read items and make of them what their format wants; see `spread`."""
    tally: Tally = field(default_factory=Tally)
    progress: Callable[[], None] = no_progress
    """Called after each item."""

    def items(self, split: str) -> Iterator[ExportItem]:
        """The split's items in the order of their ids; one that cannot be read is left out and told of."""
        for item_id in self.splits[split]:
            item = self._read(item_id)
            if item is not None:
                self.tally.written[split] = self.tally.written.get(split, 0) + 1
                self.tally.uncertain[0] += int(np.count_nonzero(item.labels == IGNORE))
                self.tally.uncertain[1] += item.labels.size
                yield item
            self.progress()

    def instances(self, item: ExportItem) -> Instances:
        """The objects of an item."""
        stuff = [self.vocabulary.entry(each).label_id for each in self.objects.stuff]
        found = part(
            item.labels,
            points=item.record.touching if self.objects.cut else (),
            stuff=stuff,
            min_area_px=self.objects.least_px(item.labels.size),
        )
        self.tally.objects[0] += len(found.label_ids)
        self.tally.objects[1] += found.dropped
        return found

    def _read(self, item_id: str) -> ExportItem | None:
        try:
            mask_set = self.sets[item_id]
            record = self.run.record(item_id, mask_set)
            path, data = self._image(record)
            size = self._image_size(record, data, str(path))
            mask_path = layout.mask(item_id, mask_set)
            data_of_mask = self.run.files.read(mask_path)
            labels = codec.decode_labels(data_of_mask, self.legend, source=str(mask_path))
            if labels.shape != size:
                raise ImageError(f"{mask_path} is not of its image's size")
        except SegmintError as error:
            self.tally.unreadable.append(item_id)
            self.tally.reasons[item_id] = str(error)
            return None
        return ExportItem(record=record, image=data, suffix=path.suffix[1:], labels=self.relabel(labels))

    @staticmethod
    def _image_size(record: ItemRecord, data: bytes, source: str) -> Grid:
        """(height, width); bytes that are not those of the record are decoded to see that they are whole."""
        written = record.files.get("image")
        if written is not None and written.sha256 == hashlib.sha256(data).hexdigest():
            return codec.image_size(data, source=source)
        height, width = codec.decode_image(data, source=source).shape[:2]
        return height, width

    def _image(self, record: ItemRecord) -> tuple[PurePosixPath, bytes]:
        suffix = PurePosixPath(record.files["image"].path).suffix if "image" in record.files else ".jpg"
        path = layout.image(record.id, "png" if suffix == ".png" else "jpg")
        return path, self.run.files.read(path)


def open_source(
    run: Run,
    *,
    splits: Mapping[str, int | float] = DEFAULT_SPLITS,
    split_by: SplitBy = "item",
    seed: int = 0,
    mask_set: str | None = None,
    kept_only: bool = False,
    change: Callable[[Vocabulary], Relabelling | None] = lambda vocabulary: None,
    objects: ObjectRule = ObjectRule(),
    workers: int = 1,
    progress: Callable[[], None] = no_progress,
) -> Source:
    """The items of a run that nobody rejected, split.

    Args:
        run: an open run.
        splits: share of each split, by name; only their proportions count.
        split_by: items one by one, or all of a prompt together.
        seed: another one deals the items out differently.
        mask_set: whose masks to take; None takes corrections where some were imported, "" never.
        kept_only: take only items that were kept by hand.
        change: gives the change of the run's classes, if any (see `labels.relabelling`).
        objects: what counts as an object, for formats that know them.
        workers: processes that export, for formats of a file or a line an item; they are started anew, so
            that a script that asks for several must not begin its work when it is imported.
        progress: called after each item is read.

    Raises:
        RunError: the run has no such mask set.
        ExportError: no item is left to export.
        ConfigError: a prompt has more items than any split takes.
        VocabularyError: a class of `change` or `objects.stuff` is unknown.
    """
    sets = sets_by_item(run, mask_set)
    heal_image_sets(run)
    ids = accepted(sorted(sets), states_at(run.files), kept_only=kept_only)
    if not ids:
        kind = "kept item" if kept_only else "item that is not rejected"
        raise ExportError(f"{run.files.address} has no {kind} to export")
    prompts = {spec.item_id: spec.prompt for spec in run.plan()} if split_by == "prompt" else {}
    parts = deal(ids, splits, seed, groups=prompts)
    before = run.vocabulary()
    changed = change(before)
    source = Source(
        run=run,
        vocabulary=changed.vocabulary if changed else before,
        mask_set=chosen_set(run, mask_set),
        sets=sets,
        splits=parts,
        legend=legend_of(before),
        relabel=changed or _unchanged,
        objects=objects,
        workers=workers,
        progress=progress,
    )
    for each in objects.stuff:
        source.vocabulary.entry(each)
    return source


def _unchanged(labels: Mask) -> Mask:
    return labels


def parse_min_area(text: str) -> float:
    """The least area of an object, as a share (`0.1%`) or in pixels (`50`).

    Raises:
        ConfigError: it is neither.
    """
    number = text.strip().removesuffix("px").strip()
    try:
        value = float(number.removesuffix("%"))
    except ValueError:
        value = math.nan
    percent = number.endswith("%")
    if not 0 <= value < math.inf or (percent and value > 100) or (not percent and 0 < value < 1):
        raise ConfigError(f"--min-area {text!r}: expected a share such as 0.1% or whole pixels such as 50")
    return min(value / 100, 0.999999) if percent else value
