import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from segmint.errors import DatasetError
from segmint.training.data.datasets import match, read_pair
from segmint.training.data.readers.voc import read_voc
from tiny_datasets import scene


def folder(root, *names, listed=None, suffix=".png"):
    for each in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / each).mkdir(parents=True)
    for number, name in enumerate(names):
        image, labels = scene(number)
        for place, pixels, ending in (("JPEGImages", image, suffix), ("SegmentationClass", labels, ".png")):
            path = root / place / f"{name}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (root / "labelmap.txt").write_text("1: boat\n2: tree\n")
    text = "\n".join(names) if listed is None else listed
    (root / "ImageSets/Segmentation/val.txt").write_bytes(text.encode())
    return root


def labels_of(found):
    return [read_pair(each)[1] for each in match(found, ["boat", "tree"]).samples]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("IMG 0001 (1)", "IMG 0001 (1)"),
        ("a", "  a  "),
        ("a", "a.png"),
        ("a", "a.jpg"),
        ("a", "a 1"),
        ("a", "a -1"),
        ("a 1", "a 1"),
        ("sub/a", "sub/a"),
        ("sub/a", "sub\\a"),
        ("sub/deep/a", "./sub/deep/a"),
        ("a.b", "a.b"),
        ("#a", "#a"),
        ("caf\u00e9", "cafe\u0301"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\u2028b", "a\u2028b"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", ""])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_one_line_is_one_name(tmp_path, name, line, end, start):
    found = read_voc(folder(tmp_path, name, listed=f"{start}{line}{end}"))
    assert [each.item_id for each in found.samples] == [unicodedata.normalize("NFC", name)]
    assert np.array_equal(labels_of(found)[0], scene(0)[1])


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg", ".PNG", ".bmp", ".tif", ".webp"])
def test_images_of_any_kind(tmp_path, suffix):
    found = read_voc(folder(tmp_path, "a", suffix=suffix))
    assert np.array_equal(labels_of(found)[0], scene(0)[1])


def test_a_name_listed_twice_is_taken_once_and_counted(tmp_path):
    found = read_voc(folder(tmp_path, "a", "b", listed="a\nb\na\n"))
    assert [each.item_id for each in found.samples] == ["a", "b"]
    assert found.skipped == {"listed twice": 1}


@pytest.mark.parametrize("line", ["../secret", "/etc/passwd", "..\\secret", "gone", "a b"])
def test_a_line_that_is_no_item_is_named(tmp_path, line):
    with pytest.raises(DatasetError, match=r"val\.txt, line 2: "):
        read_voc(folder(tmp_path, "a", listed=f"a\n{line}\n"))


@pytest.mark.parametrize(
    ("data", "message"), [(b"a\0", "NUL"), (b"\xff\xfea\0", "UTF-16"), (b"\xe9", "UTF-8")]
)
def test_a_list_that_is_no_text(tmp_path, data, message):
    folder(tmp_path, "a")
    (tmp_path / "ImageSets/Segmentation/val.txt").write_bytes(data)
    with pytest.raises(DatasetError, match=message):
        read_voc(tmp_path)


@pytest.mark.parametrize("name", ["labelmap.txt", "ImageSets/Segmentation/val.txt"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_plain_file_is_named(tmp_path, name, make):
    (folder(tmp_path, "a") / name).unlink()
    make(tmp_path / name)
    with pytest.raises(DatasetError, match=f"{name}': (it is not a plain file|Is a directory)"):
        read_voc(tmp_path, part="val")


def test_values_by_the_map_even_where_the_background_is_not_0(tmp_path):
    folder(tmp_path, "a")
    (tmp_path / "labelmap.txt").write_text("2: background\n0: boat\n1: tree\n")
    Image.fromarray(np.full((32, 32), 2, np.uint8)).save(tmp_path / "SegmentationClass/a.png")
    assert (labels_of(read_voc(tmp_path))[0] == 0).all()
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "SegmentationClass/a.png")
    assert (labels_of(read_voc(tmp_path))[0] == 1).all()
