"""`python -m lab.passes`: what one prompt passes on its way from the command line to the mask on disk.

Counted by a profiler's hook, in every thread:

- functions: distinct functions and methods of segmint that are called (no comprehensions, no bodies of
  classes or modules, nothing that dataclasses generate);
- files: the modules that they stand in;
- room changes: calls that come, over whatever library lies between, from a function of another room. A room
  is a folder of `segmint`, or a module beside the folders; those into what all rooms stand on (`GROUND`) are
  also told apart;
- checks: calls of a backbone's `check`;
- tokenised: how often segmint gave the tokenizer each text. A pipeline of diffusers gives it each text that
  it encodes twice more, padded and, to warn of what it cuts off, whole.

At a700206 the road from the command line counts 300 functions, 57 files and 93 room changes, `segmint.mint`
in memory 111, 22 and 16. What other issues brought since lies on the road too (`by_issue`): parts held
against one another, mask workers beside the drawing, a mean field, a folder that may be a stranger's.
docs/decisions/0010 has the phases.
"""

import inspect
import json
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import segmint
from lab.size import brought_by

ROOT = str(Path(str(segmint.__file__)).parent) + os.sep
COMMAND = "generate --model toybox --classes boat --count 1 --steps 2 --quiet --device cpu --out run"
SHOWN = 12
GROUND = (
    "artifacts",
    "atomic",
    "attention",
    "devices",
    "labels",
    "limits",
    "listening",
    "settings",
    "specs",
    "textfile",
    "vocabulary",
)
"""Rooms that know no other."""


@dataclass(slots=True, kw_only=True)
class Passes:
    """What one road came to."""

    road: str
    functions: dict[str, int] = field(default_factory=dict)
    """Calls of each `room/file.py:name`."""
    changes: dict[str, int] = field(default_factory=dict)
    """Calls from room to room, by `caller > called`, both named as above."""
    lines: dict[str, int] = field(default_factory=dict)
    """The line that each function begins at."""
    tokenised: dict[str, int] = field(default_factory=dict)
    """How often each text was."""

    @property
    def files(self) -> set[str]:
        """The files that the functions stand in."""
        return {name.partition(":")[0] for name in self.functions}

    @property
    def checks(self) -> int:
        """How often the prompt was checked."""
        return sum(calls for name, calls in self.functions.items() if name.endswith("Backbone.check"))

    def figures(self) -> dict[str, int]:
        """The counts of the module's docstring."""
        return {
            "functions": len(self.functions),
            "files": len(self.files),
            "room changes": sum(self.changes.values()),
            "of them to the ground": sum(
                calls for change, calls in self.changes.items() if room(change.split(" > ")[1]) in GROUND
            ),
            "checks": self.checks,
            "tokenised most often": max(self.tokenised.values(), default=0),
        }


def room(name: str) -> str:
    """The room of `room/file.py:function` or of `file.py:function`."""
    return name.partition(":")[0].removesuffix(".py").split("/")[0]


def count(road: str, walk: Callable[[], Any]) -> Passes:
    """Do something and count what it passes."""
    functions: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    lines: dict[str, int] = {}

    def called(frame: FrameType, event: str, _: Any) -> None:
        name = _name(frame.f_code) if event == "call" else None
        if name is None:
            return
        functions[name] += 1
        lines[name] = frame.f_code.co_firstlineno
        caller = _caller(frame)
        if caller is not None and room(caller) != room(name):
            changes[f"{caller} > {name}"] += 1

    with _tokenised() as texts:
        threading.setprofile(called)
        sys.setprofile(called)
        try:
            walk()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    return Passes(
        road=road, functions=dict(functions), changes=dict(changes), lines=lines, tokenised=dict(texts)
    )


def by_issue(passes: Passes) -> Counter[str]:
    """How many of the functions each issue brought, by the commit of their first lines; see `lab.size`."""
    lines = {name: brought_by(Path(ROOT) / name) for name in passes.files}
    return Counter(lines[name.partition(":")[0]][at - 1] for name, at in passes.lines.items())


def _name(code: CodeType) -> str | None:
    """`room/file.py:Class.method`; None for what is no function of segmint."""
    function = code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith("<")
    if not function or not code.co_filename.startswith(ROOT):
        return None
    return f"{code.co_filename.removeprefix(ROOT).replace(os.sep, '/')}:{code.co_qualname}"


def _caller(frame: FrameType) -> str | None:
    """The nearest frame of segmint below this one."""
    below = frame.f_back
    while below is not None and not below.f_code.co_filename.startswith(ROOT):
        below = below.f_back
    if below is None:
        return None
    code = below.f_code
    return f"{code.co_filename.removeprefix(ROOT).replace(os.sep, '/')}:{code.co_qualname}"


@contextmanager
def _tokenised() -> Iterator[Counter[str]]:
    """Texts that tokenizers are given meanwhile, but by diffusers."""
    from transformers import PreTrainedTokenizerBase

    texts: Counter[str] = Counter()
    given = PreTrainedTokenizerBase.__call__

    def call(self: Any, text: Any = None, *words: Any, **options: Any) -> Any:
        if "diffusers" not in sys._getframe(1).f_globals["__name__"]:
            texts.update([text] if isinstance(text, str) else text or ())
        return given(self, text, *words, **options)

    PreTrainedTokenizerBase.__call__ = call
    try:
        yield texts
    finally:
        PreTrainedTokenizerBase.__call__ = given


def count_roads() -> tuple[Passes, Passes]:
    """One prompt by the command line, to the mask on disk; one by `segmint.mint`, in memory."""
    from segmint.cli.main import run

    def command() -> None:
        try:
            run(COMMAND.split())
        except SystemExit as ended:
            if ended.code:
                raise RuntimeError(f"segmint {COMMAND} ended with {ended.code}") from None

    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            disk = count("command line to disk", command)
        finally:
            os.chdir(here)
    model = segmint.load("toybox", device="cpu")
    settings = {"sampling.steps": 2}
    memory = count(
        "segmint.mint in memory", lambda: segmint.mint(model, "a boat", ["boat"], settings=settings)
    )
    return disk, memory


def main(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="All that was counted, as JSON.")] = False,
    room_name: Annotated[str, typer.Option("--room", help="List the functions of this room.")] = "",
) -> None:
    """Count the functions, files and rooms that one prompt passes."""
    roads = count_roads()
    if as_json:
        print(json.dumps([asdict(each) | {"figures": each.figures()} for each in roads], indent=1))
        return
    console = Console()
    table = Table("road", *roads[0].figures())
    for each in roads:
        table.add_row(each.road, *map(str, each.figures().values()))
    console.print(table)
    disk = roads[0]
    by_room = Counter(room(name) for name in disk.functions)
    console.print("functions:", ", ".join(f"{name} {number}" for name, number in by_room.most_common()))
    issues = by_issue(disk).most_common()
    console.print("brought by:", ", ".join(f"{name} {number}" for name, number in issues))
    for change, calls in Counter(disk.changes).most_common(SHOWN):
        console.print(f"{calls:4} × {change}", highlight=False)
    for name in sorted(each for each in disk.functions if room(each) == room_name):
        console.print(f"{disk.functions[name]:4} × {name}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
