"""The fuzz exam: its readers take their own seeds, what is broken is found, and a short run passes."""

import json
import random
import time
from pathlib import Path

import pytest

from lab import fuzz
from lab.fuzz import Exam, Order, examine, mutate, run
from lab.fuzz_inputs import Reader
from lab.fuzz_readers import readers
from segmint.errors import DatasetError


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_every_reader_takes_its_own_seeds(tmp_path: Path) -> None:
    lenient = {"dataset address"}  # its seeds name places that are not there
    for reader in readers(tmp_path):
        if reader.name in lenient:
            continue
        for seed in reader.seeds:
            reader.file.write_bytes(seed)
            reader.read()


def test_mutations_follow_from_the_seed_alone() -> None:
    seeds = (b'{"a": [1, 2]}', b"plain text")
    one, two = (
        [mutate(each, seeds, random.Random(3)) for each in seeds for _ in range(20)] for _ in range(2)
    )
    assert one == two
    assert len(set(one)) > 1


@pytest.mark.parametrize(
    ("error", "failures", "refused"),
    [
        (None, 0, 0),
        (DatasetError("no"), 0, 1),
        (DatasetError("no\nand no"), 1, 1),
        (KeyError("x"), 1, 0),
        (RecursionError(), 1, 0),
    ],
)
def test_what_counts_as_a_failure(
    tmp_path: Path, error: Exception | None, failures: int, refused: int
) -> None:
    def read() -> None:
        if error:
            raise error

    exam = Exam()
    reader = Reader(name="one", file=tmp_path / "one", seeds=(b"a",), read=read)
    for _ in range(2):
        examine(reader, b"a", exam, tmp_path / "keep")
    assert len(exam.failures) == failures
    assert exam.refused["one"] == 2 * refused
    assert all(each.count == 2 and Path(each.kept).read_bytes() == b"a" for each in exam.failures.values())


def test_a_short_exam_of_every_reader_passes(tmp_path: Path) -> None:
    begun = time.monotonic()
    exam = run(4.0, Order(keep=tmp_path / "keep"))
    assert exam.failures == {}
    assert exam.passed
    assert sum(exam.executions.values()) > 0
    assert time.monotonic() - begun < 120
    assert json.dumps({"executions": exam.executions})
    assert fuzz.table(exam).row_count == len(exam.executions)
