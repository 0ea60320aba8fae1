"""What `lab.fuzz` begins from: a reader, and small valid inputs of each kind."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segmint.artifacts import Affinity, AttentionSummary, DenoisingEvidence, LayerComponents, TokenMaps
from segmint.export.brush_rle import encode_brush
from segmint.runs import codec
from segmint.vocabulary import Vocabulary

TOWN = Vocabulary.of(["boat", "tree"])
SIDE = 8
TEXTS = ("classes", "classes@fine", "classes@half", "classes@16", "prompt")
"""Names of the token maps that methods read."""
LABEL_MAP = b"# label:color_rgb:parts:actions\nbackground:0,0,0::\nboat:128,0,0::\ntree:0,128,0::\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A reader, where it finds its input, and valid inputs to begin from."""

    name: str
    file: Path
    seeds: Sequence[bytes]
    read: Callable[[], object]
    turn: int = 200
    """Executions in a row: fewer where each takes longer."""


def weights_file() -> bytes:
    """A file of weights: one tensor."""
    from safetensors.numpy import save as serialised

    return bytes(serialised({"a": np.ones((2, 3), np.float32)}))


def coco_file() -> bytes:
    """An image with an outline and runs."""
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


def attention() -> AttentionSummary:
    """What a run stores of an item's attention."""
    rng = np.random.default_rng(0)
    maps = TokenMaps(
        tokens=("<SoT>", "boat"),
        phrases=("boat",),
        phrase_tokens=((1,),),
        values=rng.random((2, 4, 4), dtype=np.float32),
    )
    layer = LayerComponents(layer="up", values=rng.random((3, 4, 4)).astype(np.float16).astype(np.float32))
    near = Affinity(grid=(2, 2), values=np.full((4, 4), 0.25, np.float32))
    gains = rng.random((1, 4, 4), dtype=np.float32)
    seen = DenoisingEvidence(classes=("boat",), gains=gains, change=gains[0])
    texts = dict.fromkeys(TEXTS, maps)
    return AttentionSummary(grid=(4, 4), components=(layer,), maps=texts, affinity=near, denoising=seen)


def picture(kind: str) -> bytes:
    """Noise in one of Pillow's formats."""
    noise = np.frombuffer(hashlib.sha256(kind.encode()).digest() * 6, np.uint8).reshape(SIDE, SIDE, 3)
    return encoded(Image.fromarray(noise), kind)


def mask() -> bytes:
    """A mask as a run holds it."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[2:5, 2:5], labels[6] = 1, 255
    return codec.encode_mask(labels, TOWN.palette())


def encoded(picture: Image.Image, kind: str) -> bytes:
    """A picture in one of Pillow's formats."""
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Members side by side."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def members_of(features: bytes) -> dict[str, bytes]:
    """The arrays of stored attention, each as its file in the archive."""
    with zipfile.ZipFile(io.BytesIO(features)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def as_array(data: bytes) -> bytes:
    """Bytes as an array's file."""
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(data, np.uint8))
    return buffer.getvalue()


def tasks() -> bytes:
    """Label Studio's JSON of one corrected item."""
    inside = np.zeros((SIDE, SIDE), bool)
    inside[2:5, 2:5] = True
    value = {"format": "rle", "rle": encode_brush(inside), "brushlabels": ["boat"]}
    result = [{"type": "brushlabels", "original_width": SIDE, "original_height": SIDE, "value": value}]
    data = {"image": "/data/local-files/?d=images/a.jpg", "item": "a"}
    return json.dumps([{"data": data, "annotations": [{"result": result}]}]).encode()
