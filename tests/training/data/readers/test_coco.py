import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segmint.errors import DatasetError, SegmintError
from segmint.training.data.datasets import match, read_pair
from segmint.training.data.readers.coco import read_coco

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools

BIG, SMALL = [0, 0, 6, 0, 6, 6, 0, 6], [1, 1, 3, 1, 3, 3, 1, 3]


def dataset():
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "segmentation": [SMALL], "area": 4, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [BIG], "area": 36, "iscrowd": 0},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


@pytest.fixture
def write(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def written(data, **kwargs):
        path = tmp_path / "instances.json"
        path.write_text(json.dumps(data, **kwargs), encoding="utf-8")
        return path

    return written


def counts(path):
    """Pixels by class name, and what was skipped."""
    found = read_coco(path)
    data = match(found, list(found.classes.values()))
    tally = np.bincount(read_pair(data.samples[0])[1].ravel(), minlength=256)
    named = {
        data.label_names[label] if label < 255 else label: int(tally[label])
        for label in np.flatnonzero(tally)
    }
    return named, found.skipped


WHOLE = {"background": 28, "cat": 32, "dog": 4}


def changed(part, field, value, entry=0):
    data = dataset()
    if value is ...:
        del data[part][entry][field]
    else:
        data[part][entry][field] = value
    return data


HARMLESS = [
    *(
        ("annotations", "area", value)
        for value in (..., None, 0, -1, "4", float("nan"), float("inf"), 10**400)
    ),
    *(("annotations", "id", value) for value in (..., None, "x", 2, float("nan"))),
    *(("annotations", "iscrowd", value) for value in (..., None, 0, False, "0")),
    *(("annotations", "bbox", value) for value in (None, "x", [float("nan")])),
    *(("annotations", "image_id", value) for value in ("1", 1.0)),
    *(("annotations", "category_id", value) for value in ("2", 2.0)),
    *(("images", "width", value) for value in (..., None, 0, 8.0)),
    *(("images", "id", value) for value in ("1", 1.0)),
    *(("categories", "supercategory", value) for value in (None, "animal", "", "cat", 7)),
]


@pytest.mark.parametrize(("part", "field", "value"), HARMLESS, ids=str)
def test_what_has_one_meaning_is_read(write, part, field, value):
    assert counts(write(changed(part, field, value))) == (WHOLE, {})


REFUSED = [
    *(
        ("annotations", "image_id", value)
        for value in (..., None, True, [], {}, 1.5, float("nan"), float("inf"))
    ),
    *(
        ("annotations", "category_id", value)
        for value in (..., None, 99, "dog", True, [], float("nan"), 10**30)
    ),
    *(("annotations", "iscrowd", value) for value in (2, "yes", [], {}, float("nan"))),
    *(
        ("annotations", "segmentation", value)
        for value in ("x", 7, True, {"counts": [64]}, [[0, 0, None, 1, 1, 1]])
    ),
    *(("images", "id", value) for value in (..., None, [], {}, True, float("nan"))),
    *(("images", "file_name", value) for value in (..., None, "", 7, [], "a\0.png")),
    *(("images", "width", value) for value in ("8", -8, 8.5, float("nan"), float("inf"), [], 10**400)),
    *(("categories", "id", value) for value in (..., None, [], 2, "2", 1.5)),
    *(("categories", "name", value) for value in (..., None, "", " ", 7, [], "a\x1b[31m")),
]


@pytest.mark.parametrize(("part", "field", "value"), REFUSED, ids=str)
def test_what_has_none_is_refused_by_file_and_entry(write, part, field, value):
    entry = {"images": "image", "annotations": "annotation", "categories": "category"}[part]
    with pytest.raises(DatasetError, match=rf"instances\.json: {entry} [01]"):
        read_coco(write(changed(part, field, value)))


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
@pytest.mark.parametrize("entry", [None, 7, "x", [], [1]])
def test_an_entry_that_is_no_object(write, part, entry):
    data = dataset()
    data[part].insert(0, entry)
    with pytest.raises(DatasetError, match=r"instances\.json: \w+ 0"):
        read_coco(write(data))


@pytest.mark.parametrize("size", [(9, 8), (8, 9), (10**6, 10**6)])
def test_outlines_for_another_size_are_refused(write, size):
    data = dataset()
    data["images"][0] |= dict(zip(("width", "height"), size, strict=True))
    with pytest.raises(DatasetError, match=r"item a: its annotations were made for .* EXIF"):
        counts(write(data))


@pytest.mark.parametrize("outline", [None, [], [[]], [[1, 1, 2, 2]]])
def test_an_annotation_that_encloses_nothing_is_counted(write, outline):
    found, skipped = counts(write(changed("annotations", "segmentation", outline)))
    assert found == {"background": 28, "cat": 36}
    assert skipped == {"annotations that enclose nothing": 1}


def test_a_file_of_boxes_only_is_refused(write):
    data = dataset()
    for each in data["annotations"]:
        del each["segmentation"]
    with pytest.raises(DatasetError, match="none of its 2 annotations has an outline"):
        read_coco(write(data))


def test_an_annotation_of_no_image_is_counted(write):
    assert counts(write(changed("annotations", "image_id", 7)))[1] == {"annotations of no listed image": 1}


def test_image_ids_that_are_text(write):
    data = dataset()
    data["images"][0]["id"] = "a-1"
    for each in data["annotations"]:
        each["image_id"] = "a-1"
    assert counts(write(data)) == (WHOLE, {})


@pytest.mark.parametrize("name", ["background", "Background", "_background_"])
def test_a_background_category_is_background(write, name):
    assert counts(write(changed("categories", "name", name, entry=1)))[0] == {"background": 32, "cat": 32}


def test_a_category_that_is_only_a_parent_is_left_out(write):
    data = dataset()
    for each in data["categories"]:
        each["supercategory"] = "animals"
    data["categories"].insert(0, {"id": 0, "name": "animals", "supercategory": "none"})
    assert counts(write(data)) == (WHOLE, {"parent categories": 1})
    data["annotations"][0]["category_id"] = 0
    assert counts(write(data))[0]["animals"] == 4


def test_categories_of_one_name_are_one_class(write):
    assert counts(write(changed("categories", "name", "cat", entry=1)))[0] == {"background": 28, "cat": 36}


def test_names_that_cannot_be_told_apart_are_refused(write):
    with pytest.raises(DatasetError, match="'cat' and 'CAT' cannot be told apart"):
        counts(write(changed("categories", "name", "CAT", entry=1)))


@pytest.mark.parametrize("name", ["a:b", "# x", "ねこ", "a, b", "-", "'", "0", "é", "a/b", "[red]"])
def test_class_names_of_any_character(write, name):
    assert counts(write(changed("categories", "name", name)))[0][name] == 32


def test_a_crowd_is_ignored_and_lies_below(write):
    assert counts(write(changed("annotations", "iscrowd", 1, entry=1)))[0] == {
        "background": 28,
        "dog": 4,
        255: 32,
    }


def test_a_byte_order_mark(write, tmp_path):
    path = write(dataset())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert counts(path)[0] == WHOLE


@pytest.mark.parametrize("name", ["sub\\a.png", "sub/a.png", "./sub/a.png"])
def test_files_in_folders(write, tmp_path, name):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "sub/a.png")
    assert counts(write(changed("images", "file_name", name)))[0] == WHOLE


