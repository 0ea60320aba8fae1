"""The exam of steps from grid to pixels, on photographs made here."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab import damage, refinement

REPOSITORY = Path(__file__).parents[2]


def photo(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A disc on a ground, in noisy colours, with void along the border."""
    rng = np.random.default_rng(number)
    row, col = np.mgrid[0:96, 0:128]
    distance = np.hypot(row - 48, col - rng.uniform(48, 80))
    mask = np.where(distance < 26, 3, 2).astype(np.uint8)
    colours = np.array([(0, 0, 0), (0, 0, 0), (60, 120, 60), (200, 90, 60)])[mask]
    image = np.clip(colours + rng.normal(0, 8, colours.shape), 0, 255).astype(np.uint8)
    return image, np.where(np.abs(distance - 26) < 2, 255, mask).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in ("JPEGImages", "SegmentationClass"):
        (tmp_path / place).mkdir()
    for number in range(3):
        image, mask = photo(number)
        Image.fromarray(image).save(tmp_path / "JPEGImages" / f"p{number}.jpg", quality=92)
        Image.fromarray(mask).save(tmp_path / "SegmentationClass" / f"p{number}.png")
    return tmp_path


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lab.refinement", *words],
        cwd=REPOSITORY,
        env={"PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_gives_every_figure_of_every_method(folder: Path) -> None:
    done = command("--photos", str(folder), "--json", "--count", "2", "-q")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == set(refinement.METHODS)
    for row in found.values():
        assert all(0 <= row[name] <= 100 for name in damage.DAMAGES)
        assert set(row["border"]) == set(row["specks"]) == set(damage.DAMAGES)
        assert all(0 <= row[variant]["heavy"] <= 100 for variant in damage.VARIANTS)
    assert found["segmint"]["heavy"] > found["bilinear"]["heavy"]
    assert set(found["segmint"]["specks"].values()) == {0.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--photos", "nowhere"], "nowhere: no masks"),
        ([], "give either"),
        (["--toybox", "--part", "third"], "'third'"),
        (["--toybox", "--seeds", "x"], "--seeds"),
        (["--loud"], "--loud"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words: list[str], said: str) -> None:
    done = command(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_mask_without_its_photograph_or_of_another_size_is_named(folder: Path) -> None:
    (folder / "JPEGImages" / "p1.jpg").unlink()
    with pytest.raises(refinement.DatasetError, match=r"p1\.jpg"):
        refinement.photo_files(folder)
    Image.new("RGB", (10, 10)).save(folder / "JPEGImages" / "p1.jpg")
    with pytest.raises(refinement.ImageError, match=r"128×96 px, but p1\.jpg has 10×10"):
        list(refinement.read_photos(refinement.photo_files(folder)))


def test_the_same_seed_gives_the_same_damage_and_void_is_a_label() -> None:
    _, mask = photo(0)
    labels, shares = damage.damaged_shares(mask, damage.DAMAGES["heavy"], cell_px=8, seed=(0, 1))
    again = damage.damaged_shares(mask, damage.DAMAGES["heavy"], cell_px=8, seed=(0, 1))[1]
    assert labels.tolist() == [2, 3, 255]
    assert (shares == again).all()
    assert shares.shape == (3, 12, 16)
    assert np.abs(shares.sum(axis=0) - 1).max() < 1e-5


def test_without_damage_the_shares_are_the_cells_means() -> None:
    nothing = damage.Damage(blur_cells=0.0, noise=0.0, noise_cells=1.0)
    mask = np.zeros((16, 16), np.uint8)
    mask[:, 4:] = 1
    _, shares = damage.damaged_shares(mask, nothing, cell_px=8, seed=(0,))
    assert np.allclose(shares, [[[0.5, 0], [0.5, 0]], [[0.5, 1], [0.5, 1]]], atol=1e-6)


def test_specks_and_borders_are_counted() -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[:, 20:] = 1
    given = truth.copy()
    given[2:4, 2:4] = 1  # a speck of 4 px, far from the border
    exam = refinement.Exam()
    image = np.zeros((40, 40, 3), np.uint8)
    exam.add("one", "heavy", refinement.Sample(image=image, truth=truth), given, 0.5)
    row = exam.figures()["one"]
    assert row["specks"] == {"heavy": 1.0}
    assert row["seconds"] == {"heavy": 0.5}
    assert row["border"] == {"heavy": 100.0}
    assert row["heavy"] == pytest.approx(50 * (796 / 800 + 800 / 804))
    assert refinement.border_band(truth).sum() == 40 * 2 * refinement.BAND_PX


def test_variants_change_the_picture_and_nothing_else() -> None:
    image, _ = photo(1)
    for name, change in damage.VARIANTS.items():
        changed = change(image, (0, 0))
        assert changed.shape == image.shape, name
        assert changed.dtype == np.uint8, name
        assert (changed == change(image, (0, 0))).all()
        assert (changed != image).any()
    assert np.ptp(damage.grey(image, (0,)), axis=2).max() == 0
