"""Each format, read back with the library that its users load it with."""

import io
import json
import re
import shutil
import tarfile
import tracemalloc
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from segmint.devices import cores
from segmint.errors import ConfigError, ExportError, MissingDependency, RunError
from segmint.export import source as sources
from segmint.export.formats import FORMATS
from segmint.export.source import ObjectRule, open_source, parse_min_area
from segmint.export.spread import ITEMS_A_WORKER, usual_workers
from segmint.export.voc import NO_BOXES
from segmint.export.write import MARKER, export
from segmint.labels.relabelling import parse_relabelling
from segmint.runs import codec, layout
from segmint.runs.curation.decisions import decide
from segmint.runs.splits import deal, parse_splits, shares_note
from segmint.runs.store import open_run
from synthetic_runs import CLASSES, scene, write_mask_set, write_record, write_run

COUNT, DISTINCT = 15, 12
HALVES = {"train": 2, "val": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return open_run(write_run(tmp_path_factory.mktemp("runs") / "run", COUNT))


def labels_of(item_id):
    return scene(int(item_id) % DISTINCT).labels


def written(run, name, out, **options):
    return export(open_source(run, splits=HALVES, **options), name, out)


def test_voc_loads_in_torchvision(run, tmp_path):
    from torchvision.datasets import VOCSegmentation

    report = written(run, "voc", tmp_path / "out")
    assert report.written == {"train": 10, "val": 5}
    assert report.notes == (NO_BOXES,)
    for split, count in report.written.items():
        data = VOCSegmentation(tmp_path / "out", year="2012", image_set=split)
        assert len(data) == count
        for image, (picture, mask) in zip(data.images, data, strict=True):
            item_id = re.search(r"(\d+)\.jpg", str(image))[1]
            assert (np.asarray(mask) == labels_of(item_id)).all()
            assert picture.size == (64, 64)
            assert mask.getpalette()[3:6] == [228, 96, 74]
    assert len(VOCSegmentation(tmp_path / "out", year="2012", image_set="trainval")) == COUNT


def test_voc_makes_jpegs_of_png_images_and_says_so(tmp_path):
    run = open_run(write_run(tmp_path / "run", 3, suffix="png"))
    report = written(run, "voc", tmp_path / "out")
    assert "3 PNG images became JPEG" in report.notes[0]
    assert {p.suffix for p in (tmp_path / "out/VOCdevkit/VOC2012/JPEGImages").iterdir()} == {".jpg"}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize("name", ["coco", "coco-rle"])
def test_coco_loads_in_pycocotools(run, tmp_path, name, capsys):
    from pycocotools import mask as api
    from pycocotools.coco import COCO
    from torchvision.datasets import CocoDetection

    report = written(run, name, tmp_path / "out")
    assert any("uncertain" in note for note in report.notes)
    seen = 0
    for split in report.written:
        data = COCO(str(tmp_path / f"out/annotations/instances_{split}.json"))
        assert [each["name"] for each in data.loadCats(data.getCatIds())] == list(CLASSES)
        for image in data.loadImgs(data.getImgIds()):
            drawn = np.zeros((64, 64), np.uint8)
            for annotation in data.loadAnns(data.getAnnIds(imgIds=image["id"])):
                mask = data.annToMask(annotation)
                assert annotation["area"] == mask.sum()
                assert annotation["bbox"] == api.toBbox(data.annToRLE(annotation)).tolist()
                drawn[mask == 1] = annotation["category_id"]
                seen += 1
            wanted = labels_of(image["file_name"][:6])
            assert (drawn == np.where(wanted == 255, 0, wanted)).all()
        images = CocoDetection(
            tmp_path / "out/images" / split, tmp_path / f"out/annotations/instances_{split}.json"
        )
        assert images[0][0].size == (64, 64)
    assert seen >= COUNT
    capsys.readouterr()


def test_coco_ids_are_unique(run, tmp_path):
    written(run, "coco", tmp_path / "out")
    ids = []
    for split in HALVES:
        data = json.loads((tmp_path / f"out/annotations/instances_{split}.json").read_text())
        ids += [each["id"] for each in data["annotations"]]
        assert data["info"]["model"] == "toybox"
        assert data["licenses"][0]["name"] == "Apache-2.0"
    assert ids == list(range(1, len(ids) + 1))


def test_yolo_polygons_draw_the_masks_again(run, tmp_path):
    report = written(run, "yolo", tmp_path / "out")
    assert any("uncertain" in note for note in report.notes)
    out = tmp_path / "out"
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert list(data["names"].values()) == list(CLASSES)
    holes = 0
    for split, count in report.written.items():
        images = sorted((out / data[split]).iterdir())
        assert len(images) == count
        for image in images:
            lines = (
                (out / data[split].replace("images", "labels") / f"{image.stem}.txt").read_text().splitlines()
            )
            scale, drawn = 8, np.zeros((64, 64), np.uint8)
            for line in lines:
                number, *points = line.split()
                values = [float(each) for each in points]
                assert len(values) >= 8
                assert all(0 <= each <= 1 for each in values)
                canvas = Image.new("L", (64 * scale, 64 * scale))
                corners = list(zip(values[::2], values[1::2], strict=True))
                ImageDraw.Draw(canvas).polygon([(x * 64 * scale, y * 64 * scale) for x, y in corners], fill=1)
                drawn[np.asarray(canvas)[scale // 2 :: scale, scale // 2 :: scale] == 1] = int(number) + 1
                holes += len(corners) != len(set(corners))
            wanted = labels_of(image.stem)
            assert (drawn == np.where(wanted == 255, 0, wanted)).mean() > 0.999
    assert holes


def test_yolo_names_a_validation_part_even_without_one(run, tmp_path):
    export(open_source(run, splits={"train": 1}), "yolo", tmp_path / "out")
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text())["val"] == "images/train"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_huggingface_loads_in_datasets(run, tmp_path):
    import datasets

    report = written(run, "huggingface", tmp_path / "out")
    assert report.notes == ()
    data = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(part) for split, part in data.items()} == {"train": 10, "val": 5}
    part = data["train"]
    assert part.features["classes"].feature.names == ["background", *CLASSES]
    for row in part:
        assert (np.asarray(row["mask"]) == labels_of(row["id"])).all()
        assert row["image"].size == (64, 64)
        assert [("background", *CLASSES)[i] for i in row["classes"]] == list(
            scene(int(row["id"]) % DISTINCT).classes
        )
    card = (tmp_path / "out/README.md").read_text()
    matter = yaml.safe_load(card.split("---")[1])
    assert matter["license_name"] == "Apache-2.0"
    assert matter["configs"][0]["data_files"][0] == {"split": "train", "path": "data/train-*"}
    assert "| model | toybox |" in card
    assert "steps = 20" in card


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_webdataset_loads_in_webdataset(run, tmp_path):
    import webdataset as wds

    report = written(run, "webdataset", tmp_path / "out")
    assert report.notes == ()
    decode_mask = wds.handle_extension("mask.png", lambda data: np.asarray(Image.open(io.BytesIO(data))))
    for split, count in report.written.items():
        shards = [str(path) for path in sorted((tmp_path / "out/shards").glob(f"{split}-*.tar"))]
        data = wds.WebDataset(shards, shardshuffle=False, empty_check=False).decode(decode_mask, "pil")
        rows = list(data.to_tuple("__key__", "jpg", "mask.png", "json"))
        assert len(rows) == count
        for key, picture, mask, record in rows:
            assert (mask == labels_of(key)).all()
            assert picture.size == (64, 64)
            assert record["classes"] == list(scene(int(key) % DISTINCT).classes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_brings_its_card_and_recipe(run, tmp_path, name):
    written(run, name, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    for said in ("toybox", "Apache-2.0", "steps = 20", "potted plant", "train: 10, val: 5"):
        assert said in card
    assert (tmp_path / "out/recipe.toml").is_file()
    assert json.loads((tmp_path / "out" / MARKER).read_text())["finished"] is True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", FORMATS)
def test_the_same_export_twice_has_the_same_bytes(run, tmp_path, name):
    for out in ("a", "b"):
        written(run, name, tmp_path / out)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path


@pytest.mark.parametrize("name", ["coco", "voc"])
def test_two_processes_write_the_bytes_of_one_and_tell_the_same(tmp_path, monkeypatch, name):
    monkeypatch.setattr("segmint.export.spread.ITEMS_AT_ONCE", 4)
    folder = write_run(tmp_path / "run", 10)
    (folder / layout.mask("000003")).write_bytes(b"no picture")
    told = []
    for count in (1, 2):
        seen = []
        source = open_source(
            open_run(folder), splits=HALVES, workers=count, progress=partial(seen.append, count)
        )
        report = export(source, name, tmp_path / str(count))
        told.append((report.written, report.notes, source.tally, len(seen)))
    assert told[0] == told[1]
    assert told[0][-1] == 10
    one, two = (
        {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (tmp_path / "1", tmp_path / "2")
    )
    assert one == two


def test_processes_are_added_where_there_is_work_for_them():
    assert usual_workers(ITEMS_A_WORKER - 1) == 1
    assert usual_workers(10**9) == cores()


def test_decisions_and_mask_sets_are_honoured(tmp_path):
    folder = write_run(tmp_path / "run", 8)
    write_mask_set(folder, "other", 1, 6)
    decide(folder, {"000001": "rejected", "000002": "kept"}, by="me")
    run = open_run(folder)
    assert "000001" not in open_source(run, splits={"train": 1}).splits["train"]
    assert open_source(run, splits={"train": 1}, kept_only=True).splits == {"train": ("000002",)}
    source = open_source(run, splits={"train": 1}, mask_set="other")
    assert source.splits["train"] == ("000000", "000002", "000003", "000004", "000005")
    assert (next(iter(source.items("train"))).labels == scene(1).labels).all()
    with pytest.raises(RunError, match="no mask set 'nope'; it has other"):
        open_source(run, mask_set="nope")


def test_unreadable_items_are_left_out_and_named(tmp_path):
    folder = write_run(tmp_path / "run", 4)
    (folder / layout.image("000001", "jpg")).unlink()
    write_record(folder, "000002", 2, scene(2))
    (folder / layout.mask("000002")).unlink()
    (folder / layout.mask("000002")).write_bytes(scene(2, (32, 32)).mask)
    report = export(open_source(open_run(folder), splits={"train": 1}), "voc", tmp_path / "out")
    assert report.written == {"train": 2}
    assert report.notes[1] == "2 items could not be read and are left out: 000001, 000002"
    assert [note.partition(":")[0] for note in report.notes[2:]] == ["000001", "000002"]
    assert (
        tmp_path / "out/VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt"
    ).read_text() == "000000\n000003\n"


@pytest.mark.parametrize("name", ["voc", "coco", "yolo"])
def test_a_mask_touched_up_with_an_id_of_no_class_is_named(tmp_path, name):
    folder = write_run(tmp_path / "run", 4)
    strange = Image.fromarray(np.full(scene(1).labels.shape, 77, np.uint8))
    (folder / layout.mask("000001")).unlink()
    strange.save(folder / layout.mask("000001"))
    report = export(open_source(open_run(folder), splits={"train": 1}), name, tmp_path / "out")
    assert report.written == {"train": 3}
    said = next(note for note in report.notes if note.startswith("000001:"))
    assert "SegmentationClass/000001.png: its mask has the values [77]" in said


def test_a_mask_touched_up_in_colours_is_read_by_them(tmp_path):
    folder = write_run(tmp_path / "run", 2)
    path = folder / layout.mask("000001")
    coloured = Image.open(path).convert("RGB")
    path.unlink()
    coloured.save(path)
    source = open_source(open_run(folder), splits={"train": 1})
    assert (list(source.items("train"))[1].labels == scene(1).labels).all()


def test_a_voc_export_says_what_its_ids_mean(tmp_path):
    from segmint.training.data.readers.opening import Address, open_set

    folder = write_run(tmp_path / "run", 3)
    export(open_source(open_run(folder), splits={"train": 1}), "voc", tmp_path / "out")
    found = open_set(Address(path=tmp_path / "out", part="train"))
    assert found.classes == dict(enumerate(CLASSES, start=1))


@pytest.mark.parametrize("data", [b"", b"{", b'{"format": "voc"', b"[]", b"null"])
@pytest.mark.parametrize("name", ["voc", "yolo"])
def test_an_export_whose_marker_was_cut_short_is_taken_away_whole(tmp_path, data, name):
    folder, out = write_run(tmp_path / "run", 6), tmp_path / "out"
    export(open_source(open_run(folder), splits={"train": 1}), name, out)
    (out / MARKER).write_bytes(data)
    decide(folder, {f"00000{number}": "rejected" for number in range(4)}, by="me")
    export(open_source(open_run(folder), splits={"train": 1}), name, out, force=True)
    images = [path for path in out.rglob("*.jpg") if path.is_file()]
    assert sorted(path.stem for path in images) == ["000004", "000005"]


def test_a_full_disk_at_the_last_marker_leaves_one_that_can_be_swept(tmp_path, monkeypatch):
    from segmint.export import write

    folder, out = write_run(tmp_path / "run", 6), tmp_path / "out"
    real = write.put

    def full(path, data, **kwargs):
        if b'"finished": true' in data:
            path.with_name("half").write_bytes(data[:9])
            raise OSError(28, "no space left", str(path))
        real(path, data, **kwargs)

    monkeypatch.setattr(write, "put", full)
    with pytest.raises(ExportError, match="no space left"):
        export(open_source(open_run(folder), splits={"train": 1}), "voc", out)
    monkeypatch.setattr(write, "put", real)
    decide(folder, {f"00000{number}": "rejected" for number in range(4)}, by="me")
    export(open_source(open_run(folder), splits={"train": 1}), "voc", out, force=True)
    assert len(list(out.rglob("SegmentationClass/*.png"))) == 2


def test_nothing_to_export(tmp_path):
    folder = write_run(tmp_path / "run", 2)
    with pytest.raises(ExportError, match="no kept item"):
        open_source(open_run(folder), kept_only=True)
    decide(folder, {"000000": "rejected", "000001": "rejected"}, by="me")
    with pytest.raises(ExportError, match="no item that is not rejected"):
        open_source(open_run(folder))


def test_a_folder_that_is_not_empty_needs_force(run, tmp_path):
    out = tmp_path / "out"
    written(run, "yolo", out)
    stale = next((out / "images/train").iterdir())
    stale.rename(stale.with_name("stale.jpg"))
    (out / "mine.txt").write_text("keep me")
    with pytest.raises(ExportError, match="is not empty; choose another --out, or add --force"):
        written(run, "yolo", out)
    export(open_source(run, splits=HALVES), "voc", out, force=True)
    assert not (out / "images").exists()
    assert (out / "VOCdevkit").is_dir()
    assert (out / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize("marker", ['{"files": ["../precious", "mine.txt", "/etc"]}', "nonsense", "{}"])
def test_force_takes_away_nothing_but_an_export(run, tmp_path, marker):
    out, precious = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    precious.mkdir()
    (out / MARKER).write_text(marker)
    (out / "mine.txt").write_text("keep me")
    export(open_source(run, splits=HALVES), "voc", out, force=True)
    assert precious.is_dir()
    assert (out / "mine.txt").is_file()


def test_targets_that_cannot_be(run, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ExportError, match="is a file"):
        written(run, "voc", file)
    with pytest.raises(ExportError, match="lies in the run itself"):
        written(run, "voc", run.folder)
    with pytest.raises(ExportError, match="lies in the run itself"):
        written(run, "voc", run.folder / "export")
    with pytest.raises(ConfigError, match="unknown format 'pascal'; known are voc, coco"):
        written(run, "pascal", tmp_path / "out")
    with pytest.raises(ExportError, match="cannot write"):
        written(run, "voc", file / "below")


@pytest.mark.parametrize(
    ("name", "library"),
    [("coco-rle", "pycocotools"), ("huggingface", "datasets"), ("webdataset", "webdataset")],
)
def test_a_missing_library_is_named_with_its_command(run, tmp_path, monkeypatch, name, library):
    import sys

    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependency, match=rf"{name} needs {library}.*pip install 'segmint\[export\]'"):
        written(run, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_format_is_in_the_guide():
    guide = (Path(__file__).parents[2] / "docs/export.md").read_text()
    assert [name for name in FORMATS if f"`{name}`" not in guide] == []


def test_splits_are_exact_seeded_and_stable():
    ids = [f"{i:03d}" for i in range(100)]
    parts = deal(ids, {"train": 0.8, "val": 0.15, "test": 0.05}, seed=0)
    assert [len(part) for part in parts.values()] == [80, 15, 5]
    assert sorted(each for part in parts.values() for each in part) == ids
    assert parts == deal(list(reversed(ids)), {"train": 0.8, "val": 0.15, "test": 0.05}, seed=0)
    assert parts != deal(ids, {"train": 0.8, "val": 0.15, "test": 0.05}, seed=1)
    assert [len(part) for part in deal(ids[:3], {"train": 0.9, "val": 0.1}, seed=0).values()] == [2, 1]
    assert [len(part) for part in deal(ids[:1], {"train": 0.9, "val": 0.1}, seed=0).values()] == [1, 0]
    assert deal(ids, {"train": 1, "val": 0}, seed=0)["val"] == ()


def test_splits_from_text():
    assert parse_splits("train=8, val=2") == {"train": 8, "val": 2}
    for text in (
        "train",
        "train=x",
        "=1",
        "train=1,train=2",
        "../x=1",
        "train=-1",
        "train=0",
        "train=nan",
        "train=inf",
        "",
    ):
        with pytest.raises(ConfigError, match="--split"):
            parse_splits(text)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", FORMATS)
def test_memory_does_not_grow_with_the_run(tmp_path, monkeypatch, name):
    """Six times the items, the same peak but for their ids; held back, fifty items would be over 600 kB."""
    monkeypatch.setattr("segmint.export.huggingface.ROWS_A_GROUP", 5)
    monkeypatch.setattr(
        "segmint.export.webdataset.ITEMS_A_SHARD", 5
    )  # a tar file knows its members while open
    runs = [
        open_run(write_run(tmp_path / f"run{count}", count, size=(96, 96), distinct=5)) for count in (10, 60)
    ]
    export(open_source(runs[0], splits={"train": 1}), name, tmp_path / "warm")
    peaks = []
    for number, run in enumerate(runs):
        source = open_source(run, splits={"train": 1})
        tracemalloc.start()
        export(source, name, tmp_path / f"out{number}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 150_000


def test_images_of_an_export_are_the_run_s_own_bytes(run, tmp_path):
    written(run, "webdataset", tmp_path / "out")
    with tarfile.open(next((tmp_path / "out/shards").glob("train-*.tar"))) as shard:
        member = next(m for m in shard.getmembers() if m.name.endswith(".jpg"))
        data = shard.extractfile(member).read()
    assert data == (run.folder / layout.IMAGES / member.name).read_bytes()
    assert sources.DEFAULT_SPLITS == {"train": 0.9, "val": 0.1}


def test_specks_are_no_objects_and_are_counted(tmp_path):
    run = open_run(write_run(tmp_path / "run", 2))
    labels = np.zeros((64, 64), np.uint8)
    labels[4:20, 4:20], labels[40, 40], labels[50, 2:4] = 1, 2, 1
    for item_id in ("000000", "000001"):
        data = codec.encode_mask(labels, run.vocabulary().palette())
        (tmp_path / "run" / layout.mask(item_id)).write_bytes(data)
    report = export(open_source(run, splits={"train": 1}), "yolo", tmp_path / "yolo")
    assert "4 of 6 regions are specks (--min-area) and no objects here" in report.notes
    assert len((tmp_path / "yolo/labels/train/000000.txt").read_text().splitlines()) == 1
    rule = ObjectRule(min_area=0, stuff=("boat",))
    source = open_source(run, splits={"train": 1}, objects=rule)
    export(source, "coco", tmp_path / "coco")
    said = json.loads((tmp_path / "coco/annotations/instances_train.json").read_text())
    boats = [each for each in said["annotations"] if each["category_id"] == 1]
    assert [len(each["segmentation"]) for each in boats] == [2, 2]
    assert [each["area"] for each in boats] == [258, 258]
    assert boats[0]["bbox"] == [2, 4, 18, 47]


def test_objects_of_several_regions_are_one_line_in_yolo(tmp_path):
    run = open_run(write_run(tmp_path / "run", 1))
    labels = np.zeros((64, 64), np.uint8)
    labels[4:20, 4:20], labels[8:12, 8:12], labels[40:60, 30:60] = 1, 0, 1
    data = codec.encode_mask(labels, run.vocabulary().palette())
    (tmp_path / "run" / layout.mask("000000")).write_bytes(data)
    source = open_source(run, splits={"train": 1}, objects=ObjectRule(stuff=("boat",)))
    export(source, "yolo", tmp_path / "out")
    [line] = (tmp_path / "out/labels/train/000000.txt").read_text().splitlines()
    corners = np.array(line.split()[1:], float).reshape(-1, 2) * 64 - 0.5
    drawn = filled_by_parity(corners)
    assert (drawn == (labels == 1)).all()


def filled_by_parity(corners):
    """Fill by parity at the pixels' centres."""
    ys, xs = np.mgrid[:64, :64]
    crossings = np.zeros((64, 64), int)
    ends = np.roll(corners, -1, axis=0)
    for (x0, y0), (x1, y1) in zip(corners, ends, strict=True):
        if y0 != y1:
            between = (np.minimum(y0, y1) < ys) & (ys < np.maximum(y0, y1))
            at = x0 + (ys - y0) * (x1 - x0) / (y1 - y0)
            crossings += between & (xs > at)
    return crossings % 2 == 1


def test_classes_are_merged_and_dropped_on_the_way_out(run, tmp_path):
    change = partial(parse_relabelling, merge="boat, tree=thing", drop="star")
    export(open_source(run, splits={"train": 1}, change=change), "voc", tmp_path / "out")
    home = tmp_path / "out/VOCdevkit/VOC2012"
    table = np.array([0, 1, 1, 0, 4, *[0] * 250, 255])
    for path in (home / "SegmentationClass").iterdir():
        assert (np.asarray(Image.open(path)) == table[labels_of(path.stem)]).all()


@pytest.mark.parametrize(("text", "value"), [("0.1%", 0.001), ("50", 50), ("50 px", 50), ("0", 0)])
def test_least_areas(text, value):
    assert parse_min_area(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "much", "-1", "0.5", "101%", "nan"])
def test_least_areas_that_cannot_be_are_refused(text):
    with pytest.raises(ConfigError, match="--min-area"):
        parse_min_area(text)


@pytest.mark.parametrize("format_", sorted(FORMATS))
@pytest.mark.parametrize("marked", [False, True])
def test_nothing_is_written_through_a_link(tmp_path, format_, marked):
    run, secret = open_run(write_run(tmp_path / "run", 4)), tmp_path / "secret"
    export(open_source(run), format_, tmp_path / "first")
    names = sorted(each.relative_to(tmp_path / "first") for each in (tmp_path / "first").rglob("*"))
    for name in {each for each in names if (tmp_path / "first" / each).is_file()} | {names[0]}:
        out = tmp_path / f"out-{str(name).replace('/', '-')}"
        (out / name).parent.mkdir(parents=True)
        secret.write_bytes(b"mine")
        (out / name).symlink_to(secret)
        if marked:
            (out / MARKER).unlink(missing_ok=True)
            shutil.copy(tmp_path / "first" / MARKER, out / MARKER)
        with suppress(ExportError):
            export(open_source(run), format_, out, force=True)
        assert secret.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train=0.9,val=0.1", None),
        ("train=8,val=2", None),
        ("train=0.9,val=0.3", "the shares of --split sum to 1.2, not to 1; taken as proportions: train 75 %"),
        ("train=0.3,val=0.1", "sum to 0.4"),
    ],
)
def test_shares_that_do_not_sum_to_one_are_said(text: str, told: str | None) -> None:
    note = shares_note(parse_splits(text))
    assert (note is None) if told is None else (note is not None and told in note)
