"""Files put in place whole or not at all. Every file that must survive a kill is written by this."""

import os
from contextlib import suppress
from pathlib import Path

from segmint.errors import StorageError


def put(path: Path, data: bytes, *, draft: Path | None = None, flush: bool = True) -> None:
    """Write under another name, flush to the disk, rename into place.

    A reader finds the old content, the new content, or no file; a kill leaves at most the draft.

    Args:
        path: the file.
        data: all of its content.
        draft: the name to write under, of the same file system, where both folders stand already; by default
            `.NAME.part` beside the file, which only one process at a time may use, and folders are made.
        flush: whether the content is to survive a power cut.

    Raises:
        OSError: the disk is full or refuses; the file that was there before is untouched, the draft gone.
    """
    if draft is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("wb") as file:
            file.write(data)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def put_text(path: Path, text: str) -> None:
    """As `put`, for a small file of text in UTF-8.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        put(path, text.encode())
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from None
