"""Small runs made without any model, through the store itself."""

import numpy as np

from segmint.artifacts import AttentionSummary, LayerComponents, PromptSpec, TokenMaps
from segmint.runs import codec
from segmint.runs.attentionfile import encode_summary
from segmint.runs.files.local import Files
from segmint.runs.records import ItemRecord, RunHeader
from segmint.runs.store import Draft, Run, commit, write_image_sets, write_run
from segmint.vocabulary import Vocabulary

VOCABULARY = Vocabulary.of(["boat", "tree"])
RECIPE = 'schema_version = 1\n\n[model]\nid = "fake"\n'


def plan_of(count: int) -> list[PromptSpec]:
    return [
        PromptSpec(
            item_id=f"{index:06d}",
            index=index,
            prompt=f"a boat, number {index}",
            classes=("boat",),
            label_ids=(1,),
            phrases=(("boat",),),
            seed=2024 + index,
        )
        for index in range(count)
    ]


def header() -> RunHeader:
    return RunHeader(
        segmint_version="0.1.0",
        digest="0" * 64,
        created="2026-01-01T00:00:00+00:00",
        model="fake",
        vocabulary="custom",
        classes=VOCABULARY.entries,
    )


def summary_of(seed: int) -> AttentionSummary:
    rng = np.random.default_rng(seed)
    halves = rng.random((6, 4, 4)).astype(np.float16).astype(np.float32)
    maps = TokenMaps(
        tokens=("<SoT>", "boat", "<EoT>"),
        phrases=("boat",),
        phrase_tokens=((1,),),
        values=rng.random((3, 8, 8)).astype(np.float32),
    )
    return AttentionSummary(
        grid=(8, 8),
        components=(LayerComponents(layer="up_blocks.0", values=halves),),
        maps={"classes": maps},
    )


def draft_of(spec: PromptSpec, *, features: bool = False) -> Draft:
    rng = np.random.default_rng(spec.seed)
    image = rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    labels = np.zeros((16, 24), np.uint8)
    labels[:8, :12], labels[15, 23] = 1, 255
    blobs = {
        "image": codec.encode_image(image, "jpg"),
        "mask": codec.encode_mask(labels, VOCABULARY.palette()),
        "agreement": codec.encode_agreement(np.full((16, 24), 2 / 3, np.float32)),
    }
    if features:
        blobs["features"] = encode_summary(summary_of(spec.seed))
    record = ItemRecord(
        segmint_version="0.1.0",
        id=spec.item_id,
        index=spec.index,
        prompt=spec.prompt,
        classes=spec.classes,
        label_ids=spec.label_ids,
        phrases=spec.phrases,
        seed=spec.seed,
        model="fake",
        method="pcc",
    )
    return Draft(record=record, blobs=blobs)


def fill(files: Files, *, planned: int, done: int, features: bool = False) -> Run:
    run = write_run(files, header=header(), recipe_toml=RECIPE, plan=plan_of(planned))
    commit(files, [draft_of(spec, features=features) for spec in plan_of(done)])
    write_image_sets(run)
    return run
