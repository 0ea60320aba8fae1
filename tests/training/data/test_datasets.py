from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmint.errors import DatasetError, ImageError
from segmint.training.data.datasets import LabelledSet, Sample, match, read_pair, unite
from segmint.training.data.inspection import inspect
from segmint.training.data.readers.voc import read_voc
from tiny_datasets import write_voc


def found(*names: str) -> LabelledSet:
    sample = Sample(item_id="x", image=Path("x.png"), mask=Path("x.png"))
    return LabelledSet(name="theirs", classes=dict(enumerate(names, start=1)), samples=(sample,))


def test_labels_are_matched_by_name_whatever_their_ids():
    matched = match(found("Pot_Plant", "boat"), ["boat", "pot plant"])
    table = matched.samples[0].table
    assert (table[0], table[1], table[2], table[3], table[255]) == (0, 2, 1, -1, 255)
    assert matched.label_names == ("background", "boat", "pot plant")


def test_other_classes_are_an_error_that_lists_both_sides():
    with pytest.raises(
        DatasetError, match=r"only the segmenter has \[tree\], only theirs has \[car\].*--subset \"boat\""
    ):
        match(found("boat", "car"), ["boat", "tree"])


@pytest.mark.parametrize(("others", "expected"), [("ignore", 255), ("background", 0)])
def test_a_subset_is_explicit_and_says_what_becomes_of_the_others(others, expected):
    matched = match(found("boat", "car"), ["boat", "tree"], subset=["boat"], others=others)
    assert matched.samples[0].table[2] == expected
    assert matched.judged == (0, 1)


@pytest.mark.parametrize("name", ["tree", "car", "plane"])
def test_a_subset_must_be_known_to_both_sides(name):
    with pytest.raises(DatasetError, match=f"class '{name}'"):
        match(found("boat", "car"), ["boat", "tree"], subset=["boat", name])


def test_an_empty_subset():
    with pytest.raises(DatasetError, match="empty"):
        match(found("boat"), ["boat"], subset=[])


def test_united_sets_keep_their_items_apart():
    one, two = match(found("boat"), ["boat"]), match(found("boat"), ["boat"])
    both = unite([replace(one, skipped={"failed": 1}), replace(two, skipped={"failed": 2, "rejected": 1})])
    assert [sample.item_id for sample in both.samples] == ["theirs-1/x", "theirs-2/x"]
    assert both.skipped == {"failed": 3, "rejected": 1}
    assert unite([one]) is one


def test_the_fingerprint_is_of_items_and_classes_not_of_places(tmp_path):
    sets = [match(read_voc(write_voc(tmp_path / place, 3)), ("boat", "tree")) for place in "ab"]
    assert sets[0].fingerprint() == sets[1].fingerprint()
    assert replace(sets[0], samples=sets[0].samples[1:]).fingerprint() != sets[0].fingerprint()


@pytest.fixture
def voc(tmp_path):
    return match(read_voc(write_voc(tmp_path / "voc", 4)), ("boat", "tree"))


def mask_of(data, place=0) -> Path:
    return data.samples[place].mask


def test_sizes_that_differ(voc):
    Image.fromarray(np.zeros((32, 30), np.uint8)).save(mask_of(voc))
    with pytest.raises(ImageError, match="item val000: the image is 32×32 px and the mask 30×32"):
        read_pair(voc.samples[0])


def test_a_value_that_is_neither_a_class_nor_255(voc):
    Image.fromarray(np.full((32, 32), 9, np.uint8)).save(mask_of(voc))
    with pytest.raises(
        DatasetError,
        match=r"item val000: .*val000\.png: its mask has the values \[9\]; .* class ids 1, 2, or 255",
    ):
        inspect(voc, skip_broken=True)


def test_a_coloured_mask(voc):
    Image.new("RGB", (32, 32)).save(mask_of(voc))
    _, labels = read_pair(voc.samples[0])
    assert labels.max() == 0
    Image.new("RGB", (32, 32), (1, 2, 3)).save(mask_of(voc))
    with pytest.raises(DatasetError, match=r"item val000: .*holds colour \(1, 2, 3\)"):
        read_pair(voc.samples[0])


@pytest.mark.parametrize("part", ["image", "mask"])
def test_a_truncated_file_is_named_and_skipped_only_if_asked(voc, part):
    path = getattr(voc.samples[1], part)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=f"{path.name}: damaged or truncated.*--skip-broken"):
        inspect(voc)
    inspected = inspect(voc, skip_broken=True)
    assert [sample.item_id for sample in inspected.data.samples] == ["val000", "val002", "val003"]
    assert inspected.data.skipped == {"broken": 1}
    assert path.name in inspected.broken[0]


def test_a_missing_file(voc):
    mask_of(voc, 2).unlink()
    with pytest.raises(ImageError, match=r"val002\.png: no such file"):
        inspect(voc)


def test_empty_samples_are_left_out_of_training_only(voc):
    for place in (0, 2):
        Image.fromarray(np.full((32, 32), [0, 255][place // 2], np.uint8)).save(mask_of(voc, place))
    assert inspect(voc, skip_empty=True).data.skipped == {"empty": 2}
    kept = inspect(voc)
    assert kept.present == ((0,), (0, 2), (), (0, 2))
    assert kept.unseen() == ("boat",)


def test_nothing_left(voc):
    for place in range(4):
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(mask_of(voc, place))
    with pytest.raises(DatasetError, match=r"no usable sample \(4 empty\)"):
        inspect(voc, skip_empty=True)
