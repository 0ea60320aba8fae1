import json
import sys

import numpy as np
import pytest

from segmint.errors import DatasetError, MissingDependency, RunError, SegmintError
from segmint.runs.curation.decisions import decide
from segmint.runs.files.local import LocalFiles
from segmint.training.data.datasets import match, read_pair
from segmint.training.data.inspection import inspect
from segmint.training.data.readers.coco import read_coco
from segmint.training.data.readers.opening import Address, open_set, parse_address
from segmint.training.data.readers.run import read_run
from segmint.training.data.readers.voc import download_voc, read_voc
from small_runs import fill
from synthetic_runs import CLASSES as RUN_CLASSES
from synthetic_runs import scene, write_mask_set, write_record, write_run
from tiny_datasets import write_coco, write_voc


def test_a_run(tmp_path):
    found = read_run(write_run(tmp_path / "run", 6))
    assert found.name == "run"
    assert found.classes == dict(enumerate(RUN_CLASSES, start=1))
    assert len(found.samples) == 6
    _, labels = read_pair(match(found, RUN_CLASSES).samples[2])
    assert (labels == scene(2).labels).all()


def test_rejected_items_are_left_out_and_counted(tmp_path):
    run = write_run(tmp_path / "run", 6)
    decide(run, {"000001": "rejected", "000004": "rejected", "000002": "kept"}, by="test")
    found = read_run(run)
    assert [sample.item_id for sample in found.samples] == ["000000", "000002", "000003", "000005"]
    assert found.skipped == {"rejected": 2}


def test_an_image_set_of_a_run(tmp_path):
    run = write_run(tmp_path / "run", 4)
    (run / "ImageSets/Segmentation/val.txt").write_text("000001\n000003\n")
    found = open_set(parse_address(f"{run}@val"))
    assert [sample.item_id for sample in found.samples] == ["000001", "000003"]
    assert found.skipped == {"not in val": 2}


def test_a_mask_set_made_later(tmp_path):
    run = write_run(tmp_path / "run", 4)
    write_mask_set(run, "other", 1, 4)
    found = read_run(run, mask_set="other")
    assert "other" in str(found.samples[0].mask)


def test_a_run_with_no_finished_item(tmp_path):
    fill(LocalFiles(tmp_path), planned=2, done=0)
    with pytest.raises(DatasetError, match="no finished item; run `segmint generate"):
        read_run(tmp_path)


def test_a_run_that_is_wholly_rejected(tmp_path):
    run = write_run(tmp_path / "run", 1)
    decide(run, {"000000": "rejected"}, by="test")
    with pytest.raises(DatasetError, match="all 1 items"):
        read_run(run)


def test_no_run(tmp_path):
    with pytest.raises(RunError, match="no run"):
        read_run(tmp_path)


def test_a_damaged_record(tmp_path):
    run = write_run(tmp_path / "run", 2)
    (run / "items/000001.json").write_text("{")
    with pytest.raises(RunError, match="000001"):
        read_run(run)


def test_a_record_without_a_mask(tmp_path):
    run = write_run(tmp_path / "run", 2)
    write_record(run, "000001", 1, scene(1), files={})
    with pytest.raises(DatasetError, match=r"item 000001 .* records no image"):
        read_run(run)


def test_a_voc_folder(tmp_path):
    found = read_voc(write_voc(tmp_path / "mine", 3))
    assert found.classes == {1: "boat", 2: "tree"}
    assert [sample.item_id for sample in found.samples] == ["val000", "val001", "val002"]
    image, labels = read_pair(match(found, ("boat", "tree")).samples[0])
    assert image.shape == (32, 32, 3)
    assert set(np.unique(labels)) == {0, 1, 255}


def test_a_voc_devkit_has_its_own_classes(tmp_path):
    folder = write_voc(tmp_path / "VOCdevkit/VOC2012", 2)
    (folder / "labelmap.txt").unlink()
    for path in (tmp_path, tmp_path / "VOCdevkit", folder):
        found = open_set(Address(path=path))
        assert found.name == "VOC2012:val"
        assert found.classes[20] == "tvmonitor"
        assert len(found.classes) == 20


def test_the_image_set_is_chosen(tmp_path):
    folder = write_voc(tmp_path / "mine", 2)
    write_voc(folder, 3, split="train")
    assert len(open_set(parse_address(f"{folder}@train")).samples) == 3
    assert len(open_set(parse_address(f"voc:{folder}")).samples) == 2
    with pytest.raises(DatasetError, match=r"no image set 'test'.*found: train, val"):
        read_voc(folder, part="test")


def test_a_label_map_as_cvat_writes_it(tmp_path):
    folder = write_voc(tmp_path / "mine", 1)
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::", "boat:9,9,9::", "tree:1,2,3::"]
    (folder / "labelmap.txt").write_text("\n".join(lines))
    assert read_voc(folder).classes == {1: "boat", 2: "tree"}


def test_a_voc_folder_that_does_not_say_its_classes(tmp_path):
    folder = write_voc(tmp_path / "mine", 1)
    (folder / "labelmap.txt").unlink()
    with pytest.raises(DatasetError, match=r"does not say what its label ids mean.*--dataset-classes"):
        read_voc(folder)
    assert read_voc(folder, classes=["boat", "tree"]).classes == {1: "boat", 2: "tree"}


