"""Whole objects under one URL, by any fsspec file system (s3://, gs://, abfs://, …): the ground under
`remote`.

Nothing is cached: a listing or a look is always the store's own answer. Every refusal of a store, whatever
its library raises, becomes a StorageError that names the object.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from segmint.errors import MissingDependency, SegmintError, StorageError
from segmint.limits import limits, too_large

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://(.*)")
_EXTRA = "pip install 'segmint[remote]'"
_DRIVERS = {"s3": _EXTRA, "s3a": _EXTRA, "gs": "pip install gcsfs", "gcs": "pip install gcsfs"}
_DRIVERS |= {"abfs": "pip install adlfs", "az": "pip install adlfs"}


def is_url(where: str) -> bool:
    """Whether the text names a place by URL, rather than a local folder; `file://` counts as one too."""
    return _URL.fullmatch(where) is not None


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects whose names begin with `url`, which has no slash at its end. It holds no connection itself."""

    url: str

    def read(self, path: PurePosixPath) -> bytes:
        """The content of an object, of which no more than the limit is asked for.

        Raises:
            StorageError: it is not there, is larger than a file of its kind may be, or the store refuses.
        """
        most = limits().of_file(path.suffix)
        with self._told("read", path):
            data = self._first_bytes(self._name(path), most + 1)
        if len(data) > most:
            raise StorageError(too_large(f"{self.url}/{path}", most))
        return data

    def _first_bytes(self, name: str, count: int) -> bytes:
        system = self._system()
        try:
            return bytes(system.cat_file(name, start=0, end=count))
        except (FileNotFoundError, PermissionError):
            raise
        except Exception:
            if system.info(name)["size"]:  # a store that is asked for a part of nothing refuses
                raise
            return b""

    def put(self, path: PurePosixPath, data: bytes) -> None:
        """Put an object in place by one request: whole or not at all, over what was there."""
        with self._told("write", path):
            self._system().pipe_file(self._name(path), data)

    def put_all(self, contents: Mapping[PurePosixPath, bytes]) -> None:
        """Put objects in place, each by one request, as many at once as the driver makes."""
        if contents:
            first = next(iter(contents))
            with self._told("write", f"{first} (or one of {len(contents) - 1} beside it)"):
                self._system().pipe({self._name(path): data for path, data in contents.items()})

    def create(self, path: PurePosixPath, data: bytes) -> bool:
        """Put an object where there is none, by one conditional request (S3: `If-None-Match: *`; Google:
        generation 0); False where there is one.

        A request that is repeated because its answer was lost finds its own object: that counts as made.
        """
        with self._told("write", path):
            try:
                self._system().pipe_file(self._name(path), data, mode="create")
            except FileExistsError:
                return bool(self._system().cat_file(self._name(path)) == data)
            return True

    def names(self, folder: PurePosixPath) -> set[str]:
        """Names of the objects directly in a folder, by listing its prefix; empty where there are none."""
        return self._list(folder, "file")

    def folders(self, folder: PurePosixPath) -> set[str]:
        """Names of the folders directly in a folder that hold anything."""
        return self._list(folder, "directory")

    def exists(self, path: PurePosixPath) -> bool:
        """Whether the object is there."""
        with self._told("look for", path):
            try:
                return bool(self._system().info(self._name(path))["type"] == "file")
            except FileNotFoundError:
                return False

    def remove(self, path: PurePosixPath) -> None:
        """Delete an object; one that is gone is no error."""
        with self._told("delete", path):
            try:
                self._system().rm_file(self._name(path))
            except FileNotFoundError:
                return

    def _list(self, folder: PurePosixPath, kind: str) -> set[str]:
        name = self._name(folder)
        with self._told("list", folder):
            try:
                found = self._system().ls(name, detail=True, refresh=True)
            except FileNotFoundError:
                return set()
        paths = {each["name"].rstrip("/") for each in found if each["type"] == kind} - {name}
        return {each.rpartition("/")[2] for each in paths}

    def _name(self, path: PurePosixPath) -> str:
        root = self._system()._strip_protocol(self.url)
        return root if path == PurePosixPath() else f"{root}/{path}"

    def _system(self) -> Any:
        """The file system; fsspec keeps one for each process and kind of URL."""
        return file_system(self.url)

    @contextmanager
    def _told(self, verb: str, path: PurePosixPath | str) -> Iterator[None]:
        try:
            yield
        except SegmintError:
            raise
        except Exception as error:  # each store's library raises errors of its own
            raise StorageError(_refusal(verb, f"{self.url}/{path}", error)) from error


def file_system(url: str) -> Any:
    """The fsspec file system behind a URL.

    Raises:
        MissingDependency: fsspec, or the driver of this kind of URL, is not installed.
        StorageError: there is no such kind of URL.
    """
    match = _URL.fullmatch(url)
    scheme = match[1].lower() if match else ""
    install = _DRIVERS.get(scheme, _EXTRA)
    try:
        from fsspec.core import url_to_fs

        return url_to_fs(url, use_listings_cache=False)[0]
    except ImportError as error:
        why = str(error).splitlines()[0] if scheme not in _DRIVERS else "its driver is not installed"
        raise MissingDependency(f"{url} cannot be reached: {why}; {install}") from None
    except (ValueError, OSError) as error:  # OSError: some drivers connect at once
        raise StorageError(f"{url} cannot be reached: {error}") from None


def fetch_command(url: str, folder: str) -> str:
    """A command that copies everything under a URL to a local folder."""
    scheme = url.partition("://")[0].lower()
    if scheme == "s3":
        return f"aws s3 sync {url} {folder}"
    if scheme in ("gs", "gcs"):
        return f"gcloud storage rsync --recursive {url} {folder}"
    fetch = f"fsspec.core.url_to_fs({url!r})[0].get({url + '/'!r}, {folder!r}, recursive=True)"
    return f'python -c "import fsspec; {fetch}"'


def _refusal(verb: str, where: str, error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return f"cannot {verb} {where}: it is not there ({said})"
    if isinstance(error, PermissionError):
        return f"not allowed to {verb} {where} ({said}); check the credentials and the rights of this account"
    return f"cannot {verb} {where}: {said}; whole items are kept: run the same command again"
