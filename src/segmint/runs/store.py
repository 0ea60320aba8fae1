"""A run: open it, read its items, put new ones in.

An item's files go in first, its record last: the record's presence means that the item is whole, so the
items still to do are the plan's less the records', found by one scan of a folder. Nothing is ever changed in
place.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar, get_args

from segmint.artifacts import AttentionSummary, Image, Mask, MaskStatistics, Presence, PromptSpec, RefinedMask
from segmint.errors import DamagedError, PromptError, RunError, StorageError
from segmint.labels.labelmap import write_label_map
from segmint.runs import codec, layout
from segmint.runs.attentionfile import decode_summary
from segmint.runs.curation.decisions import accepted, states_at
from segmint.runs.files.local import Files, LocalFiles
from segmint.runs.files.remote import files_at
from segmint.runs.records import FileRecord, ItemRecord, RunHeader, check_paths, decode_record, encode_record
from segmint.specs import spec_from_json, spec_to_json
from segmint.textfile import parse_toml, shown
from segmint.vocabulary import Vocabulary

Role = Literal["image", "mask", "agreement", "features"]
"""What a file of an item is."""
ROLES: tuple[Role, ...] = get_args(Role)
Content = TypeVar("Content")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An item ready to be written: its record, but for `files`, and the content of each file."""

    record: ItemRecord
    blobs: Mapping[Role, bytes]


