"""Where a run lives, from what the user wrote."""

import os
from dataclasses import replace

from segmint.errors import StorageError
from segmint.runs.files.local import Files, LocalFiles
from segmint.runs.files.remote import place


def files_at(where: str | os.PathLike[str]) -> Files:
    """The place that a path or a URL (s3://, gs://, …) names.

    Raises:
        StorageError: the path is a file, or the URL of no known kind.
        MissingDependency: the driver of this kind of URL is not installed.
    """
    files = place(where)
    if isinstance(files, LocalFiles) and files.root.exists() and not files.root.is_dir():
        raise StorageError(f"{files.root} is a file; a run is a folder: choose another --out")
    return files


def within_reach(files: Files) -> Files:
    """The same place, named so that a process in another folder finds it."""
    return replace(files, root=files.root.absolute()) if isinstance(files, LocalFiles) else files
