"""Texts that the image is held against: which tokens a phrase became, found by the tokenizer's own output.

Nothing is ever split at blanks. CLIP's phrases are tokenised one by one and laid end to end; that this is
what the tokenizer makes of the joined text is checked, not assumed. Other tokenizers are read by their
offsets (`offsets.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from segmint.errors import PromptError

SOT, EOT = "<SoT>", "<EoT>"

CONCEPT = "background"
"""What stands for all that is no class, where no start token does. Source: Helbling et al. 2025, whose
concepts always hold it.
"""

Rows = tuple[int, ...]


class Words:
    """A pipeline's tokenizer, reading a text as the pipeline reads it: an added word of several vectors
    (textual inversion) becomes as many tokens."""

    def __init__(self, pipe: Any) -> None:
        self._tokenizer = pipe.tokenizer
        self._converted = getattr(pipe, "maybe_convert_prompt", None)

    def __call__(self, text: str, **arguments: Any) -> Any:
        """As the tokenizer's own call, of one text."""
        read = text if self._converted is None else self._converted(text, self._tokenizer)
        return self._tokenizer(read, **arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text to encode, with the phrases looked for in it.

    `tokens` names what is told apart: [SoT, …, EoT]; `phrase_rows` gives each phrase's places among them
    (none: the text lacks it).
    `padded` says whether attention to it is shared with its padding tokens, as it is while an image is drawn.
    `rows`: the embedding's rows of each token, where they are not its place; empty: they are.
    `length`: rows of the embedding that are text; None: as many as tokens.
    `pieces`: texts to encode one by one, each with the rows kept of it, laid end to end in place of `text`.
    """

    text: str
    tokens: tuple[str, ...]
    phrases: tuple[str, ...]
    phrase_rows: tuple[Rows, ...]
    padded: bool = False
    truncated: bool = False
    rows: tuple[Rows, ...] = ()
    length: int | None = None
    pieces: tuple[tuple[str, Rows], ...] = ()


@runtime_checkable
class TextReader(Protocol):
    """Finds phrases among the rows that a model's text encoder makes of a text."""

    @property
    def limit(self) -> int:
        """Tokens that the text encoder reads, with those that mark start and end."""
        ...

    def class_texts(self, phrases: Sequence[str]) -> tuple[Text, ...]:
        """As the function `class_texts`."""
        ...

    def prompt_text(self, prompt: str, phrases: Iterable[str], *, padded: bool = True) -> Text:
        """As the function `prompt_text`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipReader:
    """Reads as CLIP's tokenizer does, whose every text has a start and an end token."""

    tokenizer: Any
    limit: int

    def class_texts(self, phrases: Sequence[str]) -> tuple[Text, ...]:
        """As `TextReader.class_texts`."""
        return class_texts(self.tokenizer, phrases, self.limit)

    def prompt_text(self, prompt: str, phrases: Iterable[str], *, padded: bool = True) -> Text:
        """As `TextReader.prompt_text`."""
        return prompt_text(self.tokenizer, prompt, phrases, self.limit, padded=padded)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipConceptReader:
    """Reads prompts as CLIP's tokenizer does, and sends class phrases each by itself (SD 3)."""

    tokenizer: Any
    limit: int

    def class_texts(self, phrases: Sequence[str]) -> tuple[Text, ...]:
        """As `TextReader.class_texts`."""
        return (concept_text(phrases, self._own_rows),)

    def prompt_text(self, prompt: str, phrases: Iterable[str], *, padded: bool = True) -> Text:
        """As `TextReader.prompt_text`."""
        return prompt_text(self.tokenizer, prompt, phrases, self.limit, padded=padded)

    def _own_rows(self, phrase: str) -> Rows:
        return tuple(range(1, 1 + len(_phrase_ids(self.tokenizer, phrase, self.limit))))


def concept_text(phrases: Sequence[str], own_rows: Callable[[str], Rows]) -> Text:
    """The background concept and the phrases, encoded each by itself, all tokens of a phrase one concept.

    Args:
        phrases: in the order of the classes; doubles are dropped.
        own_rows: a phrase's rows in its own embedding.
    """
    wanted = tuple(dict.fromkeys(phrases))
    pieces = tuple((phrase, own_rows(phrase)) for phrase in (CONCEPT, *wanted))
    return Text(
        text=", ".join(wanted),
        tokens=(f"<{CONCEPT}>", *wanted, EOT),
        phrases=wanted,
        phrase_rows=tuple((1 + place,) for place in range(len(wanted))),
        length=sum(len(rows) for _, rows in pieces),
        pieces=pieces,
    )


def class_texts(tokenizer: Any, phrases: Sequence[str], limit: int) -> tuple[Text, ...]:
    """Texts that hold only the phrases, joined by blanks: one where they fit, else as few as their order
    allows.

    Args:
        tokenizer: of the model's text encoder.
        phrases: in the order of the classes; doubles are dropped.
        limit: tokens that the text encoder reads, with SoT and EoT.

    Raises:
        PromptError: a phrase has no token, is longer than the limit, or reads differently alone than in the
        text.

    Source: method.md step 5.
    """
    pieces = [(phrase, _phrase_ids(tokenizer, phrase, limit)) for phrase in dict.fromkeys(phrases)]
    texts: list[Text] = []
    room: list[tuple[str, list[int]]] = []
    for piece in pieces:
        if sum(len(ids) for _, ids in room) + len(piece[1]) > limit - 2:
            texts.append(_class_text(tokenizer, room))
            room = []
        room.append(piece)
    return (*texts, _class_text(tokenizer, room))


def prompt_text(
    tokenizer: Any, prompt: str, phrases: Iterable[str], limit: int, *, padded: bool = True
) -> Text:
    """The generating prompt, or any other text, with every place where each phrase stands in it.

    A phrase is found where its token ids stand in the prompt's at the beginning of a word; one that the
    prompt lacks, or that lies beyond the limit, has no rows.

    Args:
        tokenizer: of the model's text encoder.
        prompt: as it is given to the model, which truncates it at the limit.
        phrases: to look for; doubles are dropped.
        limit: tokens that the text encoder reads, with SoT and EoT.
        padded: whether attention is shared with the padding.
    """
    ids = _ids(tokenizer, prompt)
    kept = ids[: limit - 2]
    added = tokenizer.added_tokens_decoder  # such a token ends where it ends
    ends = [
        each in added or str(tokenizer.convert_ids_to_tokens(each)).endswith("</w>") for each in kept[:-1]
    ]
    starts = [place for place in range(len(kept)) if place == 0 or ends[place - 1]]
    wanted = tuple(dict.fromkeys(phrases))
    rows = []
    for phrase in wanted:
        piece = _ids(tokenizer, phrase)
        found = [place for place in starts if piece and kept[place : place + len(piece)] == piece]
        rows.append(tuple(sorted({1 + place + offset for place in found for offset in range(len(piece))})))
    return Text(
        text=prompt,
        tokens=_names(tokenizer, kept),
        phrases=wanted,
        phrase_rows=tuple(rows),
        padded=padded,
        truncated=len(ids) > len(kept),
    )


def require_phrases(text: Text, limit: int) -> Text:
    """The text, unless it lacks one of the phrases looked for in it.

    Args:
        text: from `prompt_text`.
        limit: tokens that the text encoder reads, with SoT and EoT.

    Raises:
        PromptError: a phrase has no rows; names all of them.
    """
    absent = [phrase for phrase, rows in zip(text.phrases, text.phrase_rows, strict=True) if not rows]
    if absent:
        beyond = f", of which the model reads the first {limit - 2} tokens" if text.truncated else ""
        raise PromptError(f"{', '.join(map(repr, absent))} not found in the text {text.text!r}{beyond}")
    return text


def _class_text(tokenizer: Any, pieces: Sequence[tuple[str, list[int]]]) -> Text:
    text = " ".join(phrase for phrase, _ in pieces)
    ids = [each for _, piece in pieces for each in piece]
    if len(pieces) > 1 and _ids(tokenizer, text) != ids:
        raise PromptError(
            f"the tokenizer reads the phrases {[phrase for phrase, _ in pieces]} differently alone than in "
            f"the text {text!r}, so their tokens cannot be told apart; reword the phrase with unusual "
            "characters"
        )
    rows, row = [], 1
    for _, piece in pieces:
        rows.append(tuple(range(row, row + len(piece))))
        row += len(piece)
    phrases = tuple(phrase for phrase, _ in pieces)
    return Text(text=text, tokens=_names(tokenizer, ids), phrases=phrases, phrase_rows=tuple(rows))


def _phrase_ids(tokenizer: Any, phrase: str, limit: int) -> list[int]:
    ids = _ids(tokenizer, phrase)
    if not ids:
        raise PromptError(
            f"phrase {phrase!r} is empty to the model's tokenizer; give words that describe the class"
        )
    if len(ids) > limit - 2:
        raise PromptError(
            f"phrase {phrase!r} has {len(ids)} tokens, but the model's text encoder reads {limit - 2} at "
            "most; shorten it"
        )
    return ids


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return ids


def _names(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    return (SOT, *(tokenizer.decode([each]).strip() for each in ids), EOT)
