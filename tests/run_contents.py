"""A run's content, comparable byte for byte: all but what states the time."""

import json
from pathlib import Path


def contents(run: Path) -> dict[str, bytes]:
    """Every file but `run.json`; records without `timings_s` and the checksum that covers them."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_symlink() or not path.is_file() or name in (".lock", "run.json"):
            continue
        data = path.read_bytes()
        if path.parent.name in ("items", "failed"):
            fields = json.loads(data)
            del fields["timings_s"], fields["checksum"]
            data = json.dumps(fields).encode()
        found[name] = data
    return found
