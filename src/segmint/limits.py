"""How much of a file of anybody's is read. Beyond it: one line of refusal, and no memory taken."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache

from segmint.errors import ConfigError

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Each is set by an environment variable, `SEGMINT_MAX_` and its name in capitals."""

    image_px: int = 89_478_485
    """Pixels of an image or mask: Pillow's own limit, a quarter of a gigabyte in RGB."""
    image_bytes: int = 512 * MIB
    """An image or mask file."""
    features_bytes: int = 2048 * MIB
    """An item's stored attention."""
    record_bytes: int = 16 * MIB
    """A record, header or settings file."""
    list_bytes: int = 1024 * MIB
    """A file that grows with the number of items: the plan, the lists, the decisions."""
    nesting: int = 50
    """Levels of lists and tables in JSON and TOML; a recipe has four."""

    def of_file(self, suffix: str) -> int:
        """Bytes of a run's file with this suffix, as `.json`."""
        if suffix in (".png", ".jpg"):
            return self.image_bytes
        if suffix == ".npz":
            return self.features_bytes
        return self.list_bytes if suffix in (".jsonl", ".txt") else self.record_bytes


def limits_of(environment: Mapping[str, str]) -> Limits:
    """The limits that an environment sets.

    Raises:
        ConfigError: a variable holds no whole number above 0.
    """
    found = {}
    for each in fields(Limits):
        text = environment.get(variable(each.name))
        plain = text is None or (text.isascii() and text.isdecimal() and len(text) < 20)
        if text is not None and not (plain and 0 < int(text) < 1 << 62):
            raise ConfigError(f"{variable(each.name)}={text[:60]!r}: expected a whole number above 0")
        if text is not None:
            found[each.name] = int(text)
    return Limits(**found)


@cache
def limits() -> Limits:
    """The limits of this process, as its environment set them when it was first asked."""
    return limits_of(os.environ)


def too_large(what: object, most: int) -> str:
    """The sentence that refuses a file of a run beyond the limit."""
    return (
        f"{what} is larger than {most} bytes; is it of this run? "
        f"{variable('record_bytes')} and the like set what is read (docs/security.md)"
    )


def variable(name: str) -> str:
    """The environment variable that sets a limit."""
    return f"SEGMINT_MAX_{name.upper()}"
