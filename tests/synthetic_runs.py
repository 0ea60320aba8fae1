"""Runs made by hand, fast: a few drawn scenes, linked as often as needed, with records that fit."""

import hashlib
import json
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from segmint.runs import layout
from segmint.runs.records import FileRecord, ItemRecord, RunHeader
from segmint.vocabulary import Vocabulary

CLASSES = ("boat", "tree", "star", "potted plant")
PROMPTS = (
    "a photo of a {0} on the sea",
    "two {0}s under a pale sky, oil painting",
    "a small {0} beside a {1}",
    "<b>bold</b> \"quotes\" & 'apostrophes' with a {0}",
    "a {0} 🦊 in the snow ❄️",
)
RECIPE = "schema_version = 1\n\n[sampling]\nsteps = 20\n"
BACKGROUNDS = ((74, 120, 150), (120, 140, 90), (190, 170, 120), (60, 60, 90))


@dataclass(frozen=True)
class Scene:
    jpeg: bytes
    png: bytes
    mask: bytes
    agreement: bytes
    labels: np.ndarray
    areas: dict[str, float]
    uncertain: float
    mean_agreement: float
    classes: tuple[str, ...]


def vocabulary(classes=CLASSES) -> Vocabulary:
    colours = {
        "boat": (228, 96, 74),
        "tree": (70, 160, 90),
        "star": (240, 200, 70),
        "potted plant": (130, 90, 200),
    }
    return Vocabulary.of(classes, colours={name: colours[name] for name in classes if name in colours})


def scene(number: int, size=(64, 64), classes=CLASSES) -> Scene:
    """Scene `number`: one or two shapes with an uncertain rim; scene 5, 13, … leaves one out."""
    rng = np.random.default_rng(number)
    names = vocabulary(classes)
    width, height = size
    image = Image.new("RGB", size, BACKGROUNDS[number % len(BACKGROUNDS)])
    mask = Image.new("L", size, 0)
    wanted = [number % len(classes)] + ([(number + 1) % len(classes)] if number % 3 else [])
    for order, which in enumerate(wanted):
        if order and number % 8 == 5:
            continue
        entry = names.entries[which]
        cx, cy = rng.uniform(0.25, 0.75, 2) * (width, height)
        rx, ry = rng.uniform(0.12, 0.25, 2) * (width, height)
        box, rim = (cx - rx, cy - ry, cx + rx, cy + ry), 2
        colour = tuple(int(c) for c in rng.integers(60, 250, 3))
        shape = "ellipse" if which % 2 else "rectangle"
        getattr(ImageDraw.Draw(image), shape)(box, fill=colour)
        outer = (box[0] - rim, box[1] - rim, box[2] + rim, box[3] + rim)
        getattr(ImageDraw.Draw(mask), shape)(outer, fill=255)
        getattr(ImageDraw.Draw(mask), shape)(box, fill=entry.label_id)
        if number % 4 == 0:  # a hole
            hole = (cx - rx / 3, cy - ry / 3, cx + rx / 3, cy + ry / 3)
            ImageDraw.Draw(mask).rectangle(hole, fill=0)
    labels = np.asarray(mask)
    agreement = np.where(labels == 255, 5 / 9, np.where(labels > 0, 8 / 9, 1.0)).astype(np.float32)
    return Scene(
        jpeg=_encoded(image, "JPEG", quality=95, subsampling=0),
        png=_encoded(image, "PNG"),
        mask=palette_png(labels, names),
        agreement=_encoded(Image.fromarray(np.round(255 * agreement).astype(np.uint8)), "PNG"),
        labels=labels,
        areas=areas(labels, names),
        uncertain=float((labels == 255).mean()),
        mean_agreement=float(agreement.mean()),
        classes=tuple(names.names[which] for which in wanted),
    )


def areas(labels: np.ndarray, names: Vocabulary) -> dict[str, float]:
    counts = np.bincount(labels.ravel(), minlength=256)
    return {name: float(counts[i] / labels.size) for i, name in enumerate(names.label_names) if counts[i]}


def palette_png(labels: np.ndarray, names: Vocabulary) -> bytes:
    image = Image.fromarray(labels)
    image.putpalette(names.palette())
    return _encoded(image, "PNG")


def write_header(run: Path, names: Vocabulary, items: int) -> None:
    for folder in (layout.ITEMS, layout.IMAGES, layout.MASKS, layout.AGREEMENT, layout.IMAGE_SETS):
        (run / folder).mkdir(parents=True, exist_ok=True)
    header = RunHeader(
        segmint_version="0.1.0",
        digest="0" * 64,
        created="2025-01-01T00:00:00+00:00",
        model="toybox",
        model_licence="Apache-2.0",
        vocabulary=names.name,
        items=items,
        classes=names.entries,
    )
    (run / layout.HEADER).write_text(header.model_dump_json(indent=1))
    (run / layout.RECIPE).write_text(RECIPE)


