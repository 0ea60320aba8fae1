"""Prompts written by a language model behind an OpenAI-compatible server, checked against the classes.

The planner says which classes meet in each image; the server only finds words. Whatever it answers is checked
as if it were anybody's: a prompt has to name its classes and no other, once, on a line.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from itertools import islice
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from segmint.errors import PromptError
from segmint.plan.prompts.planning import class_groups
from segmint.plan.prompts.words import find_classes, word_table
from segmint.plan.settings import PromptSettings
from segmint.textfile import parse_json, shown
from segmint.vocabulary import ClassEntry, Vocabulary

LOCAL = "http://127.0.0.1:11434/v1"
"""Where Ollama listens on one's own machine, if nothing else is said."""
KEY = "SEGMINT_LLM_KEY"
"""Environment variable of a server's key, for those that want one."""
AT_ONCE = 20
"""Prompts asked for in one request: small models lose count of longer lists."""
ROUNDS = 5
"""Times that what was refused is asked for again."""
LONGEST = 300
"""Characters of a prompt: about the 77 tokens that CLIP reads."""
LARGEST_BYTES = 4_000_000
"""Of an answer."""
WAIT_S = 180.0
"""For one answer; a small model on a CPU takes its time."""
TASK = (
    "You write prompts for a text-to-image model. For each numbered list of things write one English prompt "
    "of at most 30 words that names every thing of its list literally, and none of these other things: "
    "{others}. Vary place, light, viewpoint and style. Answer with JSON alone."
)
SCHEMA = {
    "type": "object",
    "properties": {
        "prompts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"number": {"type": "integer"}, "prompt": {"type": "string"}},
                "required": ["number", "prompt"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["prompts"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A server, and what it is asked with."""

    url: str = LOCAL
    model: str | None = None
    """None takes the first that the server has."""
    seed: int = 0
    temperature: float = 1.0


def write_prompts(
    writer: Writer, vocabulary: Vocabulary, settings: PromptSettings, count: int
) -> list[dict[str, Any]]:
    """Prompts with their classes, no two alike, as the lines of a JSONL file.

    Args:
        writer: the server.
        vocabulary: classes; each comes as often as in planned prompts.
        settings: `class_counts` says how many classes meet.
        count: how many prompts.

    Raises:
        PromptError: the server cannot be reached, refuses, answers nonsense, or had after several rounds not
            written enough that can be used.
    """
    model = writer.model or _first_model(writer)
    groups = list(islice(class_groups(vocabulary, settings.class_counts, writer.seed), count))
    table, written = word_table(vocabulary), dict[int, str]()
    taken: set[str] = set()
    last = "it wrote none of them"
    for round_ in range(ROUNDS):
        missing = [number for number in range(count) if number not in written]
        for part in _parts(missing):
            answer = _asked(
                writer, model, vocabulary, {n: groups[n] for n in part}, seed=writer.seed + round_
            )
            for number, text in answer:
                problem = _problem(text, groups[number], table, taken) if number in part else "not asked for"
                if problem is not None:
                    last = f"{shown(text)}: {problem}"
                elif number not in written:
                    written[number] = text
                    taken.add(text.casefold())
    if len(written) < count:
        raise PromptError(
            f"{writer.url} wrote {len(written)} of {count} prompts that can be used in {ROUNDS} rounds; the "
            f"last was refused, {last}; nothing is written. Try another model, or fewer classes"
        )
    return [
        {"prompt": written[number], "classes": [entry.name for entry in groups[number]]}
        for number in range(count)
    ]


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[at : at + AT_ONCE] for at in range(0, len(numbers), AT_ONCE))


def _problem(text: str, group: Sequence[ClassEntry], table: Any, taken: set[str]) -> str | None:
    """Why a prompt cannot be used; None where it can."""
    found, wanted = set(find_classes(text, table)), {entry.name for entry in group}
    if not text or len(text) > LONGEST or not text.isprintable():
        return f"not a line of 1 to {LONGEST} characters"
    if found != wanted:
        return f"it names {', '.join(sorted(found)) or 'no class'}, expected {', '.join(sorted(wanted))}"
    return "it is there twice" if text.casefold() in taken else None


def _asked(
    writer: Writer,
    model: str,
    vocabulary: Vocabulary,
    groups: Mapping[int, Sequence[ClassEntry]],
    *,
    seed: int,
) -> list[tuple[int, str]]:
    lines = [f"{number}: {', '.join(each.phrases[0] for each in group)}" for number, group in groups.items()]
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": TASK.format(others=", ".join(vocabulary.names))},
            {"role": "user", "content": "\n".join(lines)},
        ],
        "seed": seed,
        "temperature": writer.temperature,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "prompts", "strict": True, "schema": SCHEMA},
        },
    }
    said = _answer(writer, "chat/completions", body)
    try:
        listed = parse_json(str(said["choices"][0]["message"]["content"]))["prompts"]
        return [(each["number"], " ".join(str(each["prompt"]).split())) for each in listed]
    except (ValueError, KeyError, TypeError, IndexError):
        raise PromptError(
            f"{writer.url} answers with something else than the prompts asked for, {shown(said)}; take a "
            "model that keeps to a JSON schema"
        ) from None


def _first_model(writer: Writer) -> str:
    said = _answer(writer, "models")
    try:
        return str(said["data"][0]["id"])
    except (KeyError, TypeError, IndexError):
        raise PromptError(f"{writer.url} lists no model, {shown(said)}; name one with --llm-model") from None


def _answer(writer: Writer, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """What the server says to a request, as JSON."""
    if urlsplit(writer.url).scheme not in ("http", "https"):
        raise PromptError(f"{writer.url!r} is no address of a server; expected one such as {LOCAL}")
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    asked = request.Request(f"{writer.url.rstrip('/')}/{path}", data=data, headers=headers)
    try:
        with request.urlopen(asked, timeout=WAIT_S) as answer:
            said = _read_in_time(answer)
    except HTTPError as error:
        raise PromptError(f"{writer.url} refuses: {error.code} {error.reason}") from None
    except (URLError, HTTPException, OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise PromptError(
            f"{writer.url} gives no answer, {shown(str(why))}; is the server running there?"
        ) from None
    try:
        if len(said) > LARGEST_BYTES:
            raise PromptError(f"{writer.url} answers with more than {LARGEST_BYTES} bytes")
        return parse_json(said.decode())
    except ValueError:
        raise PromptError(f"{writer.url} answers with no JSON, {shown(said[:60])}") from None


def _read_in_time(answer: HTTPResponse) -> bytes:
    """An answer, as far as the largest goes; a server that drips is no better than one that is silent.

    Raises:
        TimeoutError: it is not whole in time.
    """
    start, said = time.monotonic(), b""
    while len(said) <= LARGEST_BYTES and (part := answer.read1(65_536)):
        said += part
        if time.monotonic() - start > WAIT_S:
            raise TimeoutError("timed out")
    return said
