"""Put classes into words by templates."""

import re
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from segmint.plan.prompts.templates import ANY, TemplateSet
from segmint.plan.prompts.words import article, find_classes, noun, word_table
from segmint.vocabulary import ClassEntry, Vocabulary

_Option = TypeVar("_Option")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
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
                options = self._choices(key, entries, random)
                pieces[place] = self._pick(options, entries, random, otherwise="")
        return " ".join("".join(pieces).split())

    def _choices(self, key: str, entries: Sequence[ClassEntry], random: Random) -> Sequence[str]:
        by_class = self._templates.lists[key]
        entry = choice(entries, random)
        own = next((name for name in (entry.name, *entry.phrases) if name in by_class), ANY)
        return by_class[own]

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