def write_run(
    run: Path, count: int, *, size=(64, 64), classes=CLASSES, distinct=12, suffix="jpg", start=0
) -> Path:
    """A run of `count` items; scenes repeat after `distinct`, hard-linked, so that 20 000 take seconds."""
    names = vocabulary(classes)
    if start == 0:
        write_header(run, names, count)
    scenes = [scene(number, size, classes) for number in range(min(distinct, max(count, 1)))]
    if start == 0:
        for index, each in enumerate(scenes):
            _write_files(run, f"{index:06d}", each, suffix)
    for index in range(start, start + count):
        item_id, each = f"{index:06d}", scenes[index % len(scenes)]
        if start or index >= len(scenes):
            _link_files(run, f"{index % len(scenes):06d}", item_id, suffix)
        write_record(run, item_id, index, each, suffix)
    ids = [f"{index:06d}" for index in range(start + count)]
    (run / layout.image_set("trainval")).write_text("".join(f"{i}\n" for i in ids))
    (run / layout.image_set("train")).write_text("".join(f"{i}\n" for i in ids))
    (run / layout.image_set("val")).write_text("")
    return run


def write_record(run: Path, item_id: str, index: int, each: Scene, suffix: str = "jpg", **changes) -> None:
    files = {
        "image": (layout.image(item_id, suffix), each.png if suffix == "png" else each.jpeg),
        "mask": (layout.mask(item_id), each.mask),
        "agreement": (layout.agreement(item_id), each.agreement),
    }
    names = list(dict.fromkeys([*each.classes]))
    labels = Image.open(BytesIO(each.mask)).size
    record = {
        "schema_version": 1,
        "segmint_version": "0.1.0",
        "id": item_id,
        "index": index,
        "prompt": PROMPTS[index % len(PROMPTS)].format(each.classes[0], each.classes[-1]),
        "classes": names,
        "label_ids": [CLASSES.index(n) + 1 if n in CLASSES else 1 for n in names],
        "phrases": [[n] for n in names],
        "seed": 2024 + index,
        "model": "toybox",
        "model_licence": "Apache-2.0",
        "method": "pcc",
        "width_px": labels[0],
        "height_px": labels[1],
        "files": {
            role: {"path": str(path), "bytes": len(data), "sha256": _sha256(data)}
            for role, (path, data) in files.items()
        },
        "areas": each.areas,
        "uncertain_fraction": each.uncertain,
        "agreement": each.mean_agreement,
        "timings_s": {"sampling": 1.0},
        **changes,
    }
    target = run / layout.record(item_id)
    pending = target.with_suffix(".tmp")
    pending.write_text(json.dumps(record))
    pending.rename(target)


def record(**changes) -> ItemRecord:
    """A record alone, for tests of rules and statistics."""
    base = {
        "segmint_version": "0.1.0", "id": "000001", "index": 1,
        "prompt": "a boat and a tree", "classes": ("boat", "tree"),
        "label_ids": (1, 2), "phrases": (("boat",), ("tree",)), "seed": 7, "model": "toybox", "method": "pcc",
        "width_px": 64, "height_px": 48, "areas": {"background": 0.6, "boat": 0.3}, "uncertain_fraction": 0.1,
        "agreement": 0.8,
        "files": {"mask": FileRecord(path="SegmentationClass/000001.png", bytes=1, sha256="0")},
    }  # fmt: skip
    return ItemRecord(**{**base, **changes})


def write_mask_set(
    run: Path, name: str, source_offset: int, count: int, *, size=(64, 64), distinct=12
) -> None:
    """A second mask set whose masks are those of other scenes, so that it differs."""
    for folder in (layout.MASKS, layout.AGREEMENT, layout.ITEMS):
        (run / layout.MASK_SETS / name / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        item_id, other = f"{index:06d}", scene((index + source_offset) % distinct, size)
        (run / layout.mask(item_id, name)).write_bytes(other.mask)
        (run / layout.agreement(item_id, name)).write_bytes(other.agreement)
        data = json.loads((run / layout.record(item_id)).read_text())
        data.update(method="ovam", areas=other.areas, uncertain_fraction=other.uncertain)
        data.update(agreement=other.mean_agreement)
        for role, path in (("mask", layout.mask), ("agreement", layout.agreement)):
            data["files"][role]["path"] = str(path(item_id, name))
        (run / layout.record(item_id, name)).write_text(json.dumps(data))


def _write_files(run: Path, item_id: str, each: Scene, suffix: str) -> None:
    (run / layout.image(item_id, suffix)).write_bytes(each.png if suffix == "png" else each.jpeg)
    (run / layout.mask(item_id)).write_bytes(each.mask)
    (run / layout.agreement(item_id)).write_bytes(each.agreement)


def _link_files(run: Path, source: str, item_id: str, suffix: str) -> None:
    for path in (lambda i: layout.image(i, suffix), layout.mask, layout.agreement):
        os.link(run / path(source), run / path(item_id))


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
