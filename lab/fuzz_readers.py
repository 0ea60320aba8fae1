"""Every reader of foreign data with small valid inputs: a row each, for `lab.fuzz`."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from segmint.artifacts import AttentionSummary, LayerComponents, PromptSpec, TokenMaps
from segmint.backbone.parts import check_folder
from segmint.labels.labelmap import read_label_map
from segmint.labels.legend import legend_of
from segmint.labels.maskfile import read_mask
from segmint.plan.classes import parse_classes, read_classes
from segmint.plan.photos.reading import read_photo
from segmint.plan.photos.sources import find_sources
from segmint.plan.prompts.readers import read_prompts
from segmint.plan.prompts.templates import load_templates
from segmint.recipe import Recipe, load_recipe
from segmint.runs import codec
from segmint.runs.curation.decisions import CurationLog
from segmint.runs.records import ItemRecord, RunHeader, decode_record, encode_record
from segmint.runs.splits import parse_splits
from segmint.specs import spec_from_json, spec_to_json
from segmint.training.data.datasets import match, read_pair
from segmint.training.data.readers.coco import read_coco
from segmint.training.data.readers.opening import open_set, parse_address
from segmint.training.data.readers.voc import read_voc
from segmint.training.fit.checkpoint import Facts, read_facts, save
from segmint.training.recipes import TrainingRecipe, names
from segmint.training.settings import TrainSettings
from segmint.vocabulary import Vocabulary

TOWN = Vocabulary.of(["boat", "tree"])
SIDE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A reader, where it finds its input, and valid inputs to begin from."""

    name: str
    file: Path
    seeds: Sequence[bytes]
    read: Callable[[], object]
    turn: int = 200
    """Executions in a row: fewer where each takes longer."""


def readers(folder: Path) -> list[Reader]:
    """All of them, working in a folder of their own."""
    return [*_labels(folder), *_pictures(folder), *_plans(folder), *_runs(folder), *_models(folder)]


def _labels(folder: Path) -> Iterator[Reader]:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "images/a.png").write_bytes(_picture("PNG"))
    path = folder / "labelmap.txt"
    maps = (
        b"# label:color_rgb:parts:actions\nbackground:0,0,0::\nboat:128,0,0::\ntree:0,128,0::\n",
        b"0: background: 0,0,0\n1: boat: 128,0,0 # c\n3: tree: #00ff00\n255: void\n",
        b"1 boat\n2\ttree\n3,sea,1,2,3\n",
    )
    yield Reader(name="label map", file=path, seeds=maps, read=lambda: read_label_map(path))
    devkit = folder / "voc"
    for name, data in (
        ("JPEGImages/a.png", _picture("PNG")),
        ("JPEGImages/sub/b 1.png", _picture("PNG")),
        ("SegmentationClass/a.png", _mask()),
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
    coco = folder / "instances.json"
    yield Reader(name="COCO", file=coco, seeds=(_coco(),), read=lambda: _drawn(coco), turn=100)
    address = folder / "address"
    yield Reader(
        name="dataset address",
        file=address,
        seeds=(b"voc:/nowhere@val", b"coco:a.json@images", str(folder / "voc").encode()),
        read=lambda: open_set(parse_address(_text(address))),
    )


def _drawn(path: Path) -> None:
    found = read_coco(path, images=path.parent / "images")
    for sample in match(found, list(found.classes.values())).samples:
        read_pair(sample)


def _pictures(folder: Path) -> Iterator[Reader]:
    photo, mask = folder / "photo", folder / "mask"
    kinds = [_picture(kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM")]
    deep = _encoded(Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)), "PNG")
    yield Reader(name="photograph", file=photo, seeds=(*kinds, deep), read=lambda: read_photo(photo))
    masks = (
        _mask(),
        _encoded(Image.new("1", (SIDE, SIDE), 1), "PNG"),
        _encoded(Image.new("L", (SIDE, SIDE)), "TIFF"),
    )
    legend = legend_of(TOWN)
    yield Reader(name="mask", file=mask, seeds=masks, read=lambda: read_mask(mask, legend))


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
        read=lambda: TrainingRecipe.load(training),
        turn=50,
    )
    written = (TrainSettings().to_toml().encode(),)
    yield Reader(
        name="training settings", file=settings, seeds=written, read=lambda: TrainSettings.load(settings)
    )


