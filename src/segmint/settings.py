"""The base of every settings class: read, laid over, digested, written, and refused in one line.

A setting is stated once, as a field: its type and bounds, its default, what it means (the text under it) and,
where commands have an option for it, its `Flag`. Documentation, options and messages are made from that.
"""

import ast
import hashlib
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from segmint.errors import ConfigError
from segmint.textfile import parse_toml, read_text, shown

HUGE = 2**31
"""Bounds beyond this are those of the machine and not worth a reader's time."""
TOLD = 3
"""Most mistakes told at once."""
Kind = TypeVar("Kind", bound="Settings")
_PLAIN = {int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, slots=True)
class Flag:
    """The option that sets a field; its help is the first sentence of the text under the field."""

    name: str
    """As `--steps`; a switch with an opposite as `--flip/--no-flip`."""
    short: str = ""
    panel: str = ""
    """Heading of the help under which it stands, where that is not its class's."""
    metavar: str = ""
    """What to call its value; else that follows from the type."""


class Settings(BaseModel):
    """A frozen group of settings that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    panel: ClassVar[str] = ""
    """Heading of the help under which these settings' options stand."""

    @classmethod
    def parse(cls: type[Kind], data: Mapping[str, Any], *, source: str = "settings") -> Kind:
        """Settings from plain data.

        Args:
            data: sections and fields; what is missing takes its default.
            source: where they come from, for messages.

        Raises:
            ConfigError: an unknown field or a value out of range; names each field, as `sampling.steps`.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(f"{source}: {in_words(error, cls)}") from None

    @classmethod
    def load(cls: type[Kind], path: Path) -> Kind:
        """Settings from a TOML file.

        Raises:
            ConfigError: the file cannot be read, is not TOML, or holds an unknown or invalid field.
        """
        return cls.parse(read_toml(path), source=str(path))

    def merged(self: Kind, changes: Mapping[str, Any]) -> Kind:
        """These settings with dotted fields replaced, for example `{"sampling.steps": 20}`.

        Raises:
            ConfigError: a field is unknown or its value out of range.
        """
        return self.parse(with_changes(self.model_dump(mode="json"), changes))

    def digest(self, also: str = "") -> str:
        """SHA-256 (hex) of these settings' canonical JSON, and of what else decides the outcome."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{canonical}{also}".encode()).hexdigest()

    def to_toml(self) -> str:
        """The settings as TOML; fields that are None are left out, since TOML has no null."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))


def read_toml(path: Path) -> dict[str, Any]:
    """The plain data of a settings file, not yet validated.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    text, _ = read_text(path, what="settings", error=ConfigError)
    try:
        return parse_toml(text)
    except ValueError as problem:
        raise ConfigError(f"{path}: {problem}") from None


def with_changes(
    data: Mapping[str, Any], changes: Mapping[str, Any], *, source: str = "settings"
) -> dict[str, Any]:
    """A copy of plain data with dotted fields laid over it; sections that are missing are made.

    Raises:
        ConfigError: a field lies within a value.
    """
    copy: dict[str, Any] = json.loads(json.dumps(data, default=str))
    for dotted, value in changes.items():
        *sections, last = dotted.split(".")
        target = copy
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{source}: {section!r} in {dotted!r} is a value, not a section")
        target[last] = value
    return copy


def in_words(error: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong with each field, on one line: what was expected and what found."""
    issues = error.errors(include_url=False)
    return "; ".join(_issue_in_words(each, model) for each in issues[:TOLD])


def values_of(
    kind: Any, rules: Sequence[Any] = (), *, mark: Callable[[str], str] = str, spelled_out: bool = False
) -> str:
    """A type and its bounds, in words: "a whole number from 1 to 1000".

    Args:
        kind: an annotation; what stands beside None is described alone.
        rules: a field's metadata.
        mark: how literal values are written.
        spelled_out: for a table, say what each of its fields holds.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return values_of(inner[0], [*_flat(inner[1:]), *rules], mark=mark, spelled_out=spelled_out)
    if origin is typing.Literal:
        return _or([mark(str(each)) for each in inner])
    if origin in (typing.Union, types.UnionType):
        parts = (each for each in inner if each is not type(None))
        return " or ".join(values_of(each, rules, mark=mark, spelled_out=spelled_out) for each in parts)
    if origin is tuple:
        least = next((rule.min_length for rule in rules if hasattr(rule, "min_length")), 0)
        number = (
            f" of {len(inner)}" if inner[-1] is not Ellipsis else f" of at least {least}" if least else ""
        )
        return f"a list{number}, each: {values_of(inner[0], mark=mark, spelled_out=spelled_out)}"
    if kind in _PLAIN:
        return _PLAIN[kind] + _bounds(rules)
    return (
        _or([mark("true"), mark("false")]) if kind is bool else f"a table{_contents(kind, mark, spelled_out)}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flagged:
    """A field that has an option, with all that the option is made of."""

    field: str
    """Dotted."""
    flag: Flag
    panel: str
    kind: Any
    """The annotation without None and without bounds."""
    bounds: str
    """Of a number, in words; else ""."""
    text: str
    """As `meaning` has it."""
    default: Any


def flagged(model: type[Settings], prefix: str = "") -> list[Flagged]:
    """Every field that has a flag, section by section; `prefix` stands before the dotted names."""
    found: list[Flagged] = []
    for name, field in model.model_fields.items():
        annotation: Any = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Settings):
            found += flagged(annotation, f"{prefix}{name}.")
        for flag in field.metadata:
            if isinstance(flag, Flag):
                kind, rules = annotation, field.metadata
                if optional(kind):
                    kind = next(each for each in typing.get_args(kind) if each is not type(None))
                if typing.get_origin(kind) is typing.Annotated:
                    kind, *inner = typing.get_args(kind)
                    rules = [*_flat(inner), *rules]
                found.append(
                    Flagged(
                        field=prefix + name,
                        flag=flag,
                        panel=flag.panel or model.panel,
                        kind=kind,
                        bounds=_bounds(rules).strip() if kind in (int, float) else "",
                        text=meaning(model, name),
                        default=field.get_default(call_default_factory=True),
                    )
                )
    return found


def optional(kind: Any) -> bool:
    """Whether None is among the values of an annotation."""
    return type(None) in typing.get_args(kind)


def meaning(model: type[BaseModel], field: str) -> str:
    """The text under a field, on one line; "" where there is none.

    It is read when somebody asks: pydantic's own reading would slow down every start of a command.
    """
    for each in model.__mro__:
        if field in inspect.get_annotations(each):
            return _texts(each.__module__).get((each.__name__, field), "")
    return ""


@cache
def _texts(module: str) -> dict[tuple[str, str], str]:
    """By class and field, the texts under the fields of every class of a module."""
    found = {}
    for each in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(each, ast.ClassDef):
            for field, text in zip(each.body, each.body[1:], strict=False):
                match field, text:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(said))),
                    ):
                        found[each.name, name] = " ".join(said.split())
    return found


