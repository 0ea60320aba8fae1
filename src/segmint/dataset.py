"""A run as Python holds it: a row of pairs to look at, to export and to learn from.

run = segmint.open_run("demo")
for pair in run:
    pair.image, pair.mask, pair.record.prompt
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from segmint.artifacts import Image, Mask
from segmint.errors import RunError, StorageError
from segmint.export.source import open_source
from segmint.export.write import Report
from segmint.export.write import export as write_export
from segmint.runs import layout
from segmint.runs.curation.decisions import accepted, states_at
from segmint.runs.masksets import sets_by_item
from segmint.runs.records import ItemRecord
from segmint.runs.store import Run as StoredRun
from segmint.runs.store import open_run as open_stored

if TYPE_CHECKING:
    from torch import Tensor

Transform = Callable[["Tensor", "Tensor"], tuple[Any, Any]]
"""Of an image (3, height, width) of uint8 and its mask (height, width) of int64, such as torchvision's v2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One whole item of a run; its pixels are read when they are asked for."""

    run: StoredRun
    record: ItemRecord

    @property
    def id(self) -> str:
        """The item's id."""
        return self.record.id

    @property
    def image(self) -> Image:
        """RGB pixels."""
        return self.run.image(self.record)

    @property
    def mask(self) -> Mask:
        """Label ids, 255 where uncertain."""
        return self.run.mask(self.record)

    def __repr__(self) -> str:
        return f"Pair({self.id!r}, {self.record.prompt!r}, {', '.join(self.record.classes)})"

    def _repr_png_(self) -> bytes:
        """The pair under its mask's colours, for notebooks."""
        from segmint.pictures import paint

        palette = paint.palette_of(self.run.vocabulary())
        return paint.png(paint.outlined_overlay(self.image, self.mask, palette))


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchPairs:
    """A map-style dataset for `torch.utils.data.DataLoader`."""

    run: StoredRun
    ids: tuple[str, ...]
    sets: Mapping[str, str]
    """Whose mask each item has."""
    transform: Transform | None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: int) -> tuple[Any, Any]:
        import torch
        from torchvision import tv_tensors

        item_id = self.ids[place]
        record = self.run.record(item_id, self.sets[item_id])
        rgb, labels = self.run.image(record), self.run.mask(record)
        image = tv_tensors.Image(torch.tensor(rgb).permute(2, 0, 1))
        mask = tv_tensors.Mask(torch.tensor(labels, dtype=torch.int64))
        return (image, mask) if self.transform is None else self.transform(image, mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(StoredRun):
    """A run that stands: its whole items as pairs in the order of their ids; it may still be growing."""

    def __len__(self) -> int:
        return len(self.done_ids())

    def __bool__(self) -> bool:
        return True  # a run without a whole item is still a run

    def __iter__(self) -> Iterator[Pair]:
        return (Pair(run=self, record=record) for record in self.records())

    @overload
    def __getitem__(self, which: int | str) -> Pair: ...

    @overload
    def __getitem__(self, which: slice) -> list[Pair]: ...

    def __getitem__(self, which: int | str | slice) -> Pair | list[Pair]:
        """The pair at a place, or of an id; the pairs of a slice.

        Raises:
            IndexError: there is no such place.
            RunError: there is no whole item of that id.
        """
        done = self.done_ids()
        if isinstance(which, slice):
            return [Pair(run=self, record=self.record(each)) for each in sorted(done)[which]]
        if isinstance(which, str) and which not in done:
            raise RunError(f"{self.files.address} has no whole item {which[:120]!r}")
        item_id = which if isinstance(which, str) else sorted(done)[which]
        return Pair(run=self, record=self.record(item_id))

    def __repr__(self) -> str:
        names = ", ".join(self.vocabulary().names)
        planned = f"{self.header.items} items planned of {names}, by {self.header.model}"
        return f"Run({self.files.address!r}, {planned})"

    def _repr_png_(self) -> bytes | None:
        """The contact sheet, for notebooks."""
        try:
            return self.files.read(layout.CONTACT_SHEET)
        except (RunError, StorageError):
            return None

    def export(self, name: str, out: str | os.PathLike[str], *, force: bool = False, **chosen: Any) -> Report:
        """The accepted items in another library's layout. As `segmint export`.

        Args:
            name: the format, such as `coco`; see docs/export.md.
            out: folder to write; it must be empty.
            force: write into a folder that is not empty; replaces an earlier export.
            chosen: as `segmint.export.source.open_source` has them: `splits`, `seed`, `mask_set`,
                `kept_only`, `change`, `objects`.

        Returns:
            What was written, and in `notes` what the format could not hold.

        Raises:
            ConfigError, ExportError, MissingDependency: as `segmint.export.write.export`.
        """
        return write_export(open_source(self, **chosen), name, Path(out), force=force)

    def to_torch(self, transform: Transform | None = None, *, mask_set: str | None = None) -> TorchPairs:
        """The items that nobody rejected, as torch takes them.

        Args:
            transform: of image and mask together, such as one of `torchvision.transforms.v2`.
            mask_set: a set made by `segmint remask`; None takes corrections where some were imported, ""
                never.

        Returns:
            Pairs of an image (3, height, width) of uint8 and a mask (height, width) of int64 with 255 where
            uncertain, the `ignore_index` of a loss.
        """
        sets = sets_by_item(self, mask_set)
        ids = accepted(sorted(sets), states_at(self.files))
        return TorchPairs(run=self, ids=tuple(ids), sets=sets, transform=transform)


def open_run(where: str | os.PathLike[str]) -> Run:
    """A run that was made before, in a local folder or at a URL (s3://, gs://, …).

    Raises:
        MissingDependency: the driver of this kind of URL is not installed.
        RunError: there is no run, or one of another schema version, or a damaged one.
    """
    return held(open_stored(where))


def held(run: StoredRun) -> Run:
    """The same run, for hands."""
    return Run(files=run.files, header=run.header)
