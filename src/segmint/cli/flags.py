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
from dataclasses import dataclass, replace
from inspect import Parameter
from typing import Annotated, Any, TypeVar

import typer

from segmint.cli.options import numbers, parse_settings
from segmint.settings import Flag, Settings, meaning, optional, values_of

Changes = dict[str, Any]
"""Dotted fields and the values that the user gave them."""
Result = TypeVar("Result")
_BOUNDED = (int, float)


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
        found = (
            [each for each in _options(model) if _within(each.field, (place,))] for place in only or ("",)
        )
        chosen = [each for part in found for each in part if each.field not in without]
        self._options = [each if notes else replace(each, default="") for each in chosen]

    def parameters(self) -> Iterator[Parameter]:
        """The options, as typer reads them from a signature."""
        for each in self._options:
            yield each.parameter()
        if self._rest:
            option = typer.Option(
                "--set", metavar="FIELD=VALUE", help=self._rest, rich_help_panel=_last_panel(self._options)
            )
            kind = Annotated[list[str] | None, option]
            yield Parameter("set_", Parameter.KEYWORD_ONLY, default=None, annotation=kind)

    def take(self, given: dict[str, Any]) -> Changes:
        """Take the options' values out of what a command was called with, as dotted fields.

        Raises:
            ConfigError: a list or a `--set` cannot be read.
        """
        changes = {each.field: each.value(given.pop(each.name)) for each in self._options}
        words = given.pop("set_", None) if self._rest else None
        return {field: value for field, value in changes.items() if value is not None} | parse_settings(
            words or []
        )

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    """One field's option."""

    field: str
    """Dotted."""
    flag: Flag
    panel: str
    kind: Any
    help: str
    default: str

    @property
    def name(self) -> str:
        """As typer calls it: `--gpus-per-worker` is gpus_per_worker."""
        return self.flag.name.partition("/")[0].removeprefix("--").replace("-", "_")

    def parameter(self) -> Parameter:
        option = typer.Option(
            self.flag.name,
            *filter(None, (self.flag.short,)),
            help=self.help,
            metavar=self.flag.metavar or self._metavar(),
            show_default=self.default or False,
            rich_help_panel=self.panel or None,
        )
        kind = Annotated[self._read_as() | None, option]  # type: ignore[valid-type]
        return Parameter(self.name, Parameter.KEYWORD_ONLY, default=None, annotation=kind)

    def value(self, given: Any) -> Any:
        """What the field is to hold; None where the option was not given."""
        if given is None or given == []:
            return None
        return numbers(given, self.flag.name, _number(self.kind)) if self._numbers() else given

    def _numbers(self) -> bool:
        return typing.get_origin(self.kind) is tuple and typing.get_args(self.kind)[0] is not str

    def _read_as(self) -> Any:
        """Numbers are parted by commas, texts given one by one; the settings check what is allowed."""
        if typing.get_origin(self.kind) is tuple and not self._numbers():
            return list[str]
        return self.kind if self.kind in (bool, int, float) else str

    def _metavar(self) -> str | None:
        choices = typing.get_args(self.kind) if typing.get_origin(self.kind) is typing.Literal else ()
        return "|".join(map(str, choices)) or None


def _options(model: type[Settings], prefix: str = "") -> Iterator[_Option]:
    """Every field that has a flag, section by section."""
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, Settings):
            yield from _options(kind, f"{prefix}{name}.")
        for flag in field.metadata:
            if isinstance(flag, Flag):
                plain, rules = _without_none(kind, field.metadata)
                yield _Option(
                    field=prefix + name,
                    flag=flag,
                    panel=flag.panel or model.panel,
                    kind=plain,
                    help=_help(meaning(model, name), plain, rules),
                    default=_default(field.get_default(call_default_factory=True), flag),
                )


def _help(description: str, kind: Any, rules: list[Any]) -> str:
    """The first sentence of a field's text, and the bounds of a number."""
    sentence = re.split(r"(?<=\.)\s+(?=[A-Z`])", description, maxsplit=1)[0]
    if kind in _BOUNDED and (bounds := values_of(kind, rules).partition("number ")[2]):
        sentence = f"{sentence.removesuffix('.')}; {bounds.removeprefix('of ')}."
    if typing.get_origin(kind) is tuple and typing.get_args(kind)[0] is str:
        sentence = f"{sentence.removesuffix('.')}; repeatable."
    return re.sub(r"`([^`]*)`", r"[cyan]\1[/cyan]", sentence)


def _default(value: Any, flag: Flag) -> str:
    if isinstance(value, bool):
        return "on" if value else "off" if "/" in flag.name else ""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _without_none(kind: Any, rules: list[Any]) -> tuple[Any, list[Any]]:
    """An annotation without None and without bounds of its own, which go to the rules."""
    if optional(kind):
        kind = next(each for each in typing.get_args(kind) if each is not type(None))
    if typing.get_origin(kind) is Annotated:
        kind, *inner = typing.get_args(kind)
        rules = [*(rule for each in inner for rule in getattr(each, "metadata", [each])), *rules]
    return kind, rules


def _number(kind: Any) -> Any:
    inner = typing.get_args(kind)[0]
    return typing.get_args(inner)[0] if typing.get_origin(inner) is Annotated else inner


def _group(annotation: Any) -> tuple[Flags, bool] | None:
    """What a parameter takes, and whether it wants settings rather than changes; None for a plain option."""
    kind, *rules = (
        typing.get_args(annotation) if typing.get_origin(annotation) is Annotated else (annotation,)
    )
    whole = isinstance(kind, type) and issubclass(kind, Settings)
    flags = next((each for each in rules if isinstance(each, Flags)), Flags(kind) if whole else None)
    return None if flags is None else (flags, whole)


def _within(field: str, places: tuple[str, ...]) -> bool:
    return any(not place or field == place or field.startswith(f"{place}.") for place in places)


def _last_panel(options: list[_Option]) -> str | None:
    return options[-1].panel or None if options else None
