"""Where a run lives: the few operations that a store needs, and the local folder that offers them.

Everything above this seam speaks of paths of `layout` and of whole byte strings, so that a run can also live
where there is no rename (see `remote`). The promise of `write`, wherever it goes: a reader finds the old
content, the new content, or no file; never a part.
"""

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NoReturn, Protocol, runtime_checkable

from segmint import atomic
from segmint.errors import StorageError
from segmint.limits import limits, too_large
from segmint.runs import layout
from segmint.runs.files.holder import Fence
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


@dataclass(slots=True)
class LocalFiles:
    """A run in a folder of this machine, or of a shared file system that has POSIX renames.

    The folder may be anybody's: nothing in it is read or written through a link, nothing but plain files is
    opened, and none beyond the limits is read. Pickled, it is the same place, and whoever writes there
    writes for the holder of its lock, and for no longer than that lives.
    """

    root: Path
    fence: Fence | None = field(default=None, compare=False, repr=False)
    lasting: bool = field(default=True, compare=False, repr=False)
    """Whether what is written is to survive a power cut; a folder that goes away again need not."""

    @property
    def address(self) -> str:
        """The folder as the user named it."""
        return str(self.root)

    def read(self, path: PurePosixPath) -> bytes:
        """The content of a file."""
        target, most = self.inside(path), limits().of_file(path.suffix)
        try:
            with open(target, "rb", opener=plainly) as file:
                # all at once, or none: a read of so many bytes at most takes the memory of so many
                data = file.read() if os.fstat(file.fileno()).st_size <= most else None
        except OSError as error:
            _refuse("read", target, error)
        if data is None or len(data) > most:
            raise StorageError(too_large(target, most))
        return data

    def write(self, path: PurePosixPath, data: bytes) -> None:
        """As `write_all`."""
        self.write_all({path: data})

    def write_all(self, contents: Mapping[PurePosixPath, bytes]) -> None:
        """Write each under a temporary name of the same tree, flush to the disk, rename into place."""
        drafts = self.inside(layout.PENDING)
        for path, data in contents.items():
            self._check_held()
            target = self.inside(path)
            try:
                for folder in (drafts, target.parent):
                    self._make(folder)
                atomic.put(
                    target, data, draft=drafts / f"{uuid.uuid4().hex}.{target.name}", flush=self.lasting
                )
            except OSError as error:
                self._check_held()
                _refuse("write", target, error)

    def settle(self, folders: Iterable[PurePosixPath]) -> None:
        """Flush the folder entries that renames changed; the content was flushed before each rename."""
        for folder in folders if self.lasting else ():
            flush_folder(self.root / folder)

    def names(self, folder: PurePosixPath) -> set[str]:
        """Names of all but folders, by one scan; what is no plain file is refused when it is read."""
        return self._entries(folder, lambda entry: not entry.is_dir(follow_symlinks=False))

    def folders(self, folder: PurePosixPath) -> set[str]:
        """Folder names by one scan of the folder."""
        return self._entries(folder, lambda entry: entry.is_dir(follow_symlinks=False))

    def exists(self, path: PurePosixPath) -> bool:
        """Whether the file is there."""
        return self.facts(path) is not None

    def facts(self, path: PurePosixPath) -> os.stat_result | None:
        """Size and times of a plain file; None where there is none."""
        try:
            facts = self.inside(path).lstat()
        except (OSError, StorageError):
            return None
        return facts if stat.S_ISREG(facts.st_mode) else None

    def remove(self, path: PurePosixPath) -> None:
        """Delete a file, or a link in its place."""
        self._check_held()
        target = self.inside(path.parent) / path.name
        try:
            target.unlink(missing_ok=True)
        except OSError as error:
            _refuse("delete", target, error)

    def sweep(self) -> None:
        """Delete temporary files."""
        self._check_held()
        shutil.rmtree(self.root / layout.PENDING, ignore_errors=True)

    @contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the kernel's lock on `.lock`; it falls with the process, so a dead writer blocks nobody."""
        with hold(self.root / layout.LOCK, owner=self.address, wait=wait) as fence:
            self.fence = fence
            try:
                yield
            finally:
                self.fence = None

    def inside(self, path: PurePosixPath) -> Path:
        """Where a path of the run lies.

        Raises:
            StorageError: it leads out of the folder, by itself or through a link.
        """
        if path.is_absolute() or ".." in path.parts or "\0" in str(path):
            raise StorageError(f"{str(path)!r} leads out of {self.root}; a run holds its own files only")
        at = os.fspath(self.root)
        for part in path.parts:
            at = os.path.join(at, part)
            if os.path.islink(at):
                raise StorageError(f"{at} is a link; a run holds its own files, put the file itself there")
        return Path(at)

    def _make(self, folder: Path) -> None:
        """Make a folder of the run where it is missing; of a run that is held and was moved away none is."""
        if folder.is_dir():
            return
        if self.fence is None:
            folder.mkdir(parents=True, exist_ok=True)
            return
        self._check_held()
        for each in reversed([folder, *folder.parents]):
            if self.root in each.parents:
                each.mkdir(exist_ok=True)

    def _check_held(self) -> None:
        if self.fence is not None:
            self.fence.check(self.root, self.root / layout.LOCK)

    def _entries(self, folder: PurePosixPath, wanted: Callable[["os.DirEntry[str]"], bool]) -> set[str]:
        target = self.inside(folder)
        try:
            with os.scandir(target) as entries:
                return {entry.name for entry in entries if wanted(entry)}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            _refuse("list", target, error)


def flush_folder(folder: Path) -> None:
    """Return when the entries of a folder survive a power cut, where that can be had."""
    with suppress(OSError):  # some file systems cannot flush a folder, and Windows cannot open one
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def plainly(path: str, flags: int) -> int:
    """Open a plain file and nothing else: no link, and no pipe or device, which could be read for ever."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a plain file", path)
    return handle


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
