"""Masks that people corrected elsewhere, read back: a CVAT zip, Label Studio's JSON, a folder of PNGs."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from segmint.artifacts import Mask, RefinedMask
from segmint.errors import ConfigError, DatasetError, RunError, SegmintError
from segmint.export.brush_rle import decode_brush
from segmint.export.labelstudio import UNCERTAIN
from segmint.imagefile import UNREADABLE
from segmint.labels.labelmap import parse_label_map
from segmint.labels.legend import Legend, legend_of
from segmint.limits import limits
from segmint.pipeline import mask_statistics
from segmint.runs import codec, layout
from segmint.runs.curation.decisions import decide
from segmint.runs.masksets import (
    check_new_mask_set,
    chosen_set,
    mask_set_names,
    sets_by_item,
    write_mask_settings,
)
from segmint.runs.records import CORRECTED
from segmint.runs.store import Draft, Run, commit, masked, write_image_sets
from segmint.textfile import parse_json, read_plain, read_text, shown, stands
from segmint.vocabulary import IGNORE, Vocabulary

Size = tuple[int, int]
"""(height, width) in pixels."""
_LARGEST_BYTES = 256_000_000
"""Of one file in a zip, unpacked: a mask of any usual size is far smaller."""


def read_corrections(path: Path, vocabulary: Vocabulary, size_of: Callable[[str], Size]) -> dict[str, Mask]:
    """Corrected masks by item id, in the vocabulary's label ids.

    Args:
        path: a .zip of CVAT's Segmentation mask 1.1, a .json of Label Studio, or a folder of PNG masks whose
            names are item ids.
        vocabulary: the run's classes.
        size_of: gives the size of an item's image, and raises for what is no item.

    Raises:
        DatasetError: the file cannot be read, names an unknown class, or holds an unknown value or colour, a
            mask of another size, or a path that leads outside; nothing is taken then.
        SegmintError: what `size_of` raises.
    """
    if path.is_dir():
        found = _from_folder(path, legend_of(vocabulary))
    elif stands(path) and not path.is_file():
        raise DatasetError(f"{path} is not a plain file; nothing is imported")
    elif path.suffix == ".zip":
        found = _from_cvat(path, vocabulary)
    elif path.suffix == ".json":
        found = _from_label_studio(path, vocabulary, size_of)
    else:
        raise DatasetError(f"{path}: expected a CVAT .zip, a Label Studio .json, or a folder of PNG masks")
    masks: dict[str, Mask] = {}
    for item_id, labels in found:
        size = size_of(item_id)
        if labels.shape != size:
            raise DatasetError(
                f"{path}: the mask of {item_id} is {labels.shape[1]}×{labels.shape[0]} px, its image "
                f"{size[1]}×{size[0]}; nothing is imported"
            )
        if item_id in masks:
            raise DatasetError(f"{path}: item {item_id} is there twice")
        masks[item_id] = labels
    if not masks:
        raise DatasetError(f"{path} holds no mask")
    return masks


def _from_folder(path: Path, legend: Legend) -> Iterator[tuple[str, Mask]]:
    for each in sorted(path.glob("*.png")):
        try:
            data = read_plain(each, limits().image_bytes)
        except OSError as error:
            raise DatasetError(f"{each} cannot be read: {error.strerror}; nothing is imported") from None
        yield each.stem, _decoded(data, legend, str(each))


def _decoded(data: bytes, legend: Legend, source: str) -> Mask:
    try:
        return codec.decode_labels(data, legend, source=source)
    except SegmintError as error:
        raise DatasetError(f"{error}; nothing is imported") from None


def _from_cvat(path: Path, vocabulary: Vocabulary) -> Iterator[tuple[str, Mask]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {each.filename: each for each in archive.infolist() if not each.is_dir()}
            for name in members:
                _check_inside(path, name)
            maps = [name for name in members if PurePosixPath(name).name == "labelmap.txt"]
            if len(maps) != 1:
                raise DatasetError(f"{path} has no labelmap.txt; export it as Segmentation mask 1.1")
            home = PurePosixPath(maps[0]).parent / "SegmentationClass"
            text = _unpacked(archive, members[maps[0]], path).decode("utf-8-sig", errors="replace")
            legend = _translated(parse_label_map(text, source=f"{path}: labelmap.txt"), vocabulary, path)
            for name, member in sorted(members.items()):
                inner = PurePosixPath(name)
                if inner.suffix == ".png" and inner.parent == home:
                    yield inner.stem, _decoded(_unpacked(archive, member, path), legend, f"{path}: {name}")
    except UNREADABLE as error:
        raise DatasetError(f"{path} cannot be read as a zip: {str(error) or type(error).__name__}") from None


def _check_inside(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name:
        raise DatasetError(f"{path} holds a path that leads outside, {shown(name)}; nothing is imported")


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    if member.file_size > _LARGEST_BYTES:
        raise DatasetError(
            f"{path}: {member.filename} unpacks to {member.file_size} bytes; no mask is so large"
        )
    return archive.read(member)


def _translated(legend: Legend, vocabulary: Vocabulary, path: Path) -> Legend:
    """A foreign legend in the vocabulary's ids, by the classes' names."""
    ids = _ids(vocabulary)
    for name in legend.classes.values():
        if name not in ids:
            raise DatasetError(f"{path} names the class {name!r}; the run has {', '.join(vocabulary.names)}")
    table = {label: ids[name] for label, name in legend.classes.items()}
    return Legend(
        classes={entry.label_id: entry.name for entry in vocabulary.entries},
        values={value: table.get(label, label) for value, label in legend.values.items()},
        colours={colour: table.get(label, label) for colour, label in legend.colours.items()},
        numbered=False,
    )


def _ids(vocabulary: Vocabulary) -> dict[str, int]:
    return {UNCERTAIN: IGNORE} | {entry.name: entry.label_id for entry in vocabulary.entries}


def _from_label_studio(
    path: Path, vocabulary: Vocabulary, size_of: Callable[[str], Size]
) -> Iterator[tuple[str, Mask]]:
    text, _ = read_text(path, what="Label Studio file", error=DatasetError)
    try:
        tasks = parse_json(text, constants=True)
    except ValueError as error:
        raise DatasetError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(tasks, list):
        raise DatasetError(f"{path}: expected Label Studio's JSON, a list of tasks")
    for place, task in enumerate(tasks):
        where = f"{path}: task {place}"
        try:
            said = task["data"].get("item") or PurePosixPath(str(task["data"]["image"])).stem
            item_id = str(said)
            marks = task.get("annotations") or task.get("predictions") or []
            results = marks[0]["result"] if marks else []
            yield item_id, _brushed(results, _ids(vocabulary), size_of(item_id), where)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise DatasetError(f"{where} is no task with brush masks: {error!r}") from None


def _brushed(results: list[Mapping[str, Any]], ids: Mapping[str, int], size: Size, where: str) -> Mask:
    """Brush strokes laid over one another in their order."""
    labels = np.zeros(size, np.uint8)
    for each in results:
        if each.get("type") != "brushlabels":
            continue
        [name] = each["value"]["brushlabels"]
        if name not in ids:
            raise DatasetError(f"{where} has the label {shown(name)}, which is no class of the run")
        try:
            inside = decode_brush(each["value"]["rle"], height_px=size[0], width_px=size[1])
        except ValueError as error:
            raise DatasetError(f"{where}: {error}; nothing is imported") from None
        labels[inside] = ids[name]
    return labels


def free_name(run: Run, name: str = "corrected") -> str:
    """The name of a new mask set: this one, or with the next number."""
    taken = set(mask_set_names(run))
    numbered = (f"{name}-{number}" for number in count(2))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def put_in(run: Run, masks: Mapping[str, Mask], name: str, *, base: str | None, origin: str) -> int:
    """Write corrected masks as a mask set of its own, with the base's masks for all other items, and note in
    the curation record that the corrected items are kept and that the set stands for the run's own.

    Args:
        run: an open run of this machine.
        masks: corrected masks by item id.
        name: a mask set that the run does not have.
        base: the mask set that was corrected, as `sets_by_item` takes it; it stays as it is.
        origin: where the corrections come from, for the record.

    Returns:
        How many masks differ from those of the base.

    Raises:
        ConfigError: the name is not fit for a folder, or taken.
        RunError: the run is locked, elsewhere, or damaged.
    """
    if run.folder is None:
        raise RunError(f"{run.files.address} is not on a disk of this machine; copy the run here first")
    if name in mask_set_names(run):
        raise ConfigError(f"the run has a mask set {name!r} already; choose another --name")
    check_new_mask_set(run, name)
    changed, sets = [], sets_by_item(run, base)
    with run.files.lock():
        drafts = []
        for item_id in sorted(sets):
            draft, differs = _corrected(run, item_id, masks.get(item_id), sets[item_id])
            drafts.append(draft)
            changed += [item_id] if differs else []
        write_mask_settings(run, name, {"corrected": origin, "base": chosen_set(run, base)})
        commit(run.files, drafts, mask_set=name)
    why = f"masks {name} from {origin}"
    decide(run.folder, dict.fromkeys(sorted(masks), "kept"), by="import", why=why, masks=name)
    write_image_sets(run)
    return len(changed)


def _corrected(run: Run, item_id: str, labels: Mask | None, base: str) -> tuple[Draft, bool]:
    """An item with its new labels; where they differ from the base's, a person stands behind them wholly."""
    record = run.record(item_id, base)
    before = codec.decode_mask(run.files.read(layout.mask(item_id, base)), source=item_id)
    agreement = codec.decode_agreement(run.files.read(layout.agreement(item_id, base)), source=item_id)
    after = before if labels is None else labels
    differs = after != before
    mask = RefinedMask(labels=after, agreement=np.where(differs, np.float32(1), agreement))
    files = {role: file for role, file in record.files.items() if role in ("image", "features")}
    method = CORRECTED if differs.any() else record.method
    draft = masked(record, mask, mask_statistics(mask), run.vocabulary(), files=files, method=method)
    return draft, bool(differs.any())
