"""Exports for tools that people label and look with, read back by their own libraries where they install."""

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmint.errors import ExportError
from segmint.export.brush_rle import decode_brush, encode_brush
from segmint.export.source import ObjectRule, open_source
from segmint.export.write import export
from segmint.runs.store import open_run
from segmint.training.data.datasets import match, read_pair
from segmint.training.data.readers.voc import read_voc
from synthetic_runs import CLASSES, scene, write_run

COUNT = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return open_run(write_run(tmp_path_factory.mktemp("runs") / "run", COUNT))


def written(run, name, out, **options):
    return export(open_source(run, splits={"train": 1}, **options), name, out)


def labels_of(item_id):
    return scene(int(item_id)).labels


def test_brush_code_is_label_studio_s_own():
    brush = pytest.importorskip("label_studio_converter.brush")
    rng = np.random.default_rng(0)
    for inside in (rng.random((13, 17)) > 0.5, np.zeros((200, 200), bool), np.ones((200, 300), bool)):
        code = encode_brush(inside)
        theirs = brush.decode_rle(code).reshape(*inside.shape, 4)
        assert (theirs[..., 3] == 255 * inside).all()
        assert (decode_brush(code, height_px=inside.shape[0], width_px=inside.shape[1]) == inside).all()
    own = np.repeat((rng.random(12 * 9) > 0.5).astype(np.uint8) * 255, 4)
    code = brush.encode_rle(own)
    assert (decode_brush(code, height_px=12, width_px=9).ravel() == (own[3::4] > 0)).all()


@pytest.mark.parametrize(
    "code", [[], [0, 0, 0, 64, 57], "text", [300], [0, 0, 0, 4, 57, 35, 47], 10**30, 10**9, 3]
)
def test_brush_code_that_is_none_is_refused(code):
    with pytest.raises(ValueError, match="rle"):
        decode_brush(code, height_px=4, width_px=4)


def test_label_studio_tasks_hold_every_pixel(run, tmp_path):
    written(run, "label-studio", tmp_path / "out")
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    assert len(tasks) == COUNT
    ids = {name: label for label, name in enumerate(CLASSES, start=1)} | {"uncertain": 255}
    for task in tasks:
        drawn = np.zeros((64, 64), np.uint8)
        for result in task["predictions"][0]["result"]:
            [name] = result["value"]["brushlabels"]
            drawn[decode_brush(result["value"]["rle"], height_px=64, width_px=64)] = ids[name]
        assert (drawn == labels_of(task["data"]["item"])).all()
        assert (tmp_path / "out/images" / task["data"]["image"].rsplit("/", 1)[1]).is_file()
    assert 'value="potted plant"' in (tmp_path / "out/config.xml").read_text()