def _issue_in_words(issue: Any, model: type[BaseModel]) -> str:
    *above, last = issue["loc"] or ("",)
    dotted, found = ".".join(map(str, issue["loc"])), issue["input"]
    if issue["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return _unknown(model, above, str(last), found)
    if issue["type"] == "value_error":
        shown_too = "" if isinstance(found, Mapping) else f", found {shown(found)}"
        return f"{dotted}: {issue['ctx']['error']}{shown_too}" if dotted else str(issue["ctx"]["error"])
    kind, rules = _at(model, issue["loc"])
    wanted = "another kind of value" if kind is None else values_of(kind, rules)
    if issue["type"] == "missing":
        return f"{dotted} is missing; expected {wanted}"
    return f"{dotted}: expected {wanted}, found {shown(found)}" if dotted else f"expected {wanted}"


def _unknown(model: type[BaseModel], above: Sequence[Any], name: str, found: Any) -> str:
    """An unknown field with the known one that comes closest: of its section, else of another."""
    section, _ = _at(model, above)
    prefix = "".join(f"{part}." for part in above)
    known = list(_fields(section))
    near = get_close_matches(name, known, n=1) or [
        dotted for dotted in _dotted(model) if dotted.rpartition(".")[2] == name
    ]
    inner = next(iter(found)) if isinstance(found, Mapping) and found and not near else ""
    told = f"{prefix}{name}{f'.{inner}' if inner else ''}"
    if not near:
        return f"unknown setting {shown(told)}; known there are {', '.join(known)}"
    return f"unknown setting {shown(told)}, did you mean {near[0] if '.' in near[0] else prefix + near[0]}?"


def _dotted(kind: Any, prefix: str = "") -> Iterator[str]:
    for name, (inner, _) in _fields(kind).items():
        yield prefix + name
        if _is_table(inner):
            yield from _dotted(inner, f"{prefix}{name}.")


def _at(kind: Any, place: Iterable[Any]) -> tuple[Any, Sequence[Any]]:
    """Annotation and rules of what lies at a place within a model; None where nothing is known of it."""
    rules: Sequence[Any] = ()
    for part in place:
        kind = (
            next((each for each in typing.get_args(kind) if each is not type(None)), kind)
            if (typing.get_origin(kind) in (typing.Union, types.UnionType, typing.Annotated))
            else kind
        )
        if isinstance(part, int) and typing.get_origin(kind) is tuple:
            inner = typing.get_args(kind)
            kind, rules = inner[0 if inner[-1] is Ellipsis else part], ()
        else:
            kind, rules = _fields(kind).get(str(part), (None, ()))
    return kind, rules


def _fields(kind: Any) -> dict[str, tuple[Any, Sequence[Any]]]:
    """Annotation and rules of each field of a model or dataclass; nothing for other types."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: (field.annotation, field.metadata) for name, field in kind.model_fields.items()}
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {name: (hint, ()) for name, hint in hints.items()}
    return {}


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or is_dataclass(kind))


def _contents(kind: Any, mark: Callable[[str], str], spelled_out: bool) -> str:
    known = _fields(kind)
    if not spelled_out:
        return f" of {', '.join(map(mark, known))}" if known else ""
    parts = (f"{mark(name)} ({values_of(*known[name], mark=mark, spelled_out=True)})" for name in known)
    return f" of {', '.join(parts)}"


def _flat(rules: Iterable[Any]) -> Iterator[Any]:
    for rule in rules:
        yield from getattr(rule, "metadata", None) or (rule,)


def _bounds(rules: Sequence[Any]) -> str:
    found = {
        name: getattr(rule, name)
        for rule in rules
        for name in ("ge", "gt", "le", "lt")
        if getattr(rule, name, None) is not None
    }
    low, high = found.get("ge"), found.get("le")
    if low is not None and high is not None and high < HUGE:
        return f" from {low:.12g} to {high:.12g}"
    words = {"ge": "of at least", "gt": "above", "le": "up to", "lt": "below"}
    told = [f"{words[name]} {value:.12g}" for name, value in found.items() if abs(value) < HUGE]
    return f" {' and '.join(told)}" if told else ""


def _or(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_without_none(each) for each in value]
    return value