def _runs(folder: Path) -> Iterator[Reader]:
    record, header, plan, features, log = (
        folder / name for name in ("item.json", "run.json", "plan.jsonl", "features.npz", "curation.jsonl")
    )
    item = ItemRecord(
        segmint_version="0", id="a", index=0, prompt="a boat", classes=("boat",), label_ids=(1,),
        phrases=(("boat",),), seed=1, model="m", method="segmint",
    )  # fmt: skip
    own = RunHeader(
        segmint_version="0", digest="0", created="2026-01-01T00:00:00Z", model="m", vocabulary="town",
        classes=TOWN.entries,
    )  # fmt: skip
    spec = PromptSpec(
        item_id="a", index=0, prompt="a boat", classes=("boat",), label_ids=(1,), phrases=(("boat",),), seed=1
    )
    yield Reader(
        name="item record",
        file=record,
        seeds=(encode_record(item),),
        read=lambda: decode_record(record.read_bytes(), ItemRecord, source="item.json"),
    )
    yield Reader(
        name="run header",
        file=header,
        seeds=(encode_record(own),),
        read=lambda: decode_record(header.read_bytes(), RunHeader, source="run.json"),
    )
    yield Reader(
        name="plan", file=plan, seeds=(spec_to_json(spec).encode(),), read=lambda: spec_from_json(_text(plan))
    )
    yield Reader(
        name="features",
        file=features,
        seeds=(codec.encode_summary(_summary()),),
        read=lambda: codec.decode_summary(features.read_bytes(), source="features.npz"),
        turn=50,
    )
    event = {"event_id": "1", "time": "2026-01-01T00:00:00Z", "by": "me", "decisions": {"a": "rejected"}}
    lines = json.dumps(event).encode() + b"\n"
    yield Reader(
        name="curation",
        file=log,
        seeds=(lines, lines * 2),
        read=lambda: CurationLog(None).replay(log.read_bytes()),
    )


def _models(folder: Path) -> Iterator[Reader]:
    home = folder / "model"
    parts = ("unet", "vae", "text_encoder")
    index = {
        "_class_name": "StableDiffusionPipeline",
        **{part: ["diffusers", "UNet2DConditionModel"] for part in (*parts, "tokenizer", "scheduler")},
    }
    for part in (*parts, "tokenizer", "scheduler"):
        (home / part).mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "tokenizer_config.json", "scheduler_config.json"):
            (home / part / name).write_text("{}")
    weights = _weights()
    for part in parts:
        (home / part / "model.safetensors").write_bytes(weights)
    (home / "model_index.json").write_text(json.dumps(index))
    spare = folder / "model-index"
    yield Reader(
        name="model index",
        file=spare,
        seeds=(json.dumps(index).encode(),),
        read=lambda: _with(home / "model_index.json", spare, lambda: check_folder(home, "m")),
    )
    shards = folder / "shards"
    listed = json.dumps({"metadata": {}, "weight_map": {"a": "model.safetensors"}}).encode()
    yield Reader(
        name="list of shards",
        file=shards,
        seeds=(listed,),
        read=lambda: _with(
            home / "unet/model.safetensors.index.json", shards, lambda: check_folder(home, "m"), keep=False
        ),
    )
    tensors = folder / "weights"
    yield Reader(
        name="weights",
        file=tensors,
        seeds=(weights,),
        read=lambda: _with(home / "vae/model.safetensors", tensors, lambda: check_folder(home, "m")),
    )
    checkpoint = folder / "best.safetensors"
    facts = Facts(architecture="toynet", classes=("boat",), iteration=1, digest="0", settings={})
    save(checkpoint, {"a": torch.ones(2, 3)}, facts)
    yield Reader(
        name="checkpoint",
        file=checkpoint,
        seeds=(checkpoint.read_bytes(),),
        read=lambda: read_facts(checkpoint),
    )


def _with(place: Path, spare: Path, read: Callable[[], object], *, keep: bool = True) -> None:
    """Read with an input in the place of a file that others need whole."""
    before = place.read_bytes() if keep else None
    place.write_bytes(spare.read_bytes())
    try:
        read()
    finally:
        place.unlink() if before is None else place.write_bytes(before)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _shipped(name: str) -> bytes:
    from importlib.resources import files

    return (files("segmint.training") / "recipes" / f"{name}.toml").read_bytes()


def _weights() -> bytes:
    from safetensors.numpy import save as serialised

    return bytes(serialised({"a": np.ones((2, 3), np.float32)}))


def _coco() -> bytes:
    counts = [0, 4, SIDE * SIDE - 4]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 2, "segmentation": {"size": [SIDE, SIDE], "counts": counts}},
        {"id": 3, "image_id": 1, "category_id": 2, "segmentation": {"size": [SIDE, SIDE], "counts": "04l1"}},
    ]
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": "a.png", "width": SIDE, "height": SIDE}],
            "annotations": annotations[:2],
            "categories": [{"id": 1, "name": "boat"}, {"id": 2, "name": "tree", "supercategory": "plant"}],
        }
    ).encode()


def _summary() -> AttentionSummary:
    rng = np.random.default_rng(0)
    maps = TokenMaps(
        tokens=("<SoT>", "boat"),
        phrases=("boat",),
        phrase_tokens=((1,),),
        values=rng.random((2, 4, 4), dtype=np.float32),
    )
    layer = LayerComponents(layer="up", values=rng.random((3, 4, 4)).astype(np.float16).astype(np.float32))
    return AttentionSummary(grid=(4, 4), components=(layer,), maps={"classes": maps})


def _picture(kind: str) -> bytes:
    noise = np.frombuffer(hashlib.sha256(kind.encode()).digest() * 6, np.uint8).reshape(SIDE, SIDE, 3)
    return _encoded(Image.fromarray(noise), kind)


def _mask() -> bytes:
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[2:5, 2:5], labels[6] = 1, 255
    return codec.encode_mask(labels, TOWN.palette())


def _encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()
