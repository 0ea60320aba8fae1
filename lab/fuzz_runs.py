"""Readers of runs, of what corrects them, and of models, for `lab.fuzz`."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED

import numpy as np
import torch

from lab.fuzz_inputs import (
    LABEL_MAP,
    SIDE,
    TOWN,
    Reader,
    as_array,
    attention,
    mask,
    members_of,
    tasks,
    weights_file,
    zipped,
)
from segmint.artifacts import PromptSpec
from segmint.backbone.parts import check_folder
from segmint.errors import DatasetError
from segmint.export.corrections import read_corrections
from segmint.masks.evidence import ClassQuery
from segmint.masks.settings import profile
from segmint.pipeline import remake
from segmint.recipe import Recipe
from segmint.runs.attentionfile import decode_summary, encode_summary
from segmint.runs.curation.decisions import CurationLog
from segmint.runs.curation.rules import parse_rule
from segmint.runs.records import ItemRecord, MaskSetRecord, RunHeader, decode_record, encode_record
from segmint.specs import spec_from_json, spec_to_json
from segmint.training.fit.checkpoint import Facts, read_facts, save
from segmint.training.fit.log import LOG, TrainingLog

SPEC = PromptSpec(
    item_id="a", index=0, prompt="a boat", classes=("boat",), label_ids=(1,), phrases=(("boat",),), seed=1
)
METHODS = ("segmint", "pcc", "daam", "dataset-diffusion")
PARTS = ("components.0", "maps.classes@half", "affinity", "denoising.gains", "denoising.change")
"""Arrays that are damaged one by one."""


def of_runs(folder: Path) -> Iterator[Reader]:
    """Those of this file, working in a folder of their own."""
    yield from _runs(folder)
    yield from _features(folder)
    yield from _corrections(folder)
    yield from _models(folder)


def _runs(folder: Path) -> Iterator[Reader]:
    record, header, plan, settings, log = (
        folder / name for name in ("item.json", "run.json", "plan.jsonl", "masks.json", "curation.jsonl")
    )
    item = ItemRecord(
        segmint_version="0", id="a", index=0, prompt="a boat", classes=("boat",), label_ids=(1,),
        phrases=(("boat",),), seed=1, model="m", method="segmint",
    )  # fmt: skip
    own = RunHeader(
        segmint_version="0", digest="0", created="2026-01-01T00:00:00Z", model="m", vocabulary="town",
        classes=TOWN.entries,
    )  # fmt: skip
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
        name="plan", file=plan, seeds=(spec_to_json(SPEC).encode(),), read=lambda: spec_from_json(_text(plan))
    )
    made = MaskSetRecord(segmint_version="0", settings=Recipe().masks.model_dump(mode="json"))
    yield Reader(
        name="mask set's settings",
        file=settings,
        seeds=(encode_record(made),),
        read=lambda: _mask_settings(settings),
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

    rule = folder / "rule"
    yield Reader(
        name="rule",
        file=rule,
        seeds=(
            b"uncertain > 0.4 and not area(boat) < 1% or prompt contains 'a b'",
            b'(index==3)or id != "x"',
        ),
        read=lambda: parse_rule(_text(rule), TOWN.names),
    )
    training = folder / "training"
    training.mkdir(exist_ok=True)
    yield Reader(
        name="training log",
        file=training / LOG,
        seeds=(b'{"iteration": 1, "loss": 0.5}\n{"iteration": 2, "mean_iou_raw": 0.1}\n',),
        read=lambda: TrainingLog(training, iteration=1, writes=False),
    )


def _mask_settings(path: Path) -> None:
    record = decode_record(path.read_bytes(), MaskSetRecord, source=path.name)
    Recipe.parse({"masks": record.settings}, source="mask set")


def _features(folder: Path) -> Iterator[Reader]:
    file, header = folder / "features.npz", folder / "header"
    whole = encode_summary(attention())
    members = members_of(whole)
    said = bytes(np.load(BytesIO(members.pop("header.npy"))))
    yield Reader(name="features", file=file, seeds=(whole,), read=lambda: _remade(file.read_bytes()), turn=50)
    yield Reader(
        name="features' header",
        file=header,
        seeds=(said,),
        read=lambda: _remade(_stored(members, "header.npy", as_array(header.read_bytes()))),
        turn=50,
    )
    members["header.npy"] = as_array(said)
    for name in (f"{part}.npy" for part in PARTS):
        part = folder / name
        yield Reader(
            name=f"features' {part.stem}",
            file=part,
            seeds=(members[name],),
            read=partial(_remade_with, members, part),
            turn=50,
        )


def _remade_with(members: Mapping[str, bytes], part: Path) -> None:
    _remade(_stored(members, part.name, part.read_bytes()))


def _stored(members: Mapping[str, bytes], name: str, data: bytes) -> bytes:
    return zipped({**members, name: data}, method=ZIP_STORED)


def _remade(features: bytes) -> None:
    """What `remask` makes of stored attention."""
    summary = decode_summary(features, source="features.npz")
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for method in METHODS:
        remake(summary, image, ClassQuery.of_spec(SPEC), profile(method))


def _corrections(folder: Path) -> Iterator[Reader]:
    corrected = folder / "corrected"
    corrected.mkdir(exist_ok=True)
    home = "SegmentationClass"
    archive = zipped({"labelmap.txt": LABEL_MAP, f"{home}/a.png": mask()})
    packed = {
        "labelmap.txt": lambda data: {"labelmap.txt": data, f"{home}/a.png": mask()},
        "a.png": lambda data: {"labelmap.txt": LABEL_MAP, f"{home}/a.png": data},
    }
    for name, seeds in (("corrected.zip", (archive,)), ("corrected.json", (tasks(),))):
        path = folder / name
        yield Reader(name=f"import {name}", file=path, seeds=seeds, read=partial(_imported, path))
    for (name, members), seed in zip(packed.items(), (LABEL_MAP, mask()), strict=True):
        path = folder / f"member-{name}"
        yield Reader(
            name=f"import {name} of a zip",
            file=path,
            seeds=(seed,),
            read=partial(_imported_within, path, members, corrected / "all.zip"),
        )
    loose = corrected / "a.png"
    yield Reader(name="import folder", file=loose, seeds=(mask(),), read=partial(_imported, corrected))


def _imported(path: Path) -> None:
    read_corrections(path, TOWN, _size_of)


def _imported_within(path: Path, members: Callable[[bytes], dict[str, bytes]], archive: Path) -> None:
    archive.write_bytes(zipped(members(path.read_bytes())))
    _imported(archive)


def _size_of(item_id: str) -> tuple[int, int]:
    if item_id != "a":
        raise DatasetError("the run has no such item")
    return SIDE, SIDE


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
    weights = weights_file()
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
