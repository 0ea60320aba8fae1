"""Where a run lives: the few operations that a store needs, and the local folder that offers them.

Everything above this seam speaks of paths of `layout` and of whole byte strings, so that a run can also live
where there is no rename (see `remote`). The promise of `write`, wherever it goes: a reader finds the old
content, the new content, or no file; never a part.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn, Protocol, runtime_checkable

from segmint.atomic import put_all
from segmint.errors import StorageError
from segmint.runs import layout
from segmint.runs.files.lock import hold

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors that mean: make room and go on."""


@runtime_checkable
class Files(Protocol):
    """A run's folder, local or remote."""

    @property
    def address(self) -> str:
        """What the user calls the place."""
        ...

    def read(self, path: PurePosixPath) -> bytes:
        """The content of a file; StorageError where it cannot be read."""
        ...

    def write(self, path: PurePosixPath, data: bytes) -> None:
        """Put a file in place, whole or not at all; StorageError where it cannot be written."""
        ...

    def write_all(self, contents: Mapping[PurePosixPath, bytes]) -> None:
        """Put several files in place, each as `write` does, in any order; all are there on return.

        Raises:
            StorageError: one could not be written; some of the others may be there.
        """
        ...

    def settle(self, folders: Iterable[PurePosixPath]) -> None:
        """Return when everything written to these folders survives a power cut."""
        ...

    def names(self, folder: PurePosixPath) -> set[str]:
        """Names of the files in a folder; empty where there is no folder."""
        ...

    def folders(self, folder: PurePosixPath) -> set[str]:
        """Names of the folders in a folder; empty where there is none."""
        ...

    def exists(self, path: PurePosixPath) -> bool:
        """Whether the file is there."""
        ...

    def remove(self, path: PurePosixPath) -> None:
        """Delete a file; one that is gone is no error."""
        ...

    def sweep(self) -> None:
        """Delete what interrupted writes left behind. Only for the holder of the lock."""
        ...

    def lock(self, *, wait: bool = False) -> AbstractContextManager[None]:
        """Be the only writer; RunError names the present one, unless `wait` outlasts it."""
        ...


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """A run in a folder of this machine, or of a shared file system that has POSIX renames."""

    root: Path

    @property
    def address(self) -> str:
        """The folder as the user named it."""
        return str(self.root)

    def read(self, path: PurePosixPath) -> bytes:
        """The content of a file."""
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            _refuse("read", self.root / path, error)

    def write(self, path: PurePosixPath, data: bytes) -> None:
        """As `write_all`."""
        self.write_all({path: data})

    def write_all(self, contents: Mapping[PurePosixPath, bytes]) -> None:
        """Write each under a temporary name of the same tree, flush to the disk, rename into place."""
        targets = {self.root / path: data for path, data in contents.items()}
        try:
            put_all(targets, drafts=self.root / layout.PENDING)
        except OSError as error:
            _refuse("write", Path(error.filename), error)

    def settle(self, folders: Iterable[PurePosixPath]) -> None:
        """Flush the folder entries that renames changed; the content was flushed before each rename."""
        for folder in folders:
            with suppress(OSError):  # some file systems cannot flush a folder, and Windows cannot open one
                handle = os.open(self.root / folder, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    def names(self, folder: PurePosixPath) -> set[str]:
        """File names by one scan of the folder."""
        return self._entries(folder, os.DirEntry.is_file)

    def folders(self, folder: PurePosixPath) -> set[str]:
        """Folder names by one scan of the folder."""
        return self._entries(folder, os.DirEntry.is_dir)

    def exists(self, path: PurePosixPath) -> bool:
        """Whether the file is there."""
        return (self.root / path).is_file()

    def remove(self, path: PurePosixPath) -> None:
        """Delete a file."""
        try:
            (self.root / path).unlink(missing_ok=True)
        except OSError as error:
            _refuse("delete", self.root / path, error)

    def sweep(self) -> None:
        """Delete temporary files."""
        shutil.rmtree(self.root / layout.PENDING, ignore_errors=True)

    @contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the kernel's lock on `.lock`; it falls with the process, so a dead writer blocks nobody."""
        with hold(self.root / layout.LOCK, owner=self.address, wait=wait):
            yield

    def _entries(self, folder: PurePosixPath, wanted: Callable[["os.DirEntry[str]"], bool]) -> set[str]:
        try:
            with os.scandir(self.root / folder) as entries:
                return {entry.name for entry in entries if wanted(entry)}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            _refuse("list", self.root / folder, error)


def _refuse(verb: str, path: Path, error: OSError) -> NoReturn:
    if error.errno in FULL:
        raise StorageError(
            f"no space left to {verb} {path}; make room and run the same command again: whole items are kept"
        ) from None
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise StorageError(
            f"not allowed to {verb} {path} ({error.strerror}); choose a folder that you can write"
        ) from None
    raise StorageError(f"cannot {verb} {path}: {error.strerror or error}") from None
