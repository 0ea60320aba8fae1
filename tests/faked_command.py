"""The command in a process of its own with the stand-in model behind it, which can be killed.

torch is never imported there, so that a process starts in a moment.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SCRIPT = """
import signal, sys, types
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it switched off
from segmint.backbone.fake import FakeBackbone
loading = types.ModuleType("segmint.backbone.loading")
loading.load = lambda settings, device: FakeBackbone(delay_s={delay_s})
sys.modules["segmint.backbone.loading"] = loading
from segmint.cli.main import run
run(sys.argv[1:])
"""


def start_command(words: Sequence[str], *, delay_s: float = 0.0) -> subprocess.Popen[str]:
    """`segmint WORDS…`, running."""
    script = SCRIPT.format(delay_s=delay_s)
    return subprocess.Popen([sys.executable, "-c", script, *words], stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> str:
    """What it said on stderr, once it has ended."""
    _, said = process.communicate(timeout=300)
    return said


def wait_for_items(run: Path, count: int) -> None:
    """Return once the run has so many whole items."""
    until = time.monotonic() + 300
    while time.monotonic() < until and len(list(run.glob("items/*.json"))) < count:
        time.sleep(0.02)
