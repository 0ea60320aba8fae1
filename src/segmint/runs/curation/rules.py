"""A small language for picking items by their record: `uncertain > 0.4`, `area(dog) < 1% or index > 900`.

    rule       = all { "or" all }
    all        = part { "and" part }
    part       = "not" part | "(" rule ")" | comparison
    comparison = number ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) number
               | "prompt" ( "contains" | "==" | "!=" ) text
               | ( "id" | "method" ) ( "contains" | "==" | "!=" ) text
               | "classes" "contains" class
    number     = decimal [ "%" ] | "uncertain" | "agreement" | "presence" | "consistency" | "separability"
               | "specks" | "smallest" | "classes" | "index" | "seed" | "attempts" | "width" | "height"
               | "area" "(" class ")"
    class      = name | text
    text       = '"' … '"' | "'" … "'"        a backslash keeps the next character

Words are matched without regard to case, text too. `smallest` is the area of the named class that covers
least of the image (0 where it did not appear), `classes` as a number counts the named classes. A record
without the value asked for (a method that casts no votes has no agreement) matches neither a rule nor its
opposite.
Nothing is evaluated: a rule is parsed into a tree of comparisons, and the tree is walked.
"""

import operator
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from segmint.errors import ConfigError
from segmint.runs.records import ItemRecord

Truth = bool | None
"""None where the record does not hold what the rule asks for."""
Test = Callable[[ItemRecord], Truth]
Number = Callable[[ItemRecord], int | float | None]

