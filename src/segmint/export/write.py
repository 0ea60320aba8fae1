"""One export: the target folder, the format's files, the card, and what could not be held."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmint.atomic import put
from segmint.errors import ExportError, SegmintError
from segmint.export.card import card, recipe_toml
from segmint.export.formats import FORMATS, Format, check_library, find_format
from segmint.export.source import Source
from segmint.limits import limits
from segmint.textfile import read_plain

MARKER = "segmint-export.json"
"""Says that a folder is an export, of which format, and whether it was finished."""
OWN_NAMES = ("README.md", "recipe.toml")
"""What every export has beside the files of its format."""
IDS_NAMED = 5
"""Unreadable items that a note names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an export wrote, and what the user should know."""

    out: Path
    format: str
    written: Mapping[str, int]
    notes: tuple[str, ...]


def export(source: Source, name: str, out: Path, *, force: bool = False) -> Report:
    """Write a run's items in a format.

    Args:
        source: what to write; see `open_source`.
        name: one of `formats.FORMATS`.
        out: the folder to write; made where missing.
        force: write into a folder that is not empty; an earlier export there is taken away first.

    Raises:
        ConfigError: the format is unknown.
        ExportError: the folder cannot be written, is not empty (without `force`), or is the run itself; or no
            item could be read.
        MissingDependency: the format's library is not installed.
    """
    chosen = find_format(name)
    check_library(name, chosen.library)
    try:
        _prepare(source, out, name, chosen, force=force)
        lost = chosen.write(source, out)
        notes = [*lost, *chosen.notes(source), *_tally_notes(source)]
        written = {split: source.tally.written.get(split, 0) for split in source.splits}
        if not sum(written.values()):
            raise ExportError(f"none of the {sum(map(len, source.splits.values()))} items could be read")
        _finish(source, out, name, chosen, notes=notes, written=written)
    except OSError as error:
        raise ExportError(f"cannot write {error.filename or out}: {error.strerror or error}") from None
    return Report(out=out, format=name, written=written, notes=tuple(notes))


def _prepare(source: Source, out: Path, name: str, chosen: Format, *, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out} is a file; name a folder with --out")
    folder = source.run.folder
    if folder is not None and (
        out.resolve() == folder.resolve() or folder.resolve() in out.resolve().parents
    ):
        raise ExportError(f"{out} lies in the run itself; export to a folder of its own")
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        if not force:
            raise ExportError(f"{out} is not empty; choose another --out, or add --force to write into it")
        _remove_earlier(out)
        _refuse_links(out, chosen)
    _mark(out, name, chosen, finished=False)


def _refuse_links(out: Path, chosen: Format) -> None:
    """Refuse to write where a link would lead the writing out of the folder."""
    for own in (*chosen.own_names, *OWN_NAMES, MARKER, f".{MARKER}.part"):
        for each in (out / own, *(out / own).rglob("*")):
            if each.is_symlink():
                raise ExportError(f"{each} is a link, through which nothing is written; take it away")


def _remove_earlier(out: Path) -> None:
    """Take an earlier export's own files away, so that none of its items stays; nothing else is touched."""
    if not (out / MARKER).exists():
        return
    for own in _earlier_names(out):
        path = out / own
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _earlier_names(out: Path) -> list[str]:
    """The names that the marker tells; where it cannot be read, those of every format that is there whole."""
    try:
        said = json.loads(read_plain(out / MARKER, limits().record_bytes))
        known = {*find_format(said["format"]).own_names, *OWN_NAMES}
        return [str(each) for each in said["files"] if each in known]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SegmintError):
        made = [find_format(each).own_names for each in FORMATS]
        there = [names for names in made if all((out / name).exists() for name in names)]
        return [*dict.fromkeys(name for names in there for name in names), *OWN_NAMES]


def _finish(
    source: Source, out: Path, name: str, chosen: Format, *, notes: list[str], written: dict[str, int]
) -> None:
    matter = chosen.front_matter(source, written)
    text = card(source, chosen.layout, notes, front_matter=matter, split_sizes=written)
    (out / "README.md").write_text(text, encoding="utf-8")
    (out / "recipe.toml").write_text(recipe_toml(source), encoding="utf-8")
    _mark(out, name, chosen, finished=True)


def _mark(out: Path, name: str, chosen: Format, *, finished: bool) -> None:
    said: dict[str, Any] = {
        "format": name,
        "finished": finished,
        "files": [*chosen.own_names, *OWN_NAMES],
    }
    put(out / MARKER, json.dumps(said, indent=1).encode())


def _tally_notes(source: Source) -> list[str]:
    missing = source.tally.unreadable
    if not missing:
        return []
    named = ", ".join(missing[:IDS_NAMED]) + (", …" if len(missing) > IDS_NAMED else "")
    reasons = [f"{each}: {source.tally.reasons[each]}" for each in missing[:IDS_NAMED]]
    return [f"{len(missing)} items could not be read and are left out: {named}", *reasons]
