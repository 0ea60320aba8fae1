"""The slow reliability exam; `make exam` runs it. The table of faults is docs/reliability.md."""

import pytest

from kills import kill_exam, undisturbed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kills", "seed"), [(20, 7), (60, 8)])
def test_many_kills_change_nothing(tmp_path, kills, seed):
    whole = undisturbed(tmp_path / "whole", 40)
    exam = kill_exam(whole, tmp_path / "run", items=40, kills=kills, seed=seed)
    print(exam)
    assert exam.same
    assert exam.problems == 0
    assert exam.kills >= kills
