"""Folders of images and masks are paired by name and checked against each other."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmint.benchmark.samples import pair_files, read_sample
from segmint.errors import DatasetError, ImageError
from segmint.vocabulary import Vocabulary

TOWN = Vocabulary.of(["boat", "house"])


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b", "a", "lone"):
        save(tmp_path / "images" / f"{name}.png", np.zeros((2, 3, 3), np.uint8))
    for name in ("a", "b"):
        save(tmp_path / "masks" / f"{name}.png", np.array([[0, 1, 255], [0, 0, 0]], np.uint8))
    return tmp_path


def test_images_meet_their_masks(folder: Path) -> None:
    pairs, lone = pair_files([folder / "images"], folder / "masks")
    assert lone == ["lone.png"]
    assert [(source.path.stem, mask.name) for source, mask in pairs] == [("a", "a.png"), ("b", "b.png")]
    sample = read_sample(*pairs[0], TOWN)
    assert sample.classes == ("boat",)
    assert sample.truth.tolist() == [[0, 1, 255], [0, 0, 0]]


def test_no_partner_at_all_is_an_error(folder: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        pair_files([folder / "images"], folder / "gone")
    with pytest.raises(DatasetError, match="no mask for any"):
        pair_files([folder / "images" / "lone.png"], folder / "masks")


def test_sizes_must_agree(folder: Path) -> None:
    save(folder / "masks" / "a.png", np.zeros((3, 2), np.uint8))
    pairs, _ = pair_files([folder / "images"], folder / "masks")
    with pytest.raises(ImageError, match=r"2×3 px, but its image a\.png has 3×2 px"):
        read_sample(*pairs[0], TOWN)