def test_labelme_polygons_fill_to_the_mask(run, tmp_path):
    written(run, "labelme", tmp_path / "out", objects=ObjectRule(min_area=0))
    files = sorted((tmp_path / "out/labelme/train").glob("*.json"))
    assert len(files) == COUNT
    ids = {name: label for label, name in enumerate(CLASSES, start=1)}
    rows, columns = np.mgrid[:64, :64] + 0.5
    for path in files:
        said = json.loads(path.read_text())
        assert (path.parent / said["imagePath"]).is_file()
        assert (said["imageHeight"], said["imageWidth"]) == (64, 64)
        drawn = np.zeros((64, 64), np.uint8)
        for shape in said["shapes"]:
            corners = np.array(shape["points"])
            inside = np.zeros((64, 64), bool)
            for (x, y), (next_x, next_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                if x == next_x:  # sides follow the pixels' edges; a pixel is inside behind an odd number
                    inside ^= (rows > min(y, next_y)) & (rows < max(y, next_y)) & (columns > x)
            drawn[inside] = ids[shape["label"]]
        labels = labels_of(path.stem)
        assert (drawn == np.where(labels == 255, 0, labels)).all()


def test_cvat_zip_is_colours_by_its_label_map(run, tmp_path):
    written(run, "cvat", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out/annotations.zip") as archive:
        lines = archive.read("labelmap.txt").decode().splitlines()
        assert lines[0].startswith("# label:color_rgb")
        colours = {line.split(":")[0]: tuple(map(int, line.split(":")[1].split(","))) for line in lines[1:]}
        ids = {"background": 0, "uncertain": 255} | {n: i for i, n in enumerate(CLASSES, start=1)}
        names = archive.read("ImageSets/Segmentation/train.txt").decode().split()
        assert len(names) == COUNT
        for name in names:
            pixels = np.asarray(Image.open(io.BytesIO(archive.read(f"SegmentationClass/{name}.png"))))
            drawn = np.zeros((64, 64), np.uint8)
            for label, colour in colours.items():
                drawn[(pixels == colour).all(axis=2)] = ids[label]
            assert (drawn == labels_of(name)).all()
            objects = np.asarray(Image.open(io.BytesIO(archive.read(f"SegmentationObject/{name}.png"))))
            assert (objects.any(axis=2) == (drawn > 0)).all(), "CVAT reads what is of an object"


def test_cvat_refuses_a_name_that_its_label_map_cannot_hold(tmp_path):
    run = open_run(write_run(tmp_path / "run", 1, classes=("a:b", "c")))
    with pytest.raises(ExportError, match="--rename"):
        written(run, "cvat", tmp_path / "out")


def test_voc_reads_back_with_its_names_and_objects(run, tmp_path):
    written(run, "voc", tmp_path / "out", objects=ObjectRule(min_area=0))
    found = read_voc(tmp_path / "out", part="train")
    assert list(found.classes.values()) == list(CLASSES)
    for sample in match(found, CLASSES).samples:
        assert (read_pair(sample)[1] == labels_of(sample.item_id)).all()
        objects = np.asarray(Image.open(str(sample.mask).replace("SegmentationClass", "SegmentationObject")))
        labels = labels_of(sample.item_id)
        assert ((objects == 255) == (labels == 255)).all()
        assert ((objects > 0) == (labels > 0)).all()


def test_mmsegmentation_config_names_what_the_masks_hold(run, tmp_path):
    written(run, "mmsegmentation", tmp_path / "out")
    said = {}
    exec((tmp_path / "out/config.py").read_text(), said)
    assert said["metainfo"]["classes"] == ("background", *CLASSES)
    prefix = said["train_dataset"]["data_prefix"]
    masks = sorted((tmp_path / "out" / prefix["seg_map_path"]).iterdir())
    assert len(masks) == len(list((tmp_path / "out" / prefix["img_path"]).iterdir())) == COUNT
    for path in masks:
        assert (np.asarray(Image.open(path)) == labels_of(path.stem)).all()


def test_fiftyone_folders_hold_grey_masks_and_their_targets(run, tmp_path):
    written(run, "fiftyone", tmp_path / "out")
    masks = sorted((tmp_path / "out/splits/train/labels").iterdir())
    assert [each.stem for each in masks] == [
        each.stem for each in sorted((tmp_path / "out/splits/train/data").iterdir())
    ]
    for path in masks:
        picture = Image.open(path)
        assert picture.mode == "L"
        assert (np.asarray(picture) == labels_of(path.stem)).all()
    assert json.loads((tmp_path / "out/mask_targets.json").read_text())["4"] == CLASSES[3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # supervision's own
@pytest.mark.parametrize("name", ["coco", "coco-rle", "yolo", "voc"])
def test_supervision_finds_the_objects_or_is_said_to_find_none(run, tmp_path, name):
    data_of = pytest.importorskip("supervision").DetectionDataset
    out = tmp_path / "out"
    notes = written(run, name, out, objects=ObjectRule(min_area=0)).notes
    if name == "voc":
        home = out / "VOCdevkit/VOC2012"
        data = data_of.from_pascal_voc(str(home / "JPEGImages"), str(home / "Annotations"), force_masks=True)
        assert not sum(len(found) for _, _, found in data)
        assert any("finds no object" in note for note in notes)
        return
    if name == "yolo":
        places = (out / "images/train", out / "labels/train", out / "data.yaml")
        data = data_of.from_yolo(*map(str, places), force_masks=True)
    else:
        places = (out / "images/train", out / "annotations/instances_train.json")
        data = data_of.from_coco(*map(str, places), force_masks=True)
    rim = 0
    for path, _, found in data:
        drawn = np.zeros((64, 64), np.uint8)
        for mask, number in zip(found.mask, found.class_id, strict=True):
            drawn[mask] = CLASSES.index(data.classes[number]) + 1
        labels = labels_of(Path(path).stem)
        rim += int((drawn != np.where(labels == 255, 0, labels)).sum())
    assert len(data) == COUNT
    assert rim == 0 if name == "coco-rle" else rim < 0.03 * COUNT * 64**2  # it fills polygons with their rim


def test_datumaro_reads_a_cvat_zip_as_cvat_does(run, tmp_path):
    datumaro = pytest.importorskip("datumaro")
    written(run, "cvat", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out/annotations.zip") as archive:
        archive.extractall(tmp_path / "task")
    data = datumaro.Dataset.import_from(str(tmp_path / "task"), "voc_segmentation")
    names = [each.name for each in data.categories()[datumaro.AnnotationType.label]]
    ids = {name: label for label, name in enumerate(CLASSES, start=1)} | {"uncertain": 255}
    assert len(data) == COUNT
    for item in data:
        drawn = np.zeros((64, 64), np.uint8)
        for each in item.annotations:
            drawn[np.asarray(each.image, bool)] = ids[names[each.label]]
        assert (drawn == labels_of(item.id)).all()


def test_label_studio_s_converter_reads_the_tasks(run, tmp_path):
    converter = pytest.importorskip("label_studio_sdk.converter")
    written(run, "label-studio", tmp_path / "out")
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    accepted = [
        {**task, "id": place, "annotations": [{"id": place, "result": task["predictions"][0]["result"]}]}
        for place, task in enumerate(tasks)
    ]
    (tmp_path / "accepted.json").write_text(json.dumps(accepted))
    (tmp_path / "masks").mkdir()
    reader = converter.Converter(str(tmp_path / "out/config.xml"), project_dir=str(tmp_path))
    reader.convert(str(tmp_path / "accepted.json"), str(tmp_path / "masks"), "BRUSH_TO_NUMPY", is_dir=False)
    ids = {name: label for label, name in enumerate(CLASSES, start=1)} | {"uncertain": 255}
    found = [np.zeros((64, 64), np.uint8) for _ in tasks]
    for path in (tmp_path / "masks").iterdir():
        place, name = re.fullmatch(r"task-(\d+)-annotation-.*-mask-(.*)-\d+", path.stem).groups()
        found[int(place)][np.load(path) > 0] = ids[name]
    for task, drawn in zip(tasks, found, strict=True):
        assert (drawn == labels_of(task["data"]["item"])).all()


def test_fiftyone_reads_its_folders(run, tmp_path):
    importers = pytest.importorskip("fiftyone.utils.data.importers")
    written(run, "fiftyone", tmp_path / "out")
    with importers.ImageSegmentationDirectoryImporter(dataset_dir=str(tmp_path / "out/splits/train")) as data:
        for path, _, found in data:
            assert (found.get_mask() == labels_of(Path(path).stem)).all()


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset's own
def test_webdataset_decodes_grey_masks_to_ids(run, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    written(run, "webdataset", tmp_path / "out")
    shard = next((tmp_path / "out/shards").glob("train-*.tar"))
    data = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode("l8"))
    assert len(data) == COUNT
    for each in data:
        [mask] = [value for name, value in each.items() if name.endswith("png")]
        assert (mask == labels_of(each["__key__"])).all()


def test_mmengine_reads_the_config(run, tmp_path):
    config = pytest.importorskip("mmengine.config").Config
    written(run, "mmsegmentation", tmp_path / "out")
    said = config.fromfile(str(tmp_path / "out/config.py"))
    assert said.train_dataset.metainfo.classes == ("background", *CLASSES)
