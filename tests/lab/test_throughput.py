"""How fast engines mint: a stand-in at work, and machines that are only simulated."""

import json

import pytest

from lab.simulator import Item, pool_rate, simulate
from lab.throughput import app
from segmint.cli.main import run


def test_engines_at_work_are_told_as_rows(capsys):
    words = ["--shape", "toybox", "--images", "4", "--drawing-s", "0.2", "--engines", "local", "--json"]
    with pytest.raises(SystemExit) as ended:
        run([*words, "--simulate"], commands=app)
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert [(row["engine"], row["mask_workers"]) for row in found["rows"]] == [("local", 1), ("local", 2)]
    for row in found["rows"]:
        assert 0 < row["images_per_s"] <= 1 / 0.2 * 1.1
        assert row["waiting"] <= 0.05 or not row["enough_mask_workers"]
    assert {each["gpus"] for each in found["simulated"]} == {1, 2, 4, 8}


def test_drawing_sets_the_pace_where_masks_are_cheap_and_masks_where_they_are_dear():
    fast = simulate(Item(drawing_s=0.5, mask_s=0.1), gpus=2, cores=8)
    assert fast.images_per_s == pytest.approx(2 / 0.5, rel=0.02)
    assert fast.waiting == 0
    slow = simulate(Item(drawing_s=0.1, mask_s=0.4), gpus=1, cores=8, mask_workers=2)
    assert slow.images_per_s == pytest.approx(2 / 0.4, rel=0.03)
    assert slow.waiting == pytest.approx(0.5, abs=0.03)


def test_cores_bound_what_workers_can_do():
    item = Item(drawing_s=0.05, mask_s=0.3)
    assert simulate(item, gpus=1, cores=5, mask_workers=16).images_per_s <= 4 / 0.3 * 1.01
    rates = [simulate(item, gpus=1, cores=cores).images_per_s for cores in (2, 4, 8)]
    assert rates == sorted(rates)


def test_a_lock_that_is_seldom_held_costs_little_and_one_that_is_often_held_caps():
    assert pool_rate(Item(drawing_s=1.0, mask_s=0.3, locked=0.02), 16) >= 0.85 * 16 / 0.3
    assert pool_rate(Item(drawing_s=1.0, mask_s=0.3, locked=0.18), 16) <= 1 / (0.18 * 0.3)
    assert pool_rate(Item(drawing_s=1.0, mask_s=0.3), 1) == pytest.approx(1 / 0.3)