@pytest.mark.parametrize("name", ["a.png", "./a.png", ".\\a.png"])
def test_one_file_under_two_ids_is_refused(write, name):
    data = dataset()
    data["images"].append({"id": 9, "file_name": name})
    with pytest.raises(DatasetError, match=r"image 1 \(id 9\) has the file_name .* of another image"):
        read_coco(write(data))


def test_the_first_image_may_be_missing(write):
    data = dataset()
    data["images"].insert(0, {"id": 9, "file_name": "gone.png"})
    assert [each.image.is_file() for each in read_coco(write(data)).samples] == [False, True]


def test_a_name_longer_than_any_file(write):
    with pytest.raises(DatasetError, match="are not beside it"):
        read_coco(write(changed("images", "file_name", "a" * 5000)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"images": [], "images": []}', "given twice"),
        ('{"images": [' + "9" * 5000 + "]}", "thousands of digits"),
        ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "JSON"),
        ("null", "has no list 'images'"),
    ],
)
def test_what_is_no_coco_file(write, text, message):
    path = write({})
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        read_coco(path)


ODD = st.sampled_from(
    [
        None,
        0,
        -1,
        1,
        2,
        3.5,
        10**30,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "1",
        "x",
        True,
        [],
        {},
        [[]],
        [[1, 2]],
        [1],
    ]
)
PLACES = [("images", key) for key in ("id", "file_name", "width", "height")]
PLACES += [("annotations", key) for key in ("image_id", "category_id", "segmentation", "iscrowd", "area")]
PLACES += [("categories", key) for key in ("id", "name", "supercategory")]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 1), ODD), min_size=1, max_size=3))
def test_any_value_in_any_field_is_read_or_refused(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("coco")
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    data = dataset()
    for (part, field), entry, value in changes:
        data[part][entry % len(data[part])][field] = value
    path = folder / "instances.json"
    path.write_text(json.dumps(data))
    with suppress(SegmintError):
        found, _ = counts(path)
        assert sum(found.values()) == 64
