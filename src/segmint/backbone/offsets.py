"""Rows of phrases in texts of any fast tokenizer, by the offsets that it gives with its own output.

Nothing is counted: a token belongs to a phrase whose characters it covers, whatever stands before it (a chat
template, say). Such texts have no start token that could speak for the background; the concept "background"
does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from re import IGNORECASE, escape, finditer
from typing import Any

from segmint.backbone.text import CONCEPT, EOT, Rows, Text, concept_text
from segmint.errors import PromptError

_MARK = "\N{SYMBOL FOR START OF TEXT}"
"""A text that no template holds."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetReader:
    """Reads texts by offsets.

    `limit`: rows that the text encoder gives. `wrap`: what the pipeline makes of a text before it is
    tokenised. `dropped`: rows that the pipeline cuts off in front. `apart`: phrases are encoded each by
    itself and laid end to end, each one concept; else they are one text, joined by blanks. `padded_left`:
    padding stands before the text, up to the limit.
    """

    tokenizer: Any
    limit: int
    wrap: Callable[[str], str] = str
    dropped: int = 0
    apart: bool = False
    padded_left: bool = False

    def class_texts(self, phrases: Sequence[str]) -> tuple[Text, ...]:
        """As `TextReader.class_texts`; the first token of each text is the background concept."""
        wanted = tuple(dict.fromkeys(phrases))
        if self.apart:
            return (concept_text(wanted, self._own_rows),)
        for phrase in (CONCEPT, *wanted):
            self._own_rows(phrase)
        texts: list[Text] = []
        room: list[str] = []
        for phrase in wanted:
            if room and self._joined((*room, phrase)) is None:
                texts.append(self._fitting(room))
                room = []
            room.append(phrase)
        return (*texts, self._fitting(room))

    def prompt_text(self, prompt: str, phrases: Iterable[str], *, padded: bool = True) -> Text:
        """As `TextReader.prompt_text`; its words are told apart, and first and last the end token."""
        del padded  # whether padding is seen is the model's own mask
        wrapped, inner, spans, many = self._read(prompt)
        kept = [(row, span) for row, span in spans if row < self.limit - 1]
        last = min(spans[-1][0] + 1, self.limit - 1) if spans else 0
        end = (last,) if last < many else ()
        wanted = tuple(dict.fromkeys(phrases))
        places = []
        for phrase in wanted:
            found = _places(phrase, wrapped, inner)
            places.append(
                tuple(1 + at for at, (_, span) in enumerate(kept) if any(_meet(span, each) for each in found))
            )
        return Text(
            text=prompt,
            tokens=(f"<{CONCEPT}>", *(wrapped[start:end].strip() for _, (start, end) in kept), EOT),
            phrases=wanted,
            phrase_rows=tuple(places),
            truncated=len(kept) < len(spans),
            rows=(end, *((row,) for row, _ in kept), end),
            length=last + len(end),
        )

    def _read(self, text: str) -> tuple[str, Span, list[tuple[int, Span]], int]:
        """The text as it is tokenised, where in it the text itself stands, that part's rows and spans, and
        how many rows all of it has.
        """
        before, _, after = self.wrap(_MARK).partition(_MARK)
        wrapped = self.wrap(text)
        inner = len(before), len(wrapped) - len(after)
        begun = bool(self.tokenizer.bos_token) and wrapped.startswith(self.tokenizer.bos_token)
        found = self.tokenizer(
            wrapped,
            return_offsets_mapping=True,
            truncation=False,
            verbose=False,
            add_special_tokens=not begun,  # a template that brings its own start token gets no second one
        )
        moved = self.limit - len(found["offset_mapping"]) if self.padded_left else 0
        spans = [
            (row - self.dropped + max(0, moved), (start, end))
            for row, (start, end) in enumerate(found["offset_mapping"])
            if end > start and _meet((start, end), inner) and wrapped[start:end].strip()
        ]
        return wrapped, inner, spans, len(found["offset_mapping"]) - self.dropped + max(0, moved)

    def _own_rows(self, phrase: str) -> Rows:
        _, _, spans, _ = self._read(phrase)
        if not spans:
            raise PromptError(
                f"phrase {phrase!r} is empty to the model's tokenizer; give words that describe the class"
            )
        if spans[-1][0] >= self.limit - 1:
            raise PromptError(
                f"phrase {phrase!r} has {len(spans)} tokens, but the model's text encoder reads {self.limit} "
                "at most; shorten it"
            )
        return tuple(row for row, _ in spans)

    def _fitting(self, phrases: Sequence[str]) -> Text:
        found = self._joined(phrases)
        assert found is not None
        return found

    def _joined(self, phrases: Sequence[str]) -> Text | None:
        """One text of the background concept and the phrases; None where it is longer than the limit."""
        text = " ".join((CONCEPT, *phrases))
        wrapped, (at, _), spans, many = self._read(text)
        if spans[-1][0] >= self.limit - 1 and len(phrases) > 1:
            return None
        own: list[list[int]] = []
        for phrase in (CONCEPT, *phrases):
            own.append(
                [place for place, (_, span) in enumerate(spans) if _meet(span, (at, at + len(phrase)))]
            )
            at += len(phrase) + 1
        shared = {place for one, other in pairwise(own) for place in {*one} & {*other}}
        if shared or not all(own):
            raise PromptError(
                f"the tokenizer cannot tell the phrases {list(phrases)} apart in the text {wrapped!r}; "
                "reword the phrase with unusual characters"
            )
        first = len(own[0])
        words = [spans[place] for place in range(first, len(spans))]
        last = spans[-1][0] + 1
        end = (last,) if last < many else ()
        return Text(
            text=text,
            tokens=(f"<{CONCEPT}>", *(wrapped[start:stop].strip() for _, (start, stop) in words), EOT),
            phrases=tuple(phrases),
            phrase_rows=tuple(tuple(1 + place - first for place in places) for places in own[1:]),
            rows=(tuple(spans[place][0] for place in own[0]), *((row,) for row, _ in words), end),
            length=last + len(end),
        )


def _places(phrase: str, text: str, inner: Span) -> list[Span]:
    """Where a phrase stands in a text, as whole words."""
    words = r"\s+".join(escape(word) for word in phrase.split())
    if not words:
        return []
    found = finditer(rf"(?<!\w){words}(?!\w)", text[inner[0] : inner[1]], IGNORECASE)
    return [(inner[0] + each.start(), inner[0] + each.end()) for each in found]


def _meet(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def as_chat(words: Any, text: str, **arguments: Any) -> str:
    """A text as the one message of a chat, as a tokenizer's own template has it."""
    messages = [{"role": "user", "content": text}]
    found: str = words.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **arguments)
    return found
