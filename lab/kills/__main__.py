"""`python -m lab.kills [--only curate …] [--json]`: every command killed at each of its changes on the disk.

After each kill the same command, or what a person would do next, goes on; then every file is compared with
those of a place where nothing was killed, byte for byte, but for what a record says of times.
"""

import json
import sys
import tempfile
import time
import types
import warnings
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lab.kills.drivers import sit_driver
from lab.kills.exams import EXAMS, Result, sit

DRIVERS = ("spawned", "ray")


def import_all() -> None:
    """What the forks need, once; the stand-in model takes the place of a real one."""
    from importlib import import_module

    from segmint.backbone.fake import FakeBackbone

    loading: Any = types.ModuleType("segmint.backbone.loading")
    loading.load = lambda *_: FakeBackbone()
    sys.modules["segmint.backbone.loading"] = loading
    for name in ("matplotlib.figure", "scipy.ndimage", "torch", "torchvision", "segmint.cli.main"):
        import_module(name)


def table(results: list[Result]) -> Table:
    """A row an exam."""
    shown = Table("command", "kills", "failures", title="Killed at each change on the disk, and gone on with")
    for each in results:
        shown.add_row(each.name, str(each.kills), str(len(each.problems)))
    return shown


def main(
    only: Annotated[list[str] | None, typer.Option(help="Exams whose names begin so; repeatable.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Kills of each command, evenly over its changes.")] = 1000,
    drivers: Annotated[int, typer.Option(min=1, help="Kills of each driver.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Kill every command at each of its changes on the disk, go on, and compare the files."""
    warnings.simplefilter("ignore")
    import_all()
    results, begun = [], time.monotonic()
    sittings = {exam.name: partial(sit, exam, most=most) for exam in EXAMS}
    sittings |= {f"driver, {kind}": partial(sit_driver, kind, kills=min(most, drivers)) for kind in DRIVERS}
    for name, sitting in sittings.items():
        if not only or any(name.startswith(each) for each in only):
            with tempfile.TemporaryDirectory(prefix="segmint-kills-") as folder:
                results.append(sitting(Path(folder)))
            print(f"{name}: {results[-1].kills} kills", file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps([asdict(each) for each in results], indent=1))
    else:
        console = Console()
        console.print(table(results))
        console.print(f"{sum(each.kills for each in results)} kills in {time.monotonic() - begun:.0f} s")
        for each in results:
            for problem in each.problems:
                console.print(f"{each.name}: {problem}", markup=False)
    sys.exit(1 if any(each.problems for each in results) else 0)


if __name__ == "__main__":
    typer.run(main)
