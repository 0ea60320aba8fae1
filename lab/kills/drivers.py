"""Drivers of several workers, killed at random moments while their workers go on."""

import random
import subprocess
import sys
import time
from pathlib import Path

from lab.kills.exams import Result, differs, whole_items

SCRIPT = Path(__file__).with_name("driver.py")
MOST_S = 180.0
"""A driver that has made nothing for so long has failed."""


def sit_driver(kind: str, folder: Path, *, kills: int, seed: int = 0) -> Result:
    """Kill a driver so often, each time after a few more items, and let the last one end.

    Args:
        kind: `ray` or `spawned`.
        folder: to work in.
        kills: how often.
        seed: of the moments.
    """
    luck, result = random.Random(seed), Result(name=f"driver, {kind}")
    whole, place = folder / "whole", folder / "place"
    for each in (whole, place):
        each.mkdir()
    _end(_start(kind, whole))
    while result.kills < kills:
        driver = _start(kind, place)
        _wait(driver, place, _items(place) + luck.choice((0, 1, 3)), luck.uniform(0, 0.5))
        if driver.poll() is not None:
            break  # all of it was made between two kills
        driver.kill()
        driver.wait()
        result.kills += 1
        problem = whole_items(place)
        if problem:
            result.problems.append(f"after kill {result.kills}: {problem}")
    _end(_start(kind, place))
    problem = differs(whole, place)
    if problem:
        result.problems.append(problem)
    return result


def _start(kind: str, place: Path) -> "subprocess.Popen[bytes]":
    words = [sys.executable, str(SCRIPT), kind, str(place / "run")]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _end(driver: "subprocess.Popen[bytes]") -> None:
    if driver.wait(timeout=2 * MOST_S):
        raise RuntimeError(f"a driver that nobody killed ended with {driver.returncode}")


def _wait(driver: "subprocess.Popen[bytes]", place: Path, items: int, more_s: float) -> None:
    until = time.monotonic() + MOST_S
    while driver.poll() is None and _items(place) <= items and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(more_s)


def _items(place: Path) -> int:
    return len(list(place.glob("run/items/*.json")))