def test_an_empty_label_map(tmp_path):
    folder = write_voc(tmp_path / "mine", 1)
    (folder / "labelmap.txt").write_text("0: background\n")
    with pytest.raises(DatasetError, match="names no class"):
        read_voc(folder)


def test_a_voc_item_without_an_image(tmp_path):
    folder = write_voc(tmp_path / "mine", 2)
    (folder / "JPEGImages/val001.png").unlink()
    with pytest.raises(DatasetError, match="item val001 has no image"):
        read_voc(folder)


def test_an_empty_image_set(tmp_path):
    folder = write_voc(tmp_path / "mine", 1)
    (folder / "ImageSets/Segmentation/val.txt").write_text("\n")
    with pytest.raises(DatasetError, match="is empty"):
        read_voc(folder)


def test_a_download_without_a_network(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.VOCSegmentation", refuse)
    with pytest.raises(DatasetError, match=r"could not be downloaded .*no route to host.*VOCdevkit"):
        download_voc(tmp_path)


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools


def test_a_coco_file(tmp_path):
    path = write_coco(tmp_path / "instances_val.json", tmp_path / "images")
    found = open_set(Address(path=path))
    assert found.classes == {1: "boat", 2: "tree"}
    _, labels = read_pair(match(found, ("boat", "tree")).samples[0])
    expected = np.zeros((6, 8), np.uint8)
    expected[:, :4] = 1
    expected[:2, 0] = 2  # the smaller region lies on top
    expected[:, 7] = 255  # a crowd
    assert labels.tolist() == expected.tolist()


def test_a_coco_image_without_objects_is_background(tmp_path):
    path = write_coco(tmp_path / "a.json", tmp_path / "images", annotations=[])
    inspected = inspect(match(read_coco(path), ("boat", "tree")))
    assert inspected.present == ((0,),)


def test_compressed_run_lengths(tmp_path):
    from pycocotools import mask as coco

    inside = np.zeros((6, 8), np.uint8, order="F")
    inside[2:4, 3:5] = 1
    code = coco.encode(inside)
    outline = {"size": code["size"], "counts": code["counts"].decode()}
    path = write_coco(
        tmp_path / "a.json",
        tmp_path / "images",
        annotations=[{"image_id": 5, "category_id": 7, "segmentation": outline}],
    )
    _, labels = read_pair(match(read_coco(path), ("boat", "tree")).samples[0])
    assert (labels == 2 * inside).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": None}, "has no list 'categories'"),
        ({"categories": [{"id": 1}]}, "no id and name"),
        ({"categories": []}, "0 categories"),
        ({"images": []}, "lists no image"),
        ({"annotations": [{"image_id": 5, "category_id": 99}]}, "annotation 0"),
    ],
)
def test_coco_files_that_are_not_right(tmp_path, changes, message):
    path = write_coco(tmp_path / "a.json", tmp_path / "images", **changes)
    with pytest.raises(DatasetError, match=message):
        read_coco(path)


def test_an_outline_for_another_size(tmp_path):
    outline = {"size": [3, 3], "counts": [4, 5]}
    path = write_coco(
        tmp_path / "a.json",
        tmp_path / "images",
        annotations=[{"image_id": 5, "category_id": 7, "segmentation": outline}],
    )
    with pytest.raises(DatasetError, match="made for 3×3 px, the image is 8×6"):
        inspect(match(read_coco(path), ("boat", "tree")))


def test_coco_without_pycocotools(tmp_path, monkeypatch):
    path = write_coco(tmp_path / "a.json", tmp_path / "images")
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingDependency, match="pycocotools"):
        inspect(match(read_coco(path), ("boat", "tree")))


def test_coco_images_elsewhere(tmp_path):
    path = write_coco(tmp_path / "a.json", tmp_path / "far/away")
    with pytest.raises(DatasetError, match="say where"):
        read_coco(path)
    assert len(open_set(parse_address(f"coco:{path}@{tmp_path / 'far/away'}")).samples) == 1


def test_no_json(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DatasetError, match="cannot be read as JSON"):
        read_coco(tmp_path / "a.json")


def test_what_is_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match="no dataset at"):
        open_set(Address(path=tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match="is no dataset that segmint knows"):
        open_set(Address(path=tmp_path))
    (tmp_path / "a.txt").write_text(json.dumps({}))
    with pytest.raises(DatasetError, match="is a file"):
        open_set(Address(path=tmp_path / "a.txt"))


def test_an_existing_path_is_never_taken_apart(tmp_path):
    odd = tmp_path / "voc:a@val"
    odd.mkdir()
    assert parse_address(str(odd)) == Address(path=odd)


NO_PLACES = [
    "x" * 5000,
    "a\0b",
    "\ud800",
    "",
    "@",
    ":",
    "voc:",
    "voc:@",
    "coco:\0",
    "run:" + "y" * 5000 + "@val",
]


@pytest.mark.parametrize(
    "address", [*NO_PLACES, "coco:/dev/zero", "/dev/zero", "voc:/dev/null", "coco:/dev/null"]
)
def test_an_address_of_any_signs_is_refused_in_a_line(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SegmintError) as caught:
        open_set(parse_address(address))
    assert "\n" not in str(caught.value)
