"""Templates: the wording of planned prompts, read from a TOML file that anyone can copy and change."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from segmint import plan
from segmint.errors import PromptError
from segmint.textfile import parse_toml, read_text, shown

SETS = ("photo", "plain", "toybox", "yard")
"""Template sets that ship with segmint."""
ANY = "*"
"""Key of a list's choices for classes that have none of their own."""

_COUNTS = ("one", "two", "three")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSet:
    """Wording to choose from.

    `things` write one class each ({name}); `links` join two of them; `prompts[n - 1]` are the whole texts for
    n classes ({things}); `lists` give, by placeholder and then by class name or phrase, words to choose from.
    """

    name: str
    sha256: str
    things: tuple[str, ...]
    links: tuple[str, ...]
    prompts: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    lists: Mapping[str, Mapping[str, tuple[str, ...]]]


def load_templates(source: str | Path) -> TemplateSet:
    """A template set of segmint's by its name, or a file of one's own.

    Args:
        source: one of SETS, or the path of a TOML file in the form that docs/prompts.md shows.

    Raises:
        PromptError: there is no such set or file, or the file is not in that form.
    """
    if isinstance(source, str) and source in SETS:
        data = (files(plan) / "data" / "templates" / f"{source}.toml").read_bytes()
        return _parse(data.decode("utf-8"), data, name=source)
    path = Path(source)
    if not path.suffix and not path.exists():
        raise PromptError(f"no template set or file is called {str(source)!r}; sets are {', '.join(SETS)}")
    text, data = read_text(path, what="template file", error=PromptError)
    try:
        return _parse(text, data, name=path.name)
    except ValueError as problem:
        raise PromptError(f"{path}: {problem}") from None


def _parse(text: str, data: bytes, *, name: str) -> TemplateSet:
    table = parse_toml(text)
    known = {"thing", "link", "prompt", "lists", *(f"prompt_{each}" for each in _COUNTS)}
    for key in table:
        if key not in known:
            raise ValueError(f"unknown key {key!r}; known are {', '.join(sorted(known))}")
    lists = _lists(table.get("lists", {}))
    things = _texts(table.get("thing", ["a(n) {name}"]), "thing")
    links = _texts(table.get("link", [" and "]), "link")
    by_count = [
        _texts(table.get(f"prompt_{each}", table.get("prompt")), f"prompt_{each}") for each in _COUNTS
    ]
    for thing in things:
        _check_placeholders(thing, "thing", must="name", lists=lists)
    for link in links:
        _check_placeholders(link, "link", must=None, lists=lists)
    for each, whole_texts in zip(_COUNTS, by_count, strict=True):
        for whole in whole_texts:
            _check_placeholders(whole, f"prompt_{each}", must="things", lists=lists)
    return TemplateSet(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        things=things,
        links=links,
        prompts=(by_count[0], by_count[1], by_count[2]),
        lists=lists,
    )


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{what} must be a list of one text or more, found {shown(value)}")
    return tuple(value)


def _lists(value: Any) -> dict[str, dict[str, tuple[str, ...]]]:
    if not isinstance(value, dict):
        raise ValueError(  # noqa: TRY004 - the file is at fault, not the code
            f"lists must be a table, found {shown(value)}"
        )
    lists: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, given in value.items():
        by_class = given if isinstance(given, dict) else {ANY: given}
        if ANY not in by_class:
            raise ValueError(f'lists.{name} has no "*", which is for classes without a list of their own')
        lists[name] = {each: _texts(texts, f"lists.{name}.{each}") for each, texts in by_class.items()}
    return lists


def _check_placeholders(text: str, what: str, *, must: str | None, lists: Mapping[str, Any]) -> None:
    found = _PLACEHOLDER.findall(text)
    if must is not None and found.count(must) != 1:
        raise ValueError(f"{what} {shown(text)} must hold {{{must}}} once")
    for each in found:
        if each != must and each not in lists:
            raise ValueError(f"{what} {shown(text)} names {{{each}}}, for which lists has no words")
    if "{" in _PLACEHOLDER.sub("", text) or "}" in _PLACEHOLDER.sub("", text):
        raise ValueError(f"{what} {shown(text)} has a brace without a partner")
