"""Mask sets: masks made again, beside those that came with the images, each with the settings behind it."""

import re
from typing import Any

from segmint._version import __version__
from segmint.artifacts import PromptSpec
from segmint.errors import ConfigError, DamagedError, RunError
from segmint.runs import layout
from segmint.runs.curation.decisions import log_at
from segmint.runs.records import ItemRecord, MaskSetRecord, decode_record, encode_record, is_intact
from segmint.runs.store import Run
from segmint.specs import is_device_name

NAME_RULE = "1 to 60 of A–Z a–z 0–9 _ . -, starting with a letter or digit, and no device name of Windows"
"""What a mask set may be called, in words: a folder name on any system."""
ORIGINAL = "original"
"""What the masks that came with the images are called, where a name is asked for."""
MEND = "to mend it, give segmint remask the settings that it was made with, and --repair"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")


def check_mask_set_name(name: str) -> str:
    """The name, where it is fit for a folder.

    Raises:
        ConfigError: it is not.
    """
    if not _NAME.fullmatch(name) or name.endswith(".") or is_device_name(name):
        raise ConfigError(f"{name!r} cannot name a mask set; use {NAME_RULE}")
    return name


def check_new_mask_set(run: Run, name: str) -> str:
    """The name, where no mask set of the run differs from it by case alone: some disks hold one of the two.

    Raises:
        ConfigError: it is not fit for a folder, or one does.
    """
    check_mask_set_name(name)
    if name.casefold() == ORIGINAL:
        raise ConfigError(f"{name!r} means the masks that came with the images; choose another --name")
    for other in mask_set_names(run):
        if other != name and other.casefold() == name.casefold():
            raise ConfigError(
                f"mask set {name!r} differs from {other!r} by case alone; choose another --name"
            )
    return name


def mask_set_names(run: Run) -> list[str]:
    """The mask sets of a run, the default one ("") first."""
    found = run.files.folders(layout.MASK_SETS)
    whole = (name for name in found if layout.ITEMS.name in run.files.folders(layout.MASK_SETS / name))
    return [layout.DEFAULT_MASK_SET, *sorted(whole)]


def check_mask_set(run: Run, mask_set: str) -> str:
    """The mask set's name, where the run has it.

    Raises:
        RunError: it has not; names those that it has.
    """
    names = mask_set_names(run)
    if mask_set not in names:
        others = ", ".join(names[1:]) or "only the one that came with the images"
        raise RunError(f"{run.files.address} has no mask set {mask_set[:60]!r}; it has {others}")
    return mask_set


def standing_set(run: Run) -> str:
    """The mask set that stands for a run: the corrections imported last and not taken back, else its own."""
    masks = log_at(run.files).masks
    return masks if masks is not None and masks in mask_set_names(run) else layout.DEFAULT_MASK_SET


def chosen_set(run: Run, name: str | None) -> str:
    """The mask set that is meant: `original` or "" the run's own, None the one that stands for it.

    Raises:
        RunError: the run has no such mask set.
    """
    if name is None:
        return standing_set(run)
    names = mask_set_names(run)
    return check_mask_set(run, layout.DEFAULT_MASK_SET if name == ORIGINAL and name not in names else name)


def sets_by_item(run: Run, name: str | None) -> dict[str, str]:
    """Whose mask each whole item is taken from. Items that corrections do not have, such as those minted
    after them, have their own, unless a set is named: then only its items are there.

    Raises:
        RunError: the run has no such mask set.
    """
    chosen = chosen_set(run, name)
    found = dict.fromkeys(run.done_ids(), layout.DEFAULT_MASK_SET) if name is None else {}
    return found | dict.fromkeys(run.done_ids(chosen), chosen)


def read_mask_settings(run: Run, mask_set: str = layout.DEFAULT_MASK_SET) -> dict[str, Any] | None:
    """The settings that made a mask set, as the recipe's section `masks`; None where nothing says.

    Raises:
        DamagedError: the settings are there and damaged.
    """
    if not mask_set:
        said = run.recipe().get("masks", {})
        return said if isinstance(said, dict) else {}
    path = layout.mask_settings(mask_set)
    if not run.files.exists(path):
        return None
    source, data = f"{run.files.address}/{path}", run.files.read(path)
    try:
        record = decode_record(data, MaskSetRecord, source=source)
    except DamagedError as error:
        raise DamagedError(f"{error}; {MEND}") from None
    if not is_intact(record, data):
        raise DamagedError(f"{source} is damaged: it does not match its own checksum; {MEND}")
    return record.settings


def write_mask_settings(run: Run, mask_set: str, settings: dict[str, Any]) -> None:
    """Write down what makes a mask set, before its first mask."""
    record = MaskSetRecord(segmint_version=__version__, settings=settings)
    run.files.write(layout.mask_settings(mask_set), encode_record(record))


def spec_of(record: ItemRecord) -> PromptSpec:
    """The spec of an item that was made, from its record."""
    return PromptSpec(
        item_id=record.id,
        index=record.index,
        prompt=record.prompt,
        classes=record.classes,
        label_ids=record.label_ids,
        phrases=record.phrases,
        seed=record.seed,
        negative_prompt=record.negative_prompt,
    )
