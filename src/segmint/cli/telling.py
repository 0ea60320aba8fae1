"""What is printed. It may hold words of anybody's: a prompt, a file's name, an error's text."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from segmint.textfile import harmless

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str, *, err: bool = False) -> None:
    """Print a line, nothing in it a command to the terminal."""
    typer.echo(harmless(text), err=err)


def say_json(fields: Mapping[str, Any]) -> None:
    """Print one JSON object on a line."""
    typer.echo(harmless(json.dumps(fields, ensure_ascii=False), as_json=True))


def cell(text: str) -> str:
    """A word of anybody's where rich reads markup: its brackets are brackets."""
    from rich.markup import escape

    return escape(harmless(text))


def terminal(**how: Any) -> "Console":
    """A rich console to which texts come as in `say`."""
    from rich.console import Console

    class Harmless(Console):
        def render_str(self, text: str, **options: Any) -> Any:
            return Console.render_str(self, harmless(text), **options)

    return Harmless(**how)
