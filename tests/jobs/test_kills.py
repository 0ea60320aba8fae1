"""A run that is killed a few times ends up the same, byte for byte; more often in lab/test_reliability.py."""

from kills import kill_exam, undisturbed


def test_five_kills_change_nothing(tmp_path):
    whole = undisturbed(tmp_path / "whole", 9)
    exam = kill_exam(whole, tmp_path / "run", items=9, kills=5, seed=1)
    assert exam.same
    assert (exam.kills, exam.items, exam.problems) == (5, 9, 0)
