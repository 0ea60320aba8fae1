"""The tutorial runs as it stands: to the training with the stand-in model, wholly with the toybox."""

import re

import pytest

from lab.tutorial import MOST_PX, PAGE, PICTURES, follow, steps
from segmint.backbone import loading
from segmint.backbone.fake import FakeBackbone
from segmint.runs.store import open_run


def test_fewer_and_quicker_are_the_page_s_own_commands():
    page = "```bash\nsegmint generate --count 200 --steps 20\n```\n```sh\nno\n```\n```python\nx = 1\n```\n"
    assert list(steps(page, 1.0, quick=False)) == [
        ("bash", "segmint generate --count 200 --steps 20"),
        ("python", "x = 1\n"),
    ]
    assert next(steps(page, 0.1, quick=True))[1] == "segmint generate --count 20 --steps 2"


def test_the_pictures_are_there_and_small():
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\(images/(.*?)\)", page)) == set(PICTURES.values())
    for name in PICTURES.values():
        assert (PAGE.parent / "images" / name).stat().st_size < 150 * MOST_PX[0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_the_day_up_to_the_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "load", lambda settings, device: FakeBackbone())
    follow(0.02, quick=True, until="segmint train")
    assert len(open_run(tmp_path / "both").done_ids()) == 16
    assert (tmp_path / "both/masks/corrected").is_dir()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
def test_the_whole_day(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    follow(0.02, quick=True)
    assert len(open_run(tmp_path / "harbour").done_ids()) == 16
