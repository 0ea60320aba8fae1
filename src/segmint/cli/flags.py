"""Options made from the fields of settings: a setting that has an option is stated once, as its field.

A command names in its signature the settings that it takes, and gets what the user gave of them:

    def generate(*, changes: Annotated[Changes, Flags(Recipe, "model", "sampling")], where: Where): ...

`changes` holds the fields that were given by their dotted names; `where`, a settings class of its own, is
built from its fields' options.
"""

import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from inspect import Parameter
from typing import Annotated, Any, TypeVar

import typer

from segmint.cli.options import numbers, parse_settings
from segmint.settings import Flagged, Settings, flagged

Changes = dict[str, Any]
"""Dotted fields and the values that the user gave them."""
Result = TypeVar("Result")


class Flags:
    """Which fields of a settings class a command has options for: all that have a `Flag`."""

    def __init__(
        self,
        model: type[Settings],
        *only: str,
        without: tuple[str, ...] = (),
        notes: bool = True,
        rest: str = "",
    ) -> None:
        """Choose fields.

        Args:
            model: the settings class.
            only: sections or dotted fields to take; none takes all.
            without: dotted fields to leave out.
            notes: whether help tells the fields' defaults.
            rest: help of an option `--set FIELD=VALUE` for all other fields; without it there is none.
        """
        self._model, self._rest = model, rest
        known = [each for each in flagged(model) if each.field not in without]
        chosen = [each for place in only for each in known if f"{each.field}.".startswith(f"{place}.")]
        options = chosen if only else known
        self._options = options if notes else [replace(each, default=None) for each in options]

    def parameters(self) -> Iterator[Parameter]:
        """The options, as typer reads them from a signature."""
        for each in self._options:
            yield _parameter(each)
        if self._rest:
            panel = self._options[-1].panel or None if self._options else None
            option = typer.Option("--set", metavar="FIELD=VALUE", help=self._rest, rich_help_panel=panel)
            kind = Annotated[list[str] | None, option]
            yield Parameter("set_", Parameter.KEYWORD_ONLY, default=None, annotation=kind)

    def take(self, given: dict[str, Any]) -> Changes:
        """Take the options' values out of what a command was called with, as dotted fields.

        Raises:
            ConfigError: a list or a `--set` cannot be read.
        """
        changes: Changes = {}
        for each in self._options:
            value = given.pop(_name(each))
            if value is not None and value != []:
                number = _numbers(each.kind)
                changes[each.field] = numbers(value, each.flag.name, number) if number else value
        words = given.pop("set_", None) if self._rest else None
        return changes | parse_settings(words) if words else changes

    def build(self, given: dict[str, Any]) -> Settings:
        """The settings themselves, from the options' values.

        Raises:
            ConfigError: a value is out of range.
        """
        return self._model.parse(self.take(given), source="options")


def with_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """The command with an option for each field of the settings that its signature names."""
    signature = inspect.signature(command, eval_str=True)
    groups = {
        name: found for name, each in signature.parameters.items() if (found := _group(each.annotation))
    }
    parameters: list[Parameter] = []
    for name, each in signature.parameters.items():
        parameters += (
            groups[name][0].parameters() if name in groups else [each.replace(kind=each.KEYWORD_ONLY)]
        )

    @functools.wraps(command)
    def run(**given: Any) -> Result:
        taken = {
            name: flags.build(given) if whole else flags.take(given)
            for name, (flags, whole) in groups.items()
        }
        return command(**given, **taken)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _parameter(each: Flagged) -> Parameter:
    """An option as typer reads it: numbers parted by commas, texts given one by one, all else one text or
    number; the settings check what is allowed.
    """
    choices = typing.get_args(each.kind) if typing.get_origin(each.kind) is typing.Literal else ()
    default = "" if each.default is None else str(each.default)
    if isinstance(each.default, bool):
        default = "on" if each.default else "off" if "/" in each.flag.name else ""
    elif isinstance(each.default, tuple):
        default = ", ".join(map(str, each.default))
    option = typer.Option(
        each.flag.name,
        *filter(None, (each.flag.short,)),
        help=_help(each),
        metavar=each.flag.metavar or "|".join(map(str, choices)) or None,
        show_default=default or False,
        rich_help_panel=each.panel or None,
    )
    kind: Any = each.kind if each.kind in (bool, int, float) else str
    if typing.get_origin(each.kind) is tuple and not _numbers(each.kind):
        kind = list[str]
    return Parameter(
        _name(each), Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _name(each: Flagged) -> str:
    """As typer calls an option: `--gpus-per-worker` is gpus_per_worker."""
    return each.flag.name.partition("/")[0].removeprefix("--").replace("-", "_")


def _numbers(kind: Any) -> Any:
    """The type of the numbers that a tuple holds; None for all else."""
    if typing.get_origin(kind) is not tuple:
        return None
    inner = typing.get_args(kind)[0]
    inner = typing.get_args(inner)[0] if typing.get_origin(inner) is Annotated else inner
    return None if inner is str else inner


def _help(each: Flagged) -> str:
    """The first sentence of a field's text, and the bounds of a number."""
    sentence = re.split(r"(?<=\.)\s+(?=[A-Z`])", each.text, maxsplit=1)[0]
    if each.bounds:
        sentence = f"{sentence.removesuffix('.')}; {each.bounds.removeprefix('of ')}."
    if typing.get_origin(each.kind) is tuple and typing.get_args(each.kind)[0] is str:
        sentence = f"{sentence.removesuffix('.')}; repeatable."
    return re.sub(r"`([^`]*)`", r"[cyan]\1[/cyan]", sentence)


def _group(annotation: Any) -> tuple[Flags, bool] | None:
    """What a parameter takes, and whether it wants settings rather than changes; None for a plain option."""
    kind, *rules = (
        typing.get_args(annotation) if typing.get_origin(annotation) is Annotated else (annotation,)
    )
    whole = isinstance(kind, type) and issubclass(kind, Settings)
    flags = next((each for each in rules if isinstance(each, Flags)), Flags(kind) if whole else None)
    return None if flags is None else (flags, whole)
