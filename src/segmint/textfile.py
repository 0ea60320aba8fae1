"""Text, JSON and TOML of the user's, read strictly: whatever is wrong becomes one clear error."""

import errno
import json
import os
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from segmint.errors import SegmintError
from segmint.limits import limits

_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls, marks of writing direction, line ends of Unicode, halves of surrogate pairs."""
_KEY = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""


def stands(path: str | Path, test: Callable[[Path], bool] = Path.exists) -> bool:
    """Whether a path passes a test of the file system; one that can be none, by length or signs, does not.

    Args:
        path: of anybody's.
        test: `Path.exists`, `Path.is_file` or `Path.is_dir`.
    """
    try:
        return test(Path(path))
    except (OSError, ValueError):  # longer than the file system takes, or with a NUL
        return False


def read_plain(path: Path, most: int) -> bytes:
    """All of a file that is one: what could be read for ever, or waited for, is refused.

    What a shell hands over under /dev is taken as it comes: /dev/stdin, /dev/fd/63.

    Args:
        path: the file; links are followed.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be opened, is no plain file, or is larger.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        mode = found.st_mode
        handed_over = path.is_relative_to("/dev") and (stat.S_ISFIFO(mode) or os.isatty(handle))
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not (stat.S_ISREG(mode) or handed_over):
            raise OSError(errno.EINVAL, "it is not a plain file", str(path))
        if handed_over:
            os.set_blocking(handle, True)
        # a read takes all its memory at once; some files of the system do not know their size
        data = file.read(1 + (most if handed_over else min(most, max(found.st_size, 1 << 20))))
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes (docs/security.md)", str(path))
    return data


def read_text(path: Path, *, what: str, error: type[SegmintError]) -> tuple[str, bytes]:
    """A UTF-8 file as text with plain line breaks, and its bytes.

    Args:
        path: the file; a byte order mark at its start is dropped.
        what: what to call the file in messages, such as "prompts file".
        error: which error to raise.

    Raises:
        SegmintError: of type `error`; the file is missing, unreadable, no plain file, larger than
            `limits().list_bytes`, not UTF-8, or holds NUL bytes.
    """
    try:
        data = read_plain(path, limits().list_bytes)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the path itself
        reason = getattr(problem, "strerror", None) or str(problem)
        raise error(f"cannot read {what} {str(path)!r}: {reason}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        hint = "it looks like UTF-16; " if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise error(f"{path}, line {line}: not UTF-8 text; {hint}save the file as UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise error(f"{path}, line {line}: a NUL byte; expected a text file")
    return text.replace("\r\n", "\n").replace("\r", "\n"), data


def parse_json(text: str, *, constants: bool = False) -> Any:
    """JSON without what Python's reader lets pass: NaN, infinities, doubled keys, lone surrogates.

    Args:
        text: the whole document.
        constants: let NaN and infinities pass, for a caller that looks at each number.

    Raises:
        ValueError: says in a few words what is wrong, with line and column where they help.
    """
    try:
        refuse = None if constants else _refuse_constant
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=_object)
    except json.JSONDecodeError as problem:
        place = f"column {problem.colno}" if "\n" not in text.strip() else f"line {problem.lineno}"
        raise ValueError(f"not JSON ({problem.msg.lower()} at {place})") from None
    except RecursionError:
        raise ValueError("not usable JSON (nested too deeply)") from None
    except ValueError as problem:
        if "integer string conversion" in str(problem):
            raise ValueError("not usable JSON (a whole number of thousands of digits)") from None
        raise
    if "\\u" in text:
        _refuse_surrogates(text, value)
    check_nesting(value, "JSON")
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """TOML.

    Raises:
        ValueError: says in a few words what is wrong.
    """
    most = limits().nesting
    if re.search(rf"^[ \t\[]*(?:{_KEY}[ \t]*\.[ \t]*){{{most}}}", text, re.MULTILINE):
        raise ValueError(f"not usable TOML (a key of more than {most} parts)")
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ValueError(f"not TOML ({problem})") from None
    except RecursionError:
        raise ValueError("not usable TOML (nested too deeply)") from None
    check_nesting(value, "TOML")
    return value


def check_nesting(value: Any, form: str) -> None:
    """Refuse lists and tables within one another beyond the limit: what walks them does so by recursion.

    Raises:
        ValueError: says so in a few words.
    """
    most, level = limits().nesting, [value]
    for _ in range(most + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"not usable {form} (nested more than {most} deep)")


def shown(value: object, limit: int = 60) -> str:
    """A value as messages show it: on one line, and cut where it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # ValueError: an integer of more digits than Python prints
        text = f"a large {type(value).__name__}"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def harmless(text: str, *, as_json: bool = False) -> str:
    """A text as a terminal may have it: what would move its cursor or turn its writing around is spelt out.

    Args:
        text: of anybody's; line breaks and tabs stay.
        as_json: spell as JSON does, for a text that is JSON.
    """
    return _HARMFUL.sub(lambda found: _spelt(ord(found[0]), as_json), text)


def _spelt(point: int, as_json: bool) -> str:
    return f"\\x{point:02x}" if point < 256 and not as_json else f"\\u{point:04x}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; write a number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(doubled)} is given twice")
    return value


def _refuse_surrogates(text: str, value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a \\u escape is half of a surrogate pair") from None
