import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab import calibration
from lab.calibration import Reliability, draw, of_photos
from segmint.backbone.fake import FakeBackbone
from segmint.benchmark.sets import Bench
from segmint.recipe import Recipe
from segmint.toybox.worlds import WORLDS


def test_agreement_that_is_honest_has_no_error() -> None:
    found = Reliability()
    found.add(np.full((4, 5), 0.75), np.arange(20).reshape(4, 5) < 15)
    assert found.error == pytest.approx(0)
    assert found.curve() == [{"agreement": 0.75, "right": 0.75, "share": 1.0}]


def test_the_error_is_a_mean_over_pixels() -> None:
    """Three pixels say 1.0 and one of them is wrong; one says 0.55 and is right."""
    found = Reliability()
    found.add(np.array([[1.0, 1.0, 1.0, 0.55]]), np.array([[True, True, False, True]]))
    assert found.error == pytest.approx((1 + 0.45) / 4)
    assert [each["share"] for each in found.curve()] == [0.25, 0.75]


def test_photographs_are_counted_by_damage_and_without_void(tmp_path: Path) -> None:
    for folder, pixels in (("JPEGImages", (64, 64, 3)), ("SegmentationClass", (64, 64))):
        (tmp_path / folder).mkdir()
        picture = np.zeros(pixels, np.uint8)
        picture[16:48, 16:48] = 200 if len(pixels) == 3 else 1
        if len(pixels) == 2:
            picture[:8] = 255
        name = "a.jpg" if len(pixels) == 3 else "a.png"
        Image.fromarray(picture).save(tmp_path / folder / name)
    found = of_photos(tmp_path, part="all", count=None)
    assert list(found) == ["light", "middle", "heavy"]
    assert {each.count.sum() for each in found.values()} == {64 * 56}
    assert 0 <= found["light"].error <= 1


def test_the_command_draws_and_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(
        world=WORLDS["toybox"], split="val", backbone=FakeBackbone(), recipe=Recipe(), methods=["segmint"]
    )
    monkeypatch.setattr(calibration, "toybox_bench", lambda: bench)
    words = [
        "--out",
        str(tmp_path / "new" / "r.png"),
        "--cases",
        "exact, grey",
        "--seeds",
        "3",
        "--count",
        "1",
    ]
    calibration.app([*words, "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert list(told["renders"]) == ["exact", "grey"]
    assert sum(each["share"] for each in told["renders"]["exact"]["bins"]) == pytest.approx(1)
    with Image.open(tmp_path / "new" / "r.png") as picture:
        assert picture.width > 200


def test_a_diagram_is_small(tmp_path: Path) -> None:
    found = Reliability()
    found.add(np.linspace(0, 1, 100)[None], np.ones((1, 100), bool))
    draw({"renders": {"exact": found}, "photographs": {"light": found, "heavy": found}}, tmp_path / "r.png")
    assert (tmp_path / "r.png").stat().st_size < 60_000
