"""`python -m lab.fuzz [--seconds 600] [--json]`: damaged files before every reader of foreign data.

Small valid inputs of each kind are mutated: bits, bytes, pieces and ends; in JSON also any value at any
place. A reader answers, or refuses with a `SegmintError` of one line. All else is a failure: another
exception, no answer within 5 s, a process that dies, or more than 1 GB of memory on top of what Python and
its libraries hold once they are imported. The work is done in a process of its own, which is watched, and
begun again where it hangs or dies.

Exit code 1 where anything failed. Inputs that failed are kept under `--keep`.
"""

import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lab.fuzz_inputs import Reader
from lab.fuzz_readers import readers
from segmint.errors import SegmintError

HANG_S = 5.0
"""An answer that takes longer is a hang."""
BEAT_S = 0.2
"""How often the working process says that it goes on."""
MEMORY_BYTES = 1 << 30
"""What the readers may take beyond what Python and its libraries hold once they are imported."""
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 255, 256, 10**6, 10**30, 1.5, 1e308, float("nan"), float("inf")),
    *(
        "",
        "0",
        "\0",
        "\ufeff",
        "a\nb",
        "../x",
        "/dev/zero",
        "x" * 5000,
        "\x1b[31m",
        "\u202e",
        [],
        {},
        [[]],
        [None],
    ),
)
"""Values that are put into JSON."""
PIECES: tuple[bytes, ...] = (
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\r\n", b"\r", b"\n\n", b"#", b":", b",", b'"', b"[", b"{", b"null"),
    *(
        b"NaN",
        b"-1",
        b"1e999",
        b"9" * 40,
        b"9" * 5000,
        b"[" * 3000,
        b"\\ud800",
        b"\xed\xa0\x80",
        b"../",
        b" " * 99,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for: which mutations, where inputs that fail are kept, which readers (none: all)."""

    seed: int = 0
    keep: Path
    names: Sequence[str] = ()


@dataclass(slots=True, kw_only=True)
class Failure:
    """One kind of failure: where it was, how often, and the first of its inputs."""

    reader: str
    what: str
    count: int = 1
    kept: str = ""


@dataclass(slots=True, kw_only=True)
class Exam:
    """What came of it."""

    seconds: float = 0.0
    executions: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)
    peak_bytes: int = 0

    @property
    def passed(self) -> bool:
        """No failure, and within memory."""
        return not self.failures and self.peak_bytes <= MEMORY_BYTES

    def fail(self, reader: str, what: str, data: bytes, keep: Path) -> None:
        """Count a failure, and keep the first input of its kind."""
        key = f"{reader}: {what}"
        if key in self.failures:
            self.failures[key].count += 1
            return
        keep.mkdir(parents=True, exist_ok=True)
        path = keep / f"{len(self.failures):03d}-{reader.replace(' ', '-')}"
        path.write_bytes(data)
        self.failures[key] = Failure(reader=reader, what=what, kept=str(path))


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """One to four changes of an input."""
    if data[:1] in (b"{", b"[") and rng.random() < 0.5:
        try:
            return json.dumps(_with_odd(json.loads(data), rng)).encode("utf-8", "surrogatepass")
        except ValueError:  # JSON by lines, or TOML
            pass
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, span = rng.randrange(len(found) + 1), rng.randint(1, 16)
        change = rng.randrange(6)
        if change == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            found[at:at] = rng.choice(PIECES)
        elif change == 2:
            del found[at : at + span]
        elif change == 3:
            found[at:at] = found[at : at + span] * rng.randint(1, 20)
        elif change == 4:
            del found[at:]
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            found[at : at + span] = other[start : start + span]
    return bytes(found)


def _with_odd(value: Any, rng: random.Random) -> Any:
    """The value with one place in it changed or taken away."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(ODD)
    key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    if rng.random() < 0.1:
        value.pop(key)
    else:
        value[key] = _with_odd(value[key], rng)
    return value


def examine(reader: Reader, data: bytes, exam: Exam, keep: Path) -> None:
    """One execution."""
    exam.executions[reader.name] += 1
    reader.file.write_bytes(data)
    try:
        reader.read()
    except SegmintError as error:
        exam.refused[reader.name] += 1
        if "\n" in str(error):
            exam.fail(reader.name, "a message of several lines", data, keep)
    except Exception as error:  # noqa: BLE001 - whatever else comes is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        exam.fail(
            reader.name, f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}", data, keep
        )


