"""A run in an object store: the operations of `files` over any fsspec file system (s3://, gs://, …).

An object store has no rename, no folders and no locks of a kernel. What stands in their place, and what is
promised:

- *A file is whole or not there.* One object is put in place by one request, which the store answers when all
  of it is kept; until then readers find the old object or none. A process killed in between leaves nothing
  behind.
- *An item is whole or not there.* Its objects come first, side by side; its record comes last, when all of
  them have been answered, and S3 and Google answer every later look and listing with what was put. So a
  record's presence means that the item is whole, as on a disk.
- *What was answered stays*: a power cut of this machine undoes nothing, so `settle` has nothing to do.
- *One writer at a time*: by numbered lease objects, see `lease`. A writer that falls silent is succeeded, and
  stops when it wakes.

Items are listed by prefix, a thousand names a request.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from segmint.errors import RunError, StorageError
from segmint.runs.files.lease import TERMS, Lease, Terms, Watch, hold_lease
from segmint.runs.files.local import Files, LocalFiles
from segmint.runs.files.objects import Objects, fetch_command, file_system, is_url
from segmint.textfile import shown


@dataclass(slots=True)
class RemoteFiles:
    """A run under a URL. Pickled, it is the same place; the lease stays with its holder, and is watched."""

    objects: Objects
    terms: Terms = TERMS
    lease: Lease | Watch | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[type["RemoteFiles"], tuple[Objects, Terms, Watch | None]]:
        watch = self.lease.watch() if isinstance(self.lease, Lease) else self.lease
        return RemoteFiles, (self.objects, self.terms, watch)

    @property
    def address(self) -> str:
        """The URL."""
        return self.objects.url

    def read(self, path: PurePosixPath) -> bytes:
        """The content of an object."""
        return self.objects.read(path)

    def write(self, path: PurePosixPath, data: bytes) -> None:
        """Put an object in place by one request, while the lease lasts."""
        if self.lease is not None:
            self.lease.check()
        self.objects.put(path, data)

    def write_all(self, contents: Mapping[PurePosixPath, bytes]) -> None:
        """Put objects in place side by side, while the lease lasts; all are answered on return."""
        if self.lease is not None:
            self.lease.check()
        self.objects.put_all(contents)

    def settle(self, folders: Iterable[PurePosixPath]) -> None:
        """Nothing: a store keeps what it has answered."""

    def names(self, folder: PurePosixPath) -> set[str]:
        """Object names by listing the folder's prefix."""
        return self.objects.names(folder)

    def folders(self, folder: PurePosixPath) -> set[str]:
        """Names of the folders in a folder."""
        return self.objects.folders(folder)

    def exists(self, path: PurePosixPath) -> bool:
        """Whether the object is there."""
        return self.objects.exists(path)

    def remove(self, path: PurePosixPath) -> None:
        """Delete an object, while the lease lasts."""
        if self.lease is not None:
            self.lease.check()
        self.objects.remove(path)

    def sweep(self) -> None:
        """Nothing: an interrupted request leaves nothing behind."""

    @contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the lease on the place."""
        with hold_lease(self.objects, owner=self.address, wait=wait, terms=self.terms) as lease:
            self.lease = lease
            try:
                yield
            finally:
                self.lease = None


def files_at(where: str | os.PathLike[str]) -> Files:
    """The place that a local path or a URL names; nothing there is touched.

    Raises:
        MissingDependency: the driver of this kind of URL is not installed.
        StorageError: the path is a file, or there is no such kind of URL.
    """
    text = os.fspath(where)
    if is_url(text) and not text.lower().startswith("file://"):
        file_system(text)
        return RemoteFiles(Objects(text.rstrip("/")))
    root = Path(text[len("file://") :] if is_url(text) else where)
    try:
        a_file = not stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError:
        a_file = False
    except (OSError, ValueError) as error:  # longer than the file system takes, or with a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"{shown(str(root))} cannot be a run folder: {reason}; choose another one"
        ) from None
    if a_file:
        raise StorageError(f"{root} is a file; a run is a folder: choose another one")
    return LocalFiles(root)


def within_reach(files: Files) -> Files:
    """The same place, named so that a process in another folder finds it."""
    return replace(files, root=files.root.absolute()) if isinstance(files, LocalFiles) else files


def local_folder(where: str | os.PathLike[str], doing: str) -> Path:
    """The path, where it is one of this machine.

    Args:
        where: what the user wrote.
        doing: what needs the folder, for the message: "training".

    Raises:
        RunError: it is a URL; says how to fetch it.
    """
    text = os.fspath(where)
    if not is_url(text):
        return Path(where)
    url = text.rstrip("/")
    name = url.rpartition("/")[2] or "run"
    raise RunError(f"{doing} needs a folder of this machine; fetch the run first: {fetch_command(url, name)}")