MAX_LENGTH = 2_000
"""Characters of a rule; a longer one is refused."""
MAX_DEPTH = 50
"""Nesting of parentheses and nots; a deeper one is refused."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*%?)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<word>[^\W\d][\w-]*)
      | (?P<sign><=|>=|==|!=|<|>|\(|\))
    )""",
    re.VERBOSE | re.DOTALL,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_NUMBERS: dict[str, Number] = {
    "uncertain": lambda record: record.uncertain_fraction,
    "agreement": lambda record: record.agreement,
    "presence": lambda record: least_presence(record),  # noqa: PLW0108 - defined below
    "consistency": lambda record: consistency(record),  # noqa: PLW0108 - defined below
    "separability": lambda record: record.separability,
    "specks": lambda record: record.specks,
    "smallest": lambda record: smallest_named_area(record),  # noqa: PLW0108 - defined below
    "classes": lambda record: len(record.classes),
    "index": lambda record: record.index,
    "seed": lambda record: record.seed,
    "attempts": lambda record: record.attempts,
    "width": lambda record: record.width_px,
    "height": lambda record: record.height_px,
}
_TEXTS: dict[str, Callable[[ItemRecord], str]] = {
    "prompt": lambda record: record.prompt,
    "id": lambda record: record.id,
    "method": lambda record: record.method,
}
_KNOWN = (*_NUMBERS, "area(CLASS)", *_TEXTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A parsed rule: `text` as written, `matches` on an item's record."""

    text: str
    test: Test

    def matches(self, record: ItemRecord) -> bool:
        """True where the rule takes the item; a failed item has nothing to measure and is never taken."""
        return record.status == "done" and self.test(record) is True


def parse_rule(text: str, classes: Collection[str] | None = None) -> Rule:
    """A rule from its text.

    Args:
        text: see the grammar at the top of this file.
        classes: label names that exist; a rule about any other is an error. None accepts every name.

    Raises:
        ConfigError: the rule cannot be understood; says what was expected at which character.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"a rule holds at most {MAX_LENGTH} characters; this one has {len(text)}")
    parser = _Parser(text=text, classes=classes)
    test = parser.either()
    parser.finish()
    return Rule(text=text, test=test)


def parse_number(text: str, classes: Collection[str] | None = None) -> Number:
    """What a number of the language is of an item's record, such as `agreement` or `area(boat)`.

    Raises:
        ConfigError: the text is no number of the language.
    """
    parser = _Parser(text=text, classes=classes)
    number = parser.number()
    parser.finish()
    return number


def least_presence(record: ItemRecord) -> float | None:
    """How surely the least sure of its named classes is in the image, in [0, 1]; None for a lone class, which
    has nothing to be held against, and where nobody asked."""
    return min(record.presence.values()) if len(record.presence) > 1 else None


def consistency(record: ItemRecord) -> float | None:
    """How well an image shows what its prompt names; None where nobody asked.

    The presence of its least sure class (1 of a lone one), and what the least helpful class's text takes from
    the model's error about the image.
    """
    if len(record.presence) < 2 and not record.helped:
        return None
    return min(record.presence.values(), default=1.0) + min(record.helped.values(), default=0.0)


def smallest_named_area(record: ItemRecord) -> float | None:
    """Share of the image that its smallest named class covers; None where none is named."""
    return min((record.areas.get(name, 0.0) for name in record.classes), default=None)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    value: str
    at: int


class _Parser:
    """Recursive descent over the tokens of one rule."""

    def __init__(self, *, text: str, classes: Collection[str] | None) -> None:
        self.text, self.classes = text, classes
        self.tokens = _tokens(text)
        self.position = self.depth = 0

    def either(self) -> Test:
        tests = [self.all()]
        while self.take("or"):
            tests.append(self.all())
        return tests[0] if len(tests) == 1 else lambda record: _any(tests, record)

    def all(self) -> Test:
        tests = [self.part()]
        while self.take("and"):
            tests.append(self.part())
        return tests[0] if len(tests) == 1 else lambda record: _all(tests, record)

    def part(self) -> Test:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"at most {MAX_DEPTH} levels of parentheses and nots")
        try:
            if self.take("not"):
                inner = self.part()
                return lambda record: _not(inner(record))
            if self.take("("):
                test = self.either()
                self.expect(")")
                return test
            return self.comparison()
        finally:
            self.depth -= 1

    def comparison(self) -> Test:
        word = self.peek()
        if word.kind == "word" and word.value.casefold() in _TEXTS:
            return self.text_comparison()
        following = self.peek(1)
        if word.value.casefold() == "classes" and following.value.casefold() == "contains":
            self.position += 2
            name = self.class_name()
            return lambda record: name in record.classes
        left = self.number()
        sign = self.next()
        if sign.value not in _COMPARE:
            raise self.error("a comparison (<, <=, >, >=, ==, !=)", sign)
        right, compare = self.number(), _COMPARE[sign.value]
        return lambda record: _compare(compare, left(record), right(record))

    def text_comparison(self) -> Test:
        read = _TEXTS[self.next().value.casefold()]
        verb = self.next()
        wanted_token = self.next()
        if verb.value.casefold() not in ("contains", "==", "!="):
            raise self.error("contains, == or !=", verb)
        if wanted_token.kind != "text":
            raise self.error('text in quotes, such as "a red boat"', wanted_token)
        wanted = _unquote(wanted_token.value).casefold()
        if verb.value.casefold() == "contains":
            return lambda record: wanted in read(record).casefold()
        equal = verb.value == "=="
        return lambda record: (read(record).casefold() == wanted) is equal

    def number(self) -> Number:
        token = self.next()
        if token.kind == "number":
            percent = token.value.endswith("%")
            value = float(token.value.rstrip("%").strip()) / (100 if percent else 1)
            return lambda record: value
        word = token.value.casefold() if token.kind == "word" else ""
        if word == "area":
            self.expect("(")
            name = self.class_name()
            self.expect(")")
            return lambda record: record.areas.get(name, 0.0)
        if word not in _NUMBERS:
            close = get_close_matches(word, _KNOWN, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise self.error(f"a number or one of {', '.join(_KNOWN)}", token, meant)
        return _NUMBERS[word]

    def class_name(self) -> str:
        """One class name: quoted, or plain words up to the closing parenthesis or the next keyword."""
        token = self.next()
        if token.kind not in ("word", "text"):
            raise self.error("a class name", token)
        name = _unquote(token.value) if token.kind == "text" else token.value
        if self.classes is None:
            return name
        known = {each.casefold(): each for each in self.classes}
        if name.casefold() not in known:
            close = get_close_matches(name, self.classes, n=3) or sorted(self.classes)[:10]
            raise ConfigError(
                f"rule {self.text!r}: no class {name!r} in this run (character {token.at + 1}); "
                f"did you mean {', '.join(close)}?"
            )
        return known[name.casefold()]

    def peek(self, ahead: int = 0) -> _Token:
        return self.tokens[min(self.position + ahead, len(self.tokens) - 1)]

    def next(self) -> _Token:
        token = self.peek()
        self.position += 1
        return token

    def take(self, word: str) -> bool:
        token = self.peek()
        if token.kind in ("word", "sign") and token.value.casefold() == word:
            self.position += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            raise self.error(f"{sign!r}")

    def finish(self) -> None:
        if self.peek().kind != "end":
            raise self.error("and, or, or the end of the rule")

    def error(self, expected: str, token: _Token | None = None, meant: str = "") -> ConfigError:
        token = token or self.peek()
        found = "the end" if token.kind == "end" else repr(token.value)
        return ConfigError(
            f"rule {self.text!r}: expected {expected} at character {token.at + 1}, found {found}{meant}"
        )


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise ConfigError(f"rule {text!r}: cannot read {text[at]!r} at character {at + 1}")
        tokens.append(_Token(match.lastgroup, match[match.lastgroup].strip(), match.start(match.lastgroup)))
        at = match.end()
    return [*tokens, _Token("end", "", len(text))]


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _compare(
    compare: Callable[[Any, Any], bool], left: int | float | None, right: int | float | None
) -> Truth:
    return None if left is None or right is None else compare(left, right)


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _any(tests: list[Test], record: ItemRecord) -> Truth:
    truths = [test(record) for test in tests]
    return True if True in truths else None if None in truths else False


def _all(tests: list[Test], record: ItemRecord) -> Truth:
    truths = [test(record) for test in tests]
    return False if False in truths else None if None in truths else True
