"""Files put in place whole or not at all. Every file that must survive a kill is written by this."""

import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from segmint.errors import StorageError


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)


def put(
    path: Path,
    data: bytes,
    *,
    draft: Path | None = None,
    flush: bool = True,
    make: Callable[[Path], None] = make_folder,
) -> None:
    """Write under another name, flush to the disk, rename into place; folders are made where missing.

    A reader finds the old content, the new content, or no file; a kill leaves at most the draft.

    Args:
        path: the file.
        data: all of its content.
        draft: the name to write under, of the same file system; by default `.NAME.part` beside the file,
            which only one process at a time may use.
        flush: whether the content is to survive a power cut.
        make: makes a missing folder, or raises where it should not be made.

    Raises:
        OSError: the disk is full or refuses; the file that was there before is untouched, the draft gone.
    """
    draft = draft or path.with_name(f".{path.name}.part")
    try:
        try:
            _write(draft, data, flush=flush)
        except FileNotFoundError:
            make(draft.parent)
            _write(draft, data, flush=flush)
        try:
            draft.replace(path)
        except FileNotFoundError:
            make(path.parent)
            draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def put_all(
    contents: Mapping[Path, bytes], *, drafts: Path, make: Callable[[Path], None] = make_folder
) -> None:
    """Several files, each as `put` does it, one after the other: a disk gains nothing from several at once.

    Args:
        contents: what each file is to hold.
        drafts: a folder of the same file system to write under other names in; several processes may use it.
        make: as `put` has it.

    Raises:
        OSError: a file was refused, which the error names; those before it are in place.
    """
    for path, data in contents.items():
        try:
            put(path, data, draft=drafts / f"{uuid.uuid4().hex}.{path.name}", make=make)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def put_text(path: Path, text: str) -> None:
    """As `put`, for a small file of text in UTF-8.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        put(path, text.encode())
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from None


def _write(path: Path, data: bytes, *, flush: bool) -> None:
    with path.open("wb") as file:
        file.write(data)
        if flush:
            file.flush()
            os.fsync(file.fileno())
