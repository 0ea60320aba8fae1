"""Templates, read from a TOML file that anyone can copy and change, and classes put into words by them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from segmint import plan
from segmint.errors import PromptError
from segmint.plan.prompts.words import article, find_classes, noun, word_table
from segmint.textfile import parse_toml, read_text, shown
from segmint.vocabulary import ClassEntry, Vocabulary

WORLDS = ("toybox", "yard")
"""Sets in the words of a shipped model, and called like it."""
SETS = ("photo", "dense", "plain", *WORLDS)
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
    known = {"thing", "link", "prompt", "lists", "lists_from", *(f"prompt_{each}" for each in _COUNTS)}
    for key in table:
        if key not in known:
            raise ValueError(f"unknown key {key!r}; known are {', '.join(sorted(known))}")
    others = _other(table.get("lists_from"))
    lists = {**(others.lists if others else {}), **_lists(table.get("lists", {}))}
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
        sha256=hashlib.sha256(data + (others.sha256.encode() if others else b"")).hexdigest(),
        things=things,
        links=links,
        prompts=(by_count[0], by_count[1], by_count[2]),
        lists=lists,
    )


def _other(name: Any) -> TemplateSet | None:
    """The shipped set whose lists are taken where a file has none of its own."""
    if name is None:
        return None
    if name not in SETS:
        raise ValueError(f"lists_from must be one of {', '.join(SETS)}, found {shown(name)}")
    return load_templates(name)


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


_Option = TypeVar("_Option")
_ARTICLE = re.compile(r"a\(n\) +(?=(\S+))")
_BLANK_BEFORE_STOP = re.compile(r"\s+(?=[,.;])")


class Wording:
    """Templates held against a vocabulary.

    Words that name another class of the vocabulary ("on a bench") are passed over: what they bring into the
    picture would count as background in its mask.
    """

    def __init__(self, vocabulary: Vocabulary, templates: TemplateSet) -> None:
        self._templates = templates
        self._table = word_table(vocabulary)
        self._named: dict[str, frozenset[str]] = {}

    def write(self, entries: Sequence[ClassEntry], random: Random) -> str:
        """A prompt with these classes, one to three, in this order."""
        things = [self._thing(entry, random) for entry in entries]
        joined = self._pick(self._templates.links, entries, random).join(things)
        if len(things) > 2:
            joined = f"{', '.join(things[:-1])} and {things[-1]}"
        whole = self._pick(self._templates.prompts[len(things) - 1], entries, random)
        filled = self._fill(whole, {"things": joined}, entries, random)
        return _ARTICLE.sub(lambda found: f"{article(found[1])} ", _BLANK_BEFORE_STOP.sub("", filled))

    def _thing(self, entry: ClassEntry, random: Random) -> str:
        name, counted = noun(choice(entry.phrases, random))
        text = self._pick(self._templates.things, [entry], random)
        filled = self._fill(text, {"name": name}, [entry], random)
        return _ARTICLE.sub(lambda found: f"{article(found[1])} " if counted else "", filled)

    def _fill(self, text: str, given: dict[str, str], entries: Sequence[ClassEntry], random: Random) -> str:
        """Every placeholder replaced by what is given for it, or by words that suit one of the classes."""
        pieces = _PLACEHOLDER.split(text)
        for place in range(1, len(pieces), 2):
            key = pieces[place]
            if key in given:
                pieces[place] = given[key]
            else:
                by_class, entry = self._templates.lists[key], choice(entries, random)
                own = next((name for name in (entry.name, *entry.phrases) if name in by_class), ANY)
                pieces[place] = self._pick(by_class[own], entries, random, otherwise="")
        return " ".join("".join(pieces).split())

    def _pick(
        self,
        options: Sequence[str],
        entries: Sequence[ClassEntry],
        random: Random,
        *,
        otherwise: str | None = None,
    ) -> str:
        """One of the options that name no other class; if all do, `otherwise`, or without it any of them."""
        wanted = {entry.name for entry in entries}
        suitable = [option for option in options if self._names(option) <= wanted]
        if not suitable and otherwise is not None:
            return otherwise
        return choice(suitable or options, random)

    def _names(self, text: str) -> frozenset[str]:
        if text not in self._named:
            self._named[text] = frozenset(find_classes(text, self._table))
        return self._named[text]


def choice(options: Sequence[_Option], random: Random) -> _Option:
    """One of the options. Only `random()` is asked of the generator: Python promises that one for ever."""
    return options[int(random.random() * len(options))]


def shuffled(options: Sequence[_Option], random: Random) -> list[_Option]:
    """The options in random order, by `random()` alone (see `choice`)."""
    left = list(options)
    return [left.pop(int(random.random() * len(left))) for _ in options]
