"""English words: a or an, plurals, and finding class words in a text."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from segmint import plan
from segmint.vocabulary import Vocabulary

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’]s\b")
_SIBILANT = ("s", "x", "z", "ch", "sh")

WordTable = dict[str, tuple[tuple[tuple[str, ...], str], ...]]
"""First word -> (all words, class) of every way to write a class, longest first; a decoy's class is ""."""


def noun(phrase: str) -> tuple[str, bool]:
    """How one thing of a phrase is written, and whether it takes an article ("pair of scissors", True)."""
    known = _words()["countable"].get(phrase.casefold())
    if known is not None:
        return (known, True) if known else (phrase, False)
    last = phrase.casefold().split()[-1]
    plural = last.endswith("s") and not last.endswith(("ss", "us", "is"))
    return phrase, not plural or last in _words()["articles"]["singular"]


def article(text: str) -> str:
    """ "a" or "an", by the sound with which `text` most likely begins."""
    first = text.casefold()
    if first.startswith(tuple(_words()["articles"]["an"])):
        return "an"
    if first.startswith(tuple(_words()["articles"]["a"])):
        return "a"
    return "an" if first[:1] in {*"aeiou"} else "a"


def word_table(vocabulary: Vocabulary) -> WordTable:
    """Every way to write each class: its name, phrases and known synonyms, in singular and plural."""
    entries, synonyms = vocabulary.entries, _words()["synonyms"]
    spellings = [  # those first that count most
        *((entry.name, entry.name) for entry in entries),
        *((phrase, entry.name) for entry in entries for phrase in entry.phrases),
        *((other, entry.name) for entry in entries for other in synonyms.get(entry.name.casefold(), ())),
        *((expression, "") for expression in _words()["decoys"]["expressions"]),
    ]
    ways: dict[tuple[str, ...], str] = {}
    for text, name in spellings:
        for words in _forms(_split(text)):
            ways.setdefault(words, name)
    table: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for words, name in sorted(ways.items(), key=lambda way: -len(way[0])):
        table.setdefault(words[0], []).append((words, name))
    return {first: tuple(found) for first, found in table.items()}


def find_classes(text: str, table: WordTable) -> tuple[str, ...]:
    """Classes whose words appear in a text as whole words, in order of appearance, each once."""
    return tuple(dict.fromkeys(name for name, _ in _matches(_split(text), table) if name))


def match_all(text: str, table: WordTable) -> tuple[tuple[str, ...], str | None]:
    """A text that is nothing but class words, such as "tv monitor dining table".

    Returns:
        The classes in order, each once; and the first word that belongs to none, or None if all do.
    """
    found: dict[str, None] = {}
    for name, word in _matches(_split(text), table):
        if not name:
            return tuple(found), word
        found[name] = None
    return tuple(found), None


def _matches(words: tuple[str, ...], table: WordTable) -> Iterator[tuple[str, str]]:
    """(class, first word) from left to right, longest way first; the class is "" for a word of none."""
    at = 0
    while at < len(words):
        for way, name in table.get(words[at], ()):
            if words[at : at + len(way)] == way:
                yield name, words[at]
                at += len(way)
                break
        else:
            yield "", words[at]
            at += 1


def _split(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(_POSSESSIVE.sub("", text.casefold())))


def _forms(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The words themselves, then with their last one in the plural; nothing for a text without words."""
    if not words:
        return
    yield words
    *start, last = words
    irregular = _words()["plurals"].get(last)
    if irregular:
        yield (*start, irregular)
    elif last.endswith(_SIBILANT):
        yield (*start, f"{last}es")
    elif last.endswith("y") and last[-2:-1] not in {*"aeiou"}:
        yield (*start, f"{last[:-1]}ies")
    else:
        yield (*start, f"{last}s")


@cache
def _words() -> dict[str, dict[str, Any]]:
    return tomllib.loads((files(plan) / "data" / "words.toml").read_text(encoding="utf-8"))
