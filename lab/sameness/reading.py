"""What a file says, without what may differ from run to run: times, dates, versions."""

import json
import re
from html.parser import HTMLParser
from typing import Any

IGNORED_FIELDS = frozenset(
    {
        "segmint_version",
        "created",  # the date of a run
        "event",  # a decision's random name
        "time",
        "timings_s",
        "checksum",  # of a record, over the fields above
        "digest",  # of settings, which are compared themselves
        "recipe_digest",
        "images_per_s",  # of a training's log
        "numpy",  # in a checkpoint: generators of the process, which no training draws from
        "python",
    }
)
"""Fields of JSON objects that say when, how fast or by which version."""


def same_text(then: str, now: str) -> bool:
    """Whether two texts are the same but for versions, dates and times."""
    return timeless(then) == timeless(now)


class _Document(HTMLParser):
    """A page's tags and texts in order; blanks between them, which templates lay otherwise, say nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Any] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append([tag, *map(list, attrs)])

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.parts.append(" ".join(data.split()))


def document(text: str) -> list[Any]:
    """What a page shows."""
    page = _Document()
    page.feed(timeless(text))
    return page.parts


def timeless(text: str) -> str:
    """A text without dates and times, and without digests of what is compared itself."""
    lines = (
        line if (fields := _json_line(line)) is None else json.dumps(fields) for line in text.splitlines()
    )
    spent = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?|\d+\.\d+(\.\d+)? s\b"
    return re.sub(r"\b[0-9a-f]{16,64}\b", "DIGEST", re.sub(spent, "TIME", "\n".join(lines)))


def _json_line(line: str) -> Any:
    try:
        return _kept(json.loads(line)) if line.startswith("{") else None
    except ValueError:
        return None


def parsed(text: str) -> Any:
    """JSON, or JSON lines; ValueError where it is neither."""
    try:
        return _kept(json.loads(text))
    except ValueError:
        return [_kept(json.loads(line)) for line in text.splitlines()]


def tensors(data: bytes) -> tuple[Any, bytes]:
    """What a safetensors file says of itself, and its numbers: 8 bytes of length, a JSON header, data."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    said = {key: json.loads(value) for key, value in header.pop("__metadata__", {}).items()}
    return _kept({**header, "metadata": said}), data[end:]


def _kept(value: Any) -> Any:
    """Without what is ignored; the order of an object's keys is kept, as it is written."""
    if isinstance(value, dict):
        return {key: _kept(each) for key, each in value.items() if key not in IGNORED_FIELDS}
    return [_kept(each) for each in value] if isinstance(value, list) else value
