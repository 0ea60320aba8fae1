"""Whether two trees' files are equal: bytes, but for what a record says of times, dates and versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.sameness.accepted import why_it_may, why_new
from lab.sameness.reading import document, parsed, same_text, tensors

IGNORED_FILES = (".lock", ".pending", "tensorboard/*")
"""The writer's process; event files hold the clock."""
JSON_SUFFIXES = (".json", ".jsonl")
SHOWN = 160
REFUSED = 2
"""The exit code of a command that asks for what the base does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What one step came to on both trees."""

    step: str
    files: int
    """How many were compared."""
    difference: str = ""
    """The first one; empty where there is none."""
    accepted: tuple[str, ...] = ()
    """Why files that differ may."""

    @property
    def alike(self) -> bool:
        """No difference."""
        return not self.difference

    def line(self) -> str:
        """For people."""
        meant = f"equal but for this: {'; '.join(self.accepted)}" if self.accepted else "equal"
        return f"{self.step:34} {self.files:4} files  {self.difference or meant}"


def compare_step(
    name: str,
    base: Path,
    ours: Path,
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    printed: bool,
    meant: bool = False,
) -> Comparison:
    """Compare a step's exit code, files and, where `printed`, words; `then` and `now` are what was told of
    it. Where `meant`, what `accepted` names may differ."""
    if then["code"] == REFUSED and not now["code"]:
        return Comparison(step=name, files=0, accepted=("the base does not know this",))
    files = [path for path in then["files"] if not _ignored(path)]
    found: list[str] = []
    if then["code"] or now["code"]:
        found.append(f"ended with {now['code']}, the base with {then['code']}: {now['said'] or then['said']}")
    elif printed and not same_text(then["printed"], now["printed"]):
        found.append(f"prints {now['printed']!r} instead of {then['printed']!r}")
    accepted = dict[str, None]()
    for path in sorted(set(now["files"]) - set(files)):
        if not _ignored(path):
            why = why_new(path) if meant else ""
            accepted |= {why: None} if why else {}
            found += [] if why else [f"{path} is new"]
    for path in files:
        different = first_difference(base / path, ours / path, path)
        why = why_it_may(path, base / path, ours / path) if different and meant else ""
        accepted |= {why: None} if why else {}
        found += [different] if different and not why else []
    told = " ".join(found[0].split())[:SHOWN] if found else ""
    return Comparison(step=name, files=len(files), difference=told, accepted=tuple(accepted))


def first_difference(base: Path, ours: Path, name: str) -> str:
    """In words; empty where both files say the same."""
    if not ours.is_file():
        return f"{name} is missing"
    then, now = base.read_bytes(), ours.read_bytes()
    if then == now:
        return ""
    if base.suffix in JSON_SUFFIXES or base.suffix == ".html":
        read = document if base.suffix == ".html" else parsed
        return _differs(read(then.decode()), read(now.decode()), name)
    if base.suffix == ".md" and same_text(then.decode(), now.decode()):
        return ""
    if base.suffix == ".safetensors":
        (left, then), (right, now) = tensors(then), tensors(now)
        if then == now:
            return _differs(left, right, name)
    at = next(
        (i for i, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), min(len(then), len(now))
    )
    return f"{name} differs at byte {at} of {len(then)} (now {len(now)})"


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
