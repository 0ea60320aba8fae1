import json

import pytest

from segmint.training.fit.log import LOG, TrainingLog, read_log

LINES = [{"iteration": 1, "loss": 0.5}, {"iteration": 2, "loss": 0.25}, {"iteration": 3, "loss": 0.125}]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"iteration": 2, "lo',
        b"\xff\xfe\x80",
        b"[1, 2]",
        b"7",
        b"{}",
        b'{"iteration": "2"}',
        b'{"iteration": true}',
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
def test_a_log_is_read_up_to_a_line_that_is_none(tmp_path, broken):
    first, *others = (json.dumps(line).encode() for line in LINES)
    (tmp_path / LOG).write_bytes(b"\n".join([first, broken, *others, b""]))
    assert read_log(tmp_path) == LINES[:1]
    with TrainingLog(tmp_path, iteration=3) as log:  # goes on after what can be read
        log.add(2, {"loss": 0.25})
    assert read_log(tmp_path) == LINES[:2]
