"""Every reader of foreign data with small valid inputs: a row each, for `lab.fuzz`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from lab.fuzz_inputs import LABEL_MAP, SIDE, TOWN, Reader, coco_file, encoded, mask, picture
from lab.fuzz_runs import of_runs
from segmint.labels.labelmap import read_label_map
from segmint.labels.legend import legend_of
from segmint.labels.maskfile import read_mask
from segmint.plan.classes import parse_classes, read_classes
from segmint.plan.photos.reading import read_photo
from segmint.plan.photos.sources import find_sources
from segmint.plan.prompts.readers import read_prompts
from segmint.plan.prompts.templates import load_templates
from segmint.recipe import Recipe, load_recipe
from segmint.runs.splits import parse_splits
from segmint.training.courses import Course, names
from segmint.training.data.datasets import LabelledSet
from segmint.training.data.overview import Overview, read_all
from segmint.training.data.readers.coco import read_coco
from segmint.training.data.readers.opening import open_set, parse_address
from segmint.training.data.readers.voc import read_voc
from segmint.training.settings import TrainSettings


def readers(folder: Path) -> list[Reader]:
    """All of them, working in a folder of their own."""
    return [*_labels(folder), *_pictures(folder), *_plans(folder), *of_runs(folder)]


def _labels(folder: Path) -> Iterator[Reader]:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "images/a.png").write_bytes(picture("PNG"))
    path = folder / "labelmap.txt"
    maps = (
        LABEL_MAP,
        b"0: background: 0,0,0\n1: boat: 128,0,0 # c\n3: tree: #00ff00\n255: void\n",
        b"1 boat\n2\ttree\n3,sea,1,2,3\n",
    )
    yield Reader(name="label map", file=path, seeds=maps, read=lambda: read_label_map(path))
    devkit = folder / "voc"
    for name, data in (
        ("JPEGImages/a.png", picture("PNG")),
        ("JPEGImages/sub/b 1.png", picture("PNG")),
        ("SegmentationClass/a.png", mask()),
        ("labelmap.txt", maps[0]),
        ("ImageSets/Segmentation/train.txt", b"a\n"),
    ):
        (devkit / name).parent.mkdir(parents=True, exist_ok=True)
        (devkit / name).write_bytes(data)
    yield Reader(
        name="image set",
        file=devkit / "ImageSets/Segmentation/val.txt",
        seeds=(b"a\nsub/b 1\n", b"a 1\r\nsub\\b 1 -1\r\n", b"\xef\xbb\xbfa.png\n\n./sub/b 1.jpg\n"),
        read=lambda: read_voc(devkit, part="val"),
    )
    yield Reader(
        name="inspect",
        file=devkit / "SegmentationClass/a.png",
        seeds=(mask(),),
        read=lambda: _inspected(read_voc(devkit, part="train")),
    )
    coco, images = folder / "instances.json", folder / "images"
    yield Reader(
        name="COCO",
        file=coco,
        seeds=(coco_file(),),
        read=lambda: _inspected(read_coco(coco, images=images)),
        turn=100,
    )
    address = folder / "address"
    yield Reader(
        name="dataset address",
        file=address,
        seeds=(b"voc:/nowhere@val", b"coco:a.json@images", str(folder / "voc").encode()),
        read=lambda: open_set(parse_address(_text(address))),
    )


def _inspected(found: LabelledSet) -> None:
    overview = Overview(found)
    for each in read_all(found):
        overview.add(each)
    overview.as_json()


def _pictures(folder: Path) -> Iterator[Reader]:
    photo, label = folder / "photo", folder / "mask"
    kinds = [picture(kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM")]
    deep = encoded(Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)), "PNG")
    yield Reader(name="photograph", file=photo, seeds=(*kinds, deep), read=lambda: read_photo(photo))
    masks = (
        mask(),
        encoded(Image.new("1", (SIDE, SIDE), 1), "PNG"),
        encoded(Image.new("L", (SIDE, SIDE)), "TIFF"),
    )
    legend = legend_of(TOWN)
    yield Reader(name="mask", file=label, seeds=masks, read=lambda: read_mask(label, legend))


def _plans(folder: Path) -> Iterator[Reader]:
    prompts = {
        ".jsonl": b'{"prompt": "a boat", "classes": ["boat"], "seed": 3}\n{"prompt": "a tree", "id": "t"}\n',
        ".json": b'[{"prompt": "a boat", "classes": "boat, tree"}, {"caption": "tree"}]',
        ".csv": b'prompt,classes,id\n"a boat, blue",boat,b\na tree,tree,t\n',
        ".txt": b"a boat\na tree and a boat; boat tree\n",
    }
    for suffix, seed in prompts.items():
        path = folder / f"prompts{suffix}"
        yield Reader(
            name=f"prompts {suffix}",
            file=path,
            seeds=(seed,),
            read=partial(read_prompts, path, TOWN),
        )
    classes = {
        ".toml": b'classes = ["boat", {name = "tree", phrases = ["oak"], colour = [1, 2, 3]}]\n',
        ".json": b'{"classes": {"boat": ["ship"], "tree": {"phrases": "oak", "colour": [1, 2, 3]}}}',
        ".txt": b"boat: ship, yacht\n# c\ntree\n",
    }
    for suffix, seed in classes.items():
        path = folder / f"classes{suffix}"
        yield Reader(name=f"classes {suffix}", file=path, seeds=(seed,), read=partial(read_classes, path))
    line = folder / "line"
    yield Reader(
        name="class list",
        file=line,
        seeds=(b"boat, tree=oak|elm", b"voc: cat, dog", b"coco"),
        read=lambda: parse_classes(_text(line)),
    )
    splits = folder / "splits"
    yield Reader(
        name="splits", file=splits, seeds=(b"train=0.8,val=0.2",), read=lambda: parse_splits(_text(splits))
    )
    photos = {
        ".txt": b"images/a.png\n# c\nimages\\a.png\n",
        ".jsonl": b'{"image": "images/a.png", "classes": ["boat"]}\n',
    }
    for suffix, seed in photos.items():
        path = folder / f"photos{suffix}"
        yield Reader(
            name=f"photo list {suffix}", file=path, seeds=(seed,), read=partial(find_sources, [path])
        )
    templates = folder / "templates.toml"
    yield Reader(
        name="templates",
        file=templates,
        seeds=(b'prompt = ["a photo of {things}"]\nthing = ["a(n) {name}"]\nlink = [" and "]\n',),
        read=lambda: load_templates(templates),
    )
    recipe, training, settings = (folder / name for name in ("recipe.toml", "training.toml", "settings.toml"))
    yield Reader(
        name="recipe",
        file=recipe,
        seeds=(Recipe().to_toml().encode(),),
        read=lambda: load_recipe(recipe),
        turn=50,
    )
    shipped = tuple(_shipped(name) for name in names())
    yield Reader(
        name="training recipe",
        file=training,
        seeds=shipped,
        read=lambda: Course.load(training),
        turn=50,
    )
    written = (TrainSettings().to_toml().encode(),)
    yield Reader(
        name="training settings", file=settings, seeds=written, read=lambda: TrainSettings.load(settings)
    )


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _shipped(name: str) -> bytes:
    from importlib.resources import files

    return (files("segmint.training") / "courses" / f"{name}.toml").read_bytes()
