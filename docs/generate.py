"""Write the generated pages of docs/: recipe, commands, cost of scaling. Run by `make docs`."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scaling
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from segmint.cli.main import application
from segmint.recipe import Recipe
from segmint.settings import meaning, optional, values_of

FOLDER = Path(__file__).resolve().parent
NOTICE = "<!-- Written by `make docs`; change the code that it describes, not this page. -->"


def pages() -> dict[str, str]:
    """Text of every generated page by its file name."""
    return {
        "cli.md": command_page(),
        "recipe.md": recipe_page(),
        "scaling.md": scaling.page(scaling.read_measured(), scaling.Assumptions()),
    }


def recipe_page() -> str:
    """Every field of the recipe, section by section, from the models and the text under their fields."""
    lines = [
        NOTICE,
        "",
        "# The recipe",
        "",
        "A recipe is all that decides what a run contains. A run keeps its own as `recipe.toml`; write one "
        "by hand with the fields that you want to change (`segmint generate --recipe FILE.toml`), or set a "
        "field for once with `--set SECTION.FIELD=VALUE`. What a recipe leaves out takes the default given "
        "here.",
        *_section("", Recipe),
    ]
    return "\n".join(lines) + "\n"


def _section(name: str, model: type[BaseModel]) -> Iterator[str]:
    sections = {key: _model_of(field) for key, field in model.model_fields.items()}
    if name:
        yield from ("", f"## `[{name}]`", "", _one_line(inspect.getdoc(model) or ""))
    rows = [key for key, inner in sections.items() if inner is None]
    if rows:
        yield from ("", "| Field | Values | Default | Meaning |", "|---|---|---|---|")
        for key in rows:
            field = model.model_fields[key]
            cells = (f"`{key}`", _values(field), _default(field), meaning(model, key))
            yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
    for key, inner in sections.items():
        if inner is not None:
            yield from _section(f"{name}.{key}" if name else key, inner)


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _values(field: FieldInfo) -> str:
    told = values_of(field.annotation, field.metadata, mark="`{}`".format, spelled_out=True)
    return f"{told}, or left out" if optional(field.annotation) else told


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "left out"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def command_page() -> str:
    """Every command with its arguments and options."""
    root = typer.main.get_command(application())
    lines = [NOTICE, "", "# Commands", "", _prose(root.help)]
    for name, command in _commands("segmint", root):
        lines += ["", f"## `{name}`", "", _prose(command.help)]
        lines += _parameters(command)
    return "\n".join(lines) + "\n"


def _commands(name: str, group: Any) -> Iterator[tuple[str, Any]]:
    for key, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        yield f"{name} {key}", command
        if hasattr(command, "commands"):
            yield from _commands(f"{name} {key}", command)


def _parameters(command: Any) -> Iterator[str]:
    shown = [each for each in command.params if not getattr(each, "hidden", False) and each.name != "help"]
    if shown:
        yield from ("", "| | Default | |", "|---|---|---|")
    for each in shown:
        cells = (_spelling(each), _parameter_default(each), _prose(getattr(each, "help", "") or ""))
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _spelling(parameter: Any) -> str:
    word = parameter.metavar or parameter.name.upper()
    if parameter.param_type_name == "argument":
        return f"`{word}`" if parameter.required else f"`[{word}]`"
    value = "" if parameter.is_flag else f" {word}"
    names = ", ".join(f"`{name}{value}`" for name in sorted(parameter.opts, key=len, reverse=True))
    opposite = ", ".join(f"`{name}`" for name in parameter.secondary_opts)
    return f"{names} / {opposite}" if opposite else names


def _parameter_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(shown := getattr(parameter, "show_default", None), str):
        return f"`{shown}`"
    value = parameter.default
    return "" if value in (None, False, (), []) or callable(value) else f"`{value}`"


def _prose(text: str | None) -> str:
    """Help text as Markdown: paragraphs on one line each, examples as code."""
    paragraphs = [_one_line(each) for each in re.split(r"\n\s*\n", inspect.cleandoc(text or ""))]
    joined = "\n\n".join(paragraphs)
    joined = re.sub(r"\[cyan\](.*?)\[/cyan\]", r"`\1`", joined)
    return re.sub(r"\[bold\](.*?)\[/bold\]", r"**\1**", joined)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


if __name__ == "__main__":
    for page, content in pages().items():
        (FOLDER / page).write_text(content, encoding="utf-8")