def masked(
    record: ItemRecord,
    mask: RefinedMask,
    statistics: MaskStatistics,
    vocabulary: Vocabulary,
    *,
    presence: Presence | None = None,
    others: Mapping[Role, bytes] | None = None,
    **changes: Any,
) -> Draft:
    """An item with this mask.

    Args:
        record: what else is known of it.
        mask: its labels and their agreement.
        statistics: of the mask.
        vocabulary: names and colours of the labels.
        presence: which of its classes it shows, where that was asked.
        others: the content of its other files, where they are to be written too.
        changes: further fields of the record.
    """
    names = vocabulary.label_names
    said = {
        "areas": {names[label_id]: area for label_id, area in statistics.areas.items()},
        "uncertain_fraction": statistics.uncertain_fraction,
        "agreement": statistics.agreement,
        "separability": statistics.separability,
        "specks": statistics.specks,
        "presence": dict(presence.scores) if presence else {},
        "absent": presence.absent if presence else (),
        "helped": dict(presence.helped) if presence else {},
    }
    blobs: dict[Role, bytes] = {
        **(others or {}),
        "mask": codec.encode_mask(mask.labels, vocabulary.palette()),
        "agreement": codec.encode_agreement(mask.agreement),
    }
    return Draft(
        record=record.model_copy(update=said | changes),
        blobs={role: blobs[role] for role in ROLES if role in blobs},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that stands: where its files are, and its header."""

    files: Files
    header: RunHeader

    @property
    def folder(self) -> Path | None:
        """The local folder, or None for a run that lives elsewhere."""
        return self.files.root if isinstance(self.files, LocalFiles) else None

    def vocabulary(self) -> Vocabulary:
        """The run's classes."""
        return Vocabulary.of_entries(self.header.classes, name=self.header.vocabulary)

    def recipe(self) -> dict[str, Any]:
        """The recipe as plain data; `Recipe.parse` validates it."""
        try:
            return parse_toml(self.files.read(layout.RECIPE).decode())
        except ValueError as error:
            raise DamagedError(
                f"{self.files.address}/{layout.RECIPE} is damaged: {error}; mend it with --repair"
            ) from None

    def plan(self) -> list[PromptSpec]:
        """Every planned item in index order."""
        return read_plan(self.files, layout.PLAN)

    def done_ids(self, mask_set: str = layout.DEFAULT_MASK_SET) -> set[str]:
        """Ids of the whole items: those that have a record, by one scan of a folder."""
        return _ids(self.files, layout.record("x", mask_set).parent)

    def failed_ids(self) -> set[str]:
        """Ids of the items that were tried and failed."""
        return _ids(self.files, layout.FAILURES) - self.done_ids()

    def record(self, item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> ItemRecord:
        """The record of a whole item.

        Raises:
            RunError: the item is not there or its record is damaged.
        """
        return read_item(self.files, item_id, mask_set)

    def failure(self, item_id: str) -> ItemRecord:
        """The record of an item that failed."""
        return _checked(self.files, layout.failure(item_id), item_id)

    def records(self, mask_set: str = layout.DEFAULT_MASK_SET) -> Iterator[ItemRecord]:
        """Records of the whole items, by ascending id."""
        for item_id in sorted(self.done_ids(mask_set)):
            yield self.record(item_id, mask_set)

    def image(self, record: ItemRecord) -> Image:
        """RGB pixels of an item's image."""
        return self._decoded(codec.decode_image, record, "image")

    def mask(self, record: ItemRecord) -> Mask:
        """Label ids of an item's mask, 255 where uncertain."""
        return self._decoded(codec.decode_mask, record, "mask")

    def summary(self, record: ItemRecord) -> AttentionSummary:
        """An item's stored attention.

        Raises:
            RunError: the run was made without `output.keep_features`.
        """
        if "features" not in record.files:
            raise RunError(f"item {record.id} has no stored features; mint with --keep-features to have them")
        return self._decoded(decode_summary, record, "features")

    def shown(self, item_ids: Iterable[str]) -> list[tuple[ItemRecord, Image, Mask]]:
        """Record, image and mask of each of these items.

        Raises:
            RunError, ImageError: a file is not there or damaged.
        """
        records = [self.record(item_id) for item_id in item_ids]
        return [(each, self.image(each), self.mask(each)) for each in records]

    def _decoded(self, decode: Callable[..., Content], record: ItemRecord, role: Role) -> Content:
        path = record.files[role].path
        return decode(self.files.read(PurePosixPath(path)), source=f"{self.files.address}/{path}")


def read_item(files: Files, item_id: str, mask_set: str = layout.DEFAULT_MASK_SET) -> ItemRecord:
    """As `Run.record`."""
    return _checked(files, layout.record(item_id, mask_set), item_id, mask_set)


def _checked(
    files: Files, path: PurePosixPath, item_id: str, mask_set: str = layout.DEFAULT_MASK_SET
) -> ItemRecord:
    source = f"{files.address}/{path}"
    record = decode_record(files.read(path), ItemRecord, source=source)
    if record.id != item_id:
        raise DamagedError(f"{source} is damaged: it is of the item {shown(record.id)}")
    check_paths(record.files, layout.files_of(item_id, mask_set), source)
    return record


def open_run(where: str | os.PathLike[str] | Files) -> Run:
    """A run that was made before, in a local folder or at a URL (s3://, gs://, …).

    Raises:
        MissingDependency: the driver of this kind of URL is not installed.
        RunError: there is no run, or one of another schema version, or a damaged one.
    """
    files = files_at(where) if isinstance(where, str | os.PathLike) else where
    if not files.exists(layout.HEADER):
        raise RunError(
            f"{files.address} is no run: it has no {layout.HEADER}; "
            f"make one with segmint generate --out {files.address}"
        )
    source = f"{files.address}/{layout.HEADER}"
    header = decode_record(files.read(layout.HEADER), RunHeader, source=source)
    check_paths(header.files, layout.run_files(len(header.additions)), source)
    return Run(files=files, header=header)


def read_plan(files: Files, path: PurePosixPath) -> list[PromptSpec]:
    """The items that a file plans.

    Raises:
        DamagedError: a line is no item.
    """
    try:
        return [spec_from_json(line.decode()) for line in files.read(path).splitlines()]
    except (UnicodeDecodeError, PromptError) as error:
        raise DamagedError(f"{files.address}/{path} is damaged: {error}; mend it with --repair") from None


def write_run(
    files: Files,
    *,
    header: RunHeader,
    recipe_toml: str,
    plan: Sequence[PromptSpec],
    added: Sequence[tuple[str, Sequence[PromptSpec]]] = (),
) -> Run:
    """Put a run's own files in place, the header last; also extends a run to a longer plan.

    The caller holds the lock and has checked that nothing else is overwritten.

    Args:
        files: where the run lives.
        header: all of it but `items` and `files`.
        recipe_toml: the recipe.
        plan: every item, those of additions last.
        added: recipe and items of each of the header's additions.
    """
    contents = {
        "recipe": (layout.RECIPE, recipe_toml.encode()),
        "plan": (layout.PLAN, encode_plan(plan)),
        "labels": (layout.LABELS, write_label_map(header.classes).encode()),
    }
    for number, (recipe, specs) in enumerate(added, start=1):
        contents[f"recipe-{number}"] = (layout.added_recipe(number), recipe.encode())
        contents[f"plan-{number}"] = (layout.added_plan(number), encode_plan(specs))
    files.write_all(dict(contents.values()))
    sealed = header.model_copy(
        update={
            "items": len(plan),
            "files": {role: _seal(path, data) for role, (path, data) in contents.items()},
        }
    )
    files.write(layout.HEADER, encode_record(sealed))
    files.settle([PurePosixPath(".")])
    return Run(files=files, header=sealed)


def encode_plan(plan: Iterable[PromptSpec]) -> bytes:
    """One spec a line."""
    return "".join(f"{spec_to_json(spec)}\n" for spec in plan).encode()


def commit(
    files: Files, drafts: Sequence[Draft], *, mask_set: str = layout.DEFAULT_MASK_SET
) -> list[ItemRecord]:
    """Put items in place: the files of all, then the records of all, so that a kill leaves no half item.

    Args:
        files: where the run lives.
        drafts: items of one batch; those of status `failed` have no blobs and are filed apart.
        mask_set: the set that the masks belong to.

    Returns:
        The records as written, with sizes and checksums of their files.

    Raises:
        StorageError: the place refused a write; items without a record are made again by the next run.
    """
    start = time.perf_counter()
    contents = {
        _path(role, draft.record.id, mask_set, data): data
        for draft in drafts
        for role, data in draft.blobs.items()
    }
    files.write_all(contents)
    files.settle({path.parent for path in contents})
    took_s = (time.perf_counter() - start) / max(1, len(drafts))
    records = [_sealed(draft, mask_set, took_s) for draft in drafts]
    files.write_all(
        {
            layout.failure(each.id) if each.status == "failed" else layout.record(each.id, mask_set): (
                encode_record(each)
            )
            for each in records
        }
    )
    return records


def image_sets(run: Run, done: set[str]) -> dict[PurePosixPath, bytes]:
    """What each VOC list should say: the whole items that nobody rejected, ascending.

    Minted images are for training: `train` and `trainval` name them all and `val` is empty. Where a
    validation part is wanted, `segmint export` splits.
    """
    lines = "".join(f"{each}\n" for each in accepted(sorted(done), states_at(run.files))).encode()
    return {layout.image_set(name): b"" if name == "val" else lines for name in layout.IMAGE_SET_NAMES}


def write_image_sets(run: Run) -> None:
    """Bring the VOC lists up to date."""
    run.files.write_all(image_sets(run, run.done_ids()))


def heal_image_sets(run: Run) -> None:
    """Bring lists up to date that a command left behind which was stopped between its decisions and them."""
    if not run.files.exists(layout.image_set("train")):
        return
    with suppress(StorageError):  # a run that cannot be written is still read
        stale = {
            path: lines
            for path, lines in image_sets(run, run.done_ids()).items()
            if not run.files.exists(path) or run.files.read(path) != lines
        }
        run.files.write_all(stale)


def tidy(run: Run) -> None:
    """Lists of what is whole, and the links that torchvision looks for."""
    write_image_sets(run)
    if run.folder is not None:
        link_for_torchvision(run.folder)


def link_for_torchvision(folder: Path) -> None:
    """Make `VOCdevkit/VOC2012/…` links, so that torchvision's `VOCSegmentation(folder)` loads the run itself.

    Where the file system has no links (some network shares, Windows without the right), the run stands
    without.
    """
    home = LocalFiles(folder).inside(layout.TORCHVISION)
    try:
        home.mkdir(parents=True, exist_ok=True)
        for target in (layout.IMAGES, layout.MASKS, layout.IMAGE_SETS.parent):
            (folder / target).mkdir(parents=True, exist_ok=True)
            link = home / target.name
            if not link.is_symlink():
                link.symlink_to(
                    Path(*[".."] * len(layout.TORCHVISION.parts)) / target, target_is_directory=True
                )
    except OSError as error:
        if not home.is_dir():
            raise StorageError(f"cannot create {home}: {error.strerror}") from None


def _sealed(draft: Draft, mask_set: str, took_s: float) -> ItemRecord:
    """The record of an item whose files are in place; `took_s` is its share of writing them."""
    written: dict[str, FileRecord] = dict(draft.record.files)
    for role, data in draft.blobs.items():
        written[role] = _seal(_path(role, draft.record.id, mask_set, data), data)
    spent = dict(draft.record.timings_s)
    if draft.blobs:
        spent["writing"] = spent.get("writing", 0.0) + took_s
    return draft.record.model_copy(update={"files": written, "timings_s": spent})


def _path(role: Role, item_id: str, mask_set: str, data: bytes) -> PurePosixPath:
    if role == "image":
        return layout.image(item_id, "png" if data.startswith(b"\x89PNG") else "jpg")
    if role == "features":
        return layout.features(item_id)
    return layout.mask(item_id, mask_set) if role == "mask" else layout.agreement(item_id, mask_set)


def _seal(path: PurePosixPath, data: bytes) -> FileRecord:
    return FileRecord(path=str(path), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _ids(files: Files, folder: PurePosixPath) -> set[str]:
    return {name.removesuffix(".json") for name in files.names(folder) if name.endswith(".json")}
