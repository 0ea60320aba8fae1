"""Hugging Face datasets layout: parquet with images and masks inside, and a dataset card."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet

from segmint.export.card import yaml_text
from segmint.export.formats import Format
from segmint.export.source import ExportItem, Source
from segmint.runs import codec
from segmint.vocabulary import IGNORE

ROWS_A_FILE = 1000
"""Items in one parquet file: some hundred megabytes at 512 pixels."""
ROWS_A_GROUP = 50
"""Items held in memory at a time."""
LAYOUT = """
`data/SPLIT-*.parquet` with the columns image, mask (label ids as pixel values), id, prompt, classes (names in
the feature's metadata), uncertain_fraction, agreement and seed. Load it with `datasets.load_dataset(FOLDER)`.
"""


def write_huggingface(source: Source, out: Path) -> list[str]:
    """Write the layout; uncertain pixels stay 255 in the mask."""
    schema = features(source).arrow_schema
    (out / "data").mkdir(parents=True, exist_ok=True)
    for split, ids in source.splits.items():
        if ids:
            _write_split(source, split, out / "data", schema, math.ceil(len(ids) / ROWS_A_FILE))
    return []


def features(source: Source) -> Any:
    """The columns as `datasets.Features`; class names are in its `classes`."""
    import datasets

    return datasets.Features(
        {
            "image": datasets.Image(),
            "mask": datasets.Image(),
            "id": datasets.Value("string"),
            "prompt": datasets.Value("string"),
            "classes": [datasets.ClassLabel(names=list(source.vocabulary.label_names))],
            "uncertain_fraction": datasets.Value("float32"),
            "agreement": datasets.Value("float32"),
            "seed": datasets.Value("int64"),
        }
    )


def front_matter(source: Source, sizes: Mapping[str, int]) -> str:
    """The card's YAML: what the hub and `load_dataset` read."""
    licence = source.run.header.model_licence or "not recorded"
    files = "".join(
        f"  - split: {split}\n    path: data/{split}-*\n" for split, size in sizes.items() if size
    )
    return (
        "---\n"
        f"pretty_name: {yaml_text(source.run.header.model + ' synthetic masks')}\n"
        f"license: other\nlicense_name: {yaml_text(licence)}\n"
        "task_categories:\n- image-segmentation\ntags:\n- synthetic\n- segmint\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}"
        "---\n\n"
    )


def _write_split(source: Source, split: str, folder: Path, schema: Any, files: int) -> None:
    items = source.items(split)
    for number in range(files):
        path = folder / f"{split}-{number:05d}-of-{files:05d}.parquet"
        with pyarrow.parquet.ParquetWriter(path, schema, compression="snappy") as writer:
            for _ in range(0, ROWS_A_FILE, ROWS_A_GROUP):
                rows = [_row(item, source) for item, _ in zip(items, range(ROWS_A_GROUP), strict=False)]
                if not rows:
                    break
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _row(item: ExportItem, source: Source) -> dict[str, Any]:
    record = item.record
    mask = codec.encode_mask(item.labels, source.vocabulary.palette())
    return {
        "image": {"bytes": item.image, "path": f"{record.id}.{item.suffix}"},
        "mask": {"bytes": mask, "path": f"{record.id}.png"},
        "id": record.id,
        "prompt": record.prompt,
        "classes": [label_id for label_id in record.label_ids if label_id != IGNORE],
        "uncertain_fraction": record.uncertain_fraction,
        "agreement": record.agreement,
        "seed": record.seed,
    }


HUGGINGFACE = Format(
    write=write_huggingface,
    own_names=("data",),
    layout=LAYOUT,
    library="datasets",
    front_matter=front_matter,
)
