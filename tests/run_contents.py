"""A run's content, comparable byte for byte: all but what states the time."""

import json
from pathlib import Path, PurePath


def contents(run: Path) -> dict[str, bytes]:
    """Every file but `run.json`; records without `timings_s` and the checksum that covers them."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_symlink() or not path.is_file() or name in (".lock", "run.json"):
            continue
        found[name] = timeless(path, path.read_bytes())
    return found


def timeless(path: PurePath, data: bytes) -> bytes:
    """A file's content; a record's without `timings_s` and the checksum that covers them."""
    if path.parent.name not in ("items", "failed"):
        return data
    fields = json.loads(data)
    del fields["timings_s"], fields["checksum"]
    return json.dumps(fields).encode()
