from dataclasses import replace

import numpy as np
import pytest

from segmint.toybox import gate
from segmint.toybox.gate import GateSettings, Report
from segmint.toybox.worlds import WORLDS

GOOD = Report(
    samples=1,
    presence=0.9,
    unnamed=0.1,
    presence_by_class={"boat": 0.9},
    oracle_miou=0.95,
    renders=1,
    class_auc=0.92,
    class_auc_by_class={"boat": 0.92},
    background_auc=0.85,
    steps=20,
    guidance=4.0,
)


def test_agreement_counts_words_and_pictures() -> None:
    specs = gate.plan_samples(GateSettings(samples=3))
    specs = [
        replace(spec, classes=classes)
        for spec, classes in zip(specs, [("balloon", "boat"), ("car",), ("fish",)], strict=True)
    ]
    found = np.zeros((3, 20, 20), np.uint8)
    found[0, :2, :2] = 1  # the balloon, on 1 % of the pixels; no boat
    found[1, :10] = 3  # the car
    found[1, 12:14, :2] = 8  # and a tree that nobody asked for
    found[2, 0, :3] = 4  # too little of a fish
    presence, unnamed, by_class = gate.agreement(WORLDS["toybox"], specs, found)
    assert presence == 0.5
    assert unnamed == pytest.approx(1 / 3)
    assert by_class == {"balloon": 1.0, "boat": 0.0, "car": 1.0, "fish": 0.0}


def test_a_report_names_what_misses_its_bound() -> None:
    assert GOOD.failures() == []
    assert GOOD.as_json()["passed"] is True
    bad = replace(GOOD, presence=0.89, unnamed=0.11)
    assert bad.failures() == ["presence", "unnamed"]
    assert bad.as_json()["passed"] is False


def test_the_yard_is_not_bound_by_where_attention_looks() -> None:
    poor = replace(GOOD, world="yard", presence=0.86, oracle_miou=0.5, class_auc=0.5, background_auc=0.5)
    assert poor.failures() == []
    assert replace(poor, presence=0.84).failures() == ["presence"]
    assert list(poor.as_json()["bounds"]) == ["presence", "unnamed"]


def test_planned_prompts_name_their_classes_in_plain_words() -> None:
    for spec in gate.plan_samples(GateSettings(samples=20)):
        assert set(spec.classes) == set(spec.prompt.replace(",", "").split()) & set(WORLDS["toybox"].classes)
