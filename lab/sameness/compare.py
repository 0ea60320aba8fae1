"""Whether two trees' files are equal: bytes, but for what a record says of times, dates and versions."""

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

IGNORED_FIELDS = frozenset(
    {
        "segmint_version",
        "created",  # the date of a run
        "event",  # a decision's random name
        "time",
        "timings_s",
        "checksum",  # of a record, over the fields above
        "images_per_s",  # of a training's log
        "numpy",  # in a checkpoint: generators of the process, which no training draws from
        "python",
    }
)
"""Fields of JSON objects that say when, how fast or by which version."""
IGNORED_FILES = (".lock", ".pending", "tensorboard/*")
"""The writer's process; event files hold the clock."""
JSON_SUFFIXES = (".json", ".jsonl")
SHOWN = 160
WHITE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A difference from a700206 that was meant."""

    files: str
    """A pattern of paths."""
    why: str
    same: Callable[[bytes, bytes], bool]
    """Whether two files differ by this and by nothing else."""


BY_ROLE = (
    "the stand-in model of the tests names its layers by role, as no UNet does: it proves that nothing "
    "outside a family's file reads a module's name"
)


def same_but_outlines(then: bytes, now: bytes) -> bool:
    """Whether two pictures differ only in pixels that are white in one of them."""
    left, right = (np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) for each in (then, now))
    if left.shape != right.shape:
        return False
    moved = (left != right).any(axis=-1)
    white = (left == WHITE).all(axis=-1) | (right == WHITE).all(axis=-1)
    return bool((white | ~moved).all())


def same_but_layers(then: bytes, now: bytes) -> bool:
    """Whether two files of features differ only in what their layers are called."""
    left, right = (dict(np.load(io.BytesIO(each))) for each in (then, now))
    said = [json.loads(each.pop("header").tobytes()) | {"layers": None} for each in (left, right)]
    arrays = left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)
    return bool(arrays and said[0] == said[1])


def same_but_size_of_features(then: bytes, now: bytes) -> bool:
    """Whether two records differ only in the length and digest of an item's features."""
    left, right = (_parsed(each.decode()) for each in (then, now))
    for each in (left, right):
        each["files"]["features"] = None
    return bool(left == right)


ACCEPTED = (
    Accepted(
        files="explain.png",
        why="the white line around a class runs as on the contact sheet: inside the right and lower of two "
        "neighbours, and not over uncertain pixels (one overlay for all pictures)",
        same=same_but_outlines,
    ),
    Accepted(files="fake/features/*.npz", why=BY_ROLE, same=same_but_layers),
    Accepted(files="fake/items/*.json", why=BY_ROLE, same=same_but_size_of_features),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What one step came to on both trees."""

    step: str
    files: int
    """How many were compared."""
    difference: str = ""
    """The first one; empty where there is none."""
    accepted: str = ""
    """Why files that differ may; empty where none does."""

    @property
    def alike(self) -> bool:
        """No difference."""
        return not self.difference

    def line(self) -> str:
        """For people."""
        return f"{self.step:34} {self.files:4} files  {self.difference or self._equal()}"

    def _equal(self) -> str:
        return f"equal but for this: {self.accepted}" if self.accepted else "equal"


def compare_step(
    name: str, base: Path, ours: Path, then: Mapping[str, Any], now: Mapping[str, Any], *, printed: bool
) -> Comparison:
    """Compare a step's exit code, files and, where `printed`, words; `then` and `now` are what was told of
    it."""
    files = [path for path in then["files"] if not _ignored(path)]
    more = sorted(path for path in now["files"] if not _ignored(path) and path not in files)
    found, accepted = "", ""
    if then["code"] or now["code"]:
        found = f"ended with {now['code']}, the base with {then['code']}: {now['said'] or then['said']}"
    elif printed and not same_text(then["printed"], now["printed"]):
        found = f"prints {now['printed']!r} instead of {then['printed']!r}"
    elif more:
        found = f"{more[0]} is new"
    for path in files:
        different = first_difference(base / path, ours / path, path)
        why = different and _accepted(path, base / path, ours / path)
        accepted = accepted or why
        found = found or ("" if why else different)
    told = " ".join(found.split())[:SHOWN]
    return Comparison(step=name, files=len(files), difference=told, accepted=accepted)


def first_difference(base: Path, ours: Path, name: str) -> str:
    """In words; empty where both files say the same."""
    if not ours.is_file():
        return f"{name} is missing"
    then, now = base.read_bytes(), ours.read_bytes()
    if then == now:
        return ""
    if base.suffix in JSON_SUFFIXES or base.suffix == ".html":
        read = _document if base.suffix == ".html" else _parsed
        return _differs(read(then.decode()), read(now.decode()), name)
    if base.suffix == ".md" and same_text(then.decode(), now.decode()):
        return ""
    if base.suffix == ".safetensors":
        (left, then), (right, now) = _tensors(then), _tensors(now)
        if then == now:
            return _differs(left, right, name)
    at = next(
        (i for i, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), min(len(then), len(now))
    )
    return f"{name} differs at byte {at} of {len(then)} (now {len(now)})"


def same_text(then: str, now: str) -> bool:
    """Whether two texts are the same but for versions, dates and times."""
    return _timeless(then) == _timeless(now)


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


def _document(text: str) -> list[Any]:
    page = _Document()
    page.feed(_timeless(text))
    return page.parts


def _accepted(path: str, base: Path, ours: Path) -> str:
    """Why two files that differ may; empty where they may not."""
    for each in ACCEPTED:
        if (
            Path(path).match(each.files)
            and ours.is_file()
            and each.same(base.read_bytes(), ours.read_bytes())
        ):
            return each.why
    return ""


def _timeless(text: str) -> str:
    lines = (
        line if (fields := _json_line(line)) is None else json.dumps(fields) for line in text.splitlines()
    )
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?|\d+\.\d+(\.\d+)? s\b", "TIME", "\n".join(lines))


def _json_line(line: str) -> Any:
    try:
        return _kept(json.loads(line)) if line.startswith("{") else None
    except ValueError:
        return None


def _parsed(text: str) -> Any:
    try:
        return _kept(json.loads(text))
    except ValueError:
        return [_kept(json.loads(line)) for line in text.splitlines()]


def _tensors(data: bytes) -> tuple[Any, bytes]:
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


def _differs(then: Any, now: Any, where: str) -> str:
    if isinstance(then, dict) and isinstance(now, dict):
        if list(then) != list(now):
            return f"{where} has the fields {list(now)}, the base {list(then)}"
        return next(filter(None, (_differs(then[key], now[key], f"{where}:{key}") for key in then)), "")
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        pairs = enumerate(zip(then, now, strict=True))
        return next(filter(None, (_differs(a, b, f"{where}[{i}]") for i, (a, b) in pairs)), "")
    return "" if then == now else f"{where} is {now!r}, in the base {then!r}"


def _ignored(path: str) -> bool:
    return any(Path(path).match(pattern) for pattern in IGNORED_FILES)
