"""The sums behind the page on scaling, and the doctor's footprints, which rest on the same measurements."""

import json
from pathlib import Path

import pytest
import scaling

from segmint.jobs.machine import FOOTPRINTS

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_costs_follow_from_their_parts():
    measured = scaling.read_measured()
    once = scaling.costs(measured, scaling.Assumptions())
    twice = scaling.costs(measured, scaling.Assumptions(gpu_utilisation=0.7))
    assert twice.gpu_hours == pytest.approx(once.gpu_hours / 2)
    assert once.mask_core_hours == twice.mask_core_hours
    half = scaling.costs(measured, scaling.Assumptions(items=500_000))
    assert half.storage_gb == pytest.approx(once.storage_gb / 2)


@pytest.mark.parametrize(
    ("family", "model", "decoded"), [("sd2", "SD 2.1-base", 1), ("sdxl", "SDXL base", 2)]
)
def test_the_doctors_footprints_are_the_measured_ones(family, model, decoded):
    rows = json.loads((RESULTS / "memory.json").read_text())["called"]
    row = next(each for each in rows if each["model"] == model)
    values = (decoded * row["decode_mb"] / row["batch"] + row["held_mb_an_image"]) * 1e6 / 2
    assert FOOTPRINTS[family].parameters == pytest.approx(row["parameters"], rel=0.01)
    assert FOOTPRINTS[family].values_an_image == pytest.approx(values, rel=0.05)
