"""Where a run lives, from what the user wrote."""

from pathlib import Path

from segmint.errors import StorageError
from segmint.runs.files import Files, LocalFiles


def files_at(where: str | Path) -> Files:
    """The place that a path names.

    Raises:
        StorageError: the path is a file.
    """
    path = Path(where)
    if path.exists() and not path.is_dir():
        raise StorageError(f"{path} is a file; a run is a folder: choose another --out")
    return LocalFiles(path)
