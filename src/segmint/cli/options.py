"""Options that commands share, and how lists and `FIELD=VALUE` words are read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from pydantic import Field

from segmint.errors import ConfigError
from segmint.settings import Flag, Settings

if TYPE_CHECKING:
    from segmint.labels.relabelling import Relabelling
    from segmint.vocabulary import Vocabulary

WHAT = "What to draw"
ANY_FIELD = "Any field of a recipe, as masks.clusters.counts=[4,7,10]; repeatable."
Number = TypeVar("Number", int, float)

Out = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="RUN",
        help="Run folder, or URL (s3://, gs://): a new one, or one to go on with.",
        rich_help_panel="Output",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help='Classes, as "boat, tree"; a preset (voc, coco, toybox, yard); part of one, "voc: cat, dog"; '
        "or a file.",
        rich_help_panel=WHAT,
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE.toml",
        help="Settings from a file; flags go over them.",
        rich_help_panel=WHAT,
    ),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder; it may still be growing.")]
RunFolders = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="A run folder; several are taken as one.")
]
MaskSet = Annotated[str, typer.Option(metavar="NAME", help="Mask set; default: the original one.")]
Masks = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Mask set, or original; default: imported corrections, where there are some."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
TrainWorkers = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="Processes that read and augment; default: from the cores."),
]
WorldName = Annotated[
    Literal["toybox", "yard"],
    typer.Option("--world", help="Which world: the first, or the second, on which nothing is tuned."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only the result.")]


class JobOptions(Settings):
    """How hard a job is tried."""

    panel = "Running"

    retries: Annotated[int, Field(ge=0), Flag("--retries")] = 0
    """Further seeds for an item that fails."""
    wait: Annotated[bool, Flag("--wait")] = False
    """Wait while another process writes this run."""
    repair: Annotated[bool, Flag("--repair")] = False
    """Check every file first; make damaged items again."""


class NameOptions(Settings):
    """Classes under other names; the files stay as they are."""

    panel = "Names"

    rename: Annotated[str | None, Flag("--rename")] = None
    """Call classes otherwise: "cat=kitten, dog=puppy"."""
    merge_classes: Annotated[str | None, Flag("--merge-classes")] = None
    """Make one class of several: "cat, dog=pet; car, bus=vehicle"; it has the id of the first."""
    drop_classes: Annotated[str | None, Flag("--drop-classes")] = None
    """Leave classes out: "star, moon"; their pixels become background."""

    def change(self, vocabulary: "Vocabulary", *, known_only: bool = False) -> "Relabelling | None":
        """What becomes of a vocabulary; None where nothing is asked for."""
        from segmint.labels.relabelling import parse_relabelling

        return parse_relabelling(
            vocabulary,
            rename=self.rename,
            merge=self.merge_classes,
            drop=self.drop_classes,
            known_only=known_only,
        )


class ProgressOptions(Settings):
    """How a job tells what it does."""

    panel = "Running"

    quiet: Annotated[bool, Flag("--quiet", short="-q")] = False
    """Say nothing but errors and notes."""
    as_json: Annotated[bool, Flag("--json")] = False
    """One JSON object a line on stdout: start, item, note, end."""


def parse_settings(given: Sequence[str]) -> dict[str, Any]:
    """`FIELD=VALUE` words as dotted fields; a value is TOML, or else text.

    Raises:
        ConfigError: there is no `=`, or no field before it.
    """
    import tomllib

    found: dict[str, Any] = {}
    for word in given:
        field, equals, text = word.partition("=")
        if not equals or not field.strip():
            raise ConfigError(
                f"--set {word!r}: expected FIELD=VALUE, for example masks.clusters.counts=[4,7,10]"
            )
        try:
            found[field.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[field.strip()] = text.strip()
    return found


def split_list(text: str | None) -> list[str] | None:
    """`"boat, tree"` as its parts, in order, doubled ones too: places can mean ids. None stays None."""
    return None if text is None else [part for each in text.split(",") if (part := each.strip())]


def parts(text: str, option: str, known: Sequence[str] = ()) -> list[str]:
    """The parts of a list that may not be empty, each once.

    Args:
        text: what the user wrote.
        option: its name, for the message.
        known: the words that are allowed; empty allows any.

    Raises:
        ConfigError: there is no part, or one that is not known.
    """
    found = list(dict.fromkeys(split_list(text) or ()))
    if not found:
        raise ConfigError(f"{option} is empty; give one value or more, parted by commas")
    return [one_of(each, option, known) for each in found] if known else found


def one_of(text: str, option: str, known: Sequence[str]) -> str:
    """The word, where it is one of those.

    Raises:
        ConfigError: it is not.
    """
    if text not in known:
        raise ConfigError(f"{option} {text!r}; expected {', '.join(known)}")
    return text


def whole_numbers(text: str, option: str, *, least: int = 0) -> list[int]:
    """The parts of a list of whole numbers, each once.

    Raises:
        ConfigError: there is no part, or one that is no whole number of at least `least`.
    """
    found = numbers(text, option, int)
    if min(found) < least:
        raise ConfigError(f"{option} {text!r}; expected whole numbers of at least {least}")
    return found


def numbers(text: str, option: str, kind: Callable[[str], Number]) -> list[Number]:
    """The parts of a list of numbers, each once.

    Raises:
        ConfigError: there is no part, or one that is no number of that kind.
    """
    try:
        return [kind(each) for each in parts(text, option)]
    except ValueError:
        example = "whole numbers, for example 1,2,3" if kind is int else "numbers, for example 0.75,1,1.25"
        raise ConfigError(f"{option} {text!r}; expected {example}") from None