def work(seconds: float, order: Order, folder: Path, told: Connection) -> None:
    """Execute until the time is over; after each reader's turn say what came of it."""
    warnings.simplefilter("ignore")  # Pillow's, of damaged files
    ready = [each for each in readers(folder) if not order.names or each.name in order.names]
    _limit_memory()
    imported = _peak_bytes()
    rng, until = random.Random(order.seed), time.monotonic() + seconds
    while time.monotonic() < until:
        for reader in ready:
            exam, heard = Exam(), 0.0
            for _ in range(reader.turn):
                data = mutate(rng.choice(reader.seeds), reader.seeds, rng)
                if time.monotonic() - heard > BEAT_S:
                    told.send((reader.name, reader.file))
                    heard = time.monotonic()
                examine(reader, data, exam, order.keep / str(os.getpid()))
            exam.peak_bytes = _peak_bytes() - imported
            told.send(exam)
    told.close()  # to end takes a while, with all that is imported


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _limit_memory() -> None:
    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (held + MEMORY_BYTES, held + MEMORY_BYTES))


def run(seconds: float, order: Order) -> Exam:
    """The whole exam, in processes that are watched."""
    exam, begun = Exam(), time.monotonic()
    while (left := seconds - (time.monotonic() - begun)) > 0:
        with tempfile.TemporaryDirectory(dir=_memory_disk()) as folder:
            _watch(exam, left, order, Path(folder))
        order = replace(order, seed=order.seed + 1)
    exam.seconds = time.monotonic() - begun
    return exam


def _watch(exam: Exam, seconds: float, order: Order, folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(seconds, order, folder, theirs), daemon=True)
    process.start()
    theirs.close()
    current, file, patience = "", folder, 120.0  # the first word comes once everything is imported
    try:
        while ours.poll(patience):
            word = ours.recv()
            patience = HANG_S
            if isinstance(word, tuple):
                current, file = word
            else:
                _add(exam, word)
    except EOFError:
        process.join()
        if process.exitcode:
            exam.fail(current, f"the process ended with {process.exitcode}", _input(file), order.keep)
        return
    process.kill()
    process.join()
    exam.fail(current, f"no answer within {HANG_S:g} s", _input(file), order.keep)


def _input(file: Path) -> bytes:
    """What was read when it happened."""
    return file.read_bytes() if file.is_file() else b""


def _add(exam: Exam, part: Exam) -> None:
    exam.executions += part.executions
    exam.refused += part.refused
    exam.peak_bytes = max(exam.peak_bytes, part.peak_bytes)
    for key, each in part.failures.items():
        known = exam.failures.setdefault(key, each)
        known.count += each.count if known is not each else 0


def _memory_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def table(exam: Exam) -> Table:
    """A row a reader."""
    shown = Table("reader", "executions", "refused", "failures", title="Damaged files before every reader")
    failed: Mapping[str, int] = Counter(each.reader for each in exam.failures.values())
    for name, count in exam.executions.items():
        shown.add_row(name, f"{count:,}", f"{exam.refused[name] / count:.0%}", str(failed.get(name, 0)))
    total = sum(exam.executions.values())
    rate = total / max(exam.seconds, 1e-9)
    more = f"at most {exam.peak_bytes / 1e6:.0f} MB more than at the start"
    shown.caption = f"{total:,} executions, {rate:.0f} a second; {more}"
    return shown


def main(
    seconds: Annotated[float, typer.Option(help="How long.")] = 600.0,
    seed: Annotated[int, typer.Option(help="Which mutations.")] = 0,
    keep: Annotated[Path, typer.Option(help="Where inputs that fail are kept.")] = Path("fuzz-failures"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    reader: Annotated[list[str] | None, typer.Option(help="Only this reader; may be given again.")] = None,
) -> None:
    """Damaged files before every reader of foreign data."""
    exam = run(seconds, Order(seed=seed, keep=keep, names=tuple(reader or ())))
    if as_json:
        print(json.dumps({**asdict(exam), "passed": exam.passed}, indent=1))
    else:
        console = Console()
        console.print(table(exam))
        for each in exam.failures.values():
            console.print(f"{each.reader}: {each.what}, {each.count} ×, {each.kept}", markup=False)
    sys.exit(0 if exam.passed else 1)


if __name__ == "__main__":
    typer.run(main)
