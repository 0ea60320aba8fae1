"""MMSegmentation's folders, and a configuration that loads them."""

from functools import partial
from pathlib import Path

import numpy as np

from segmint.export.formats import Format
from segmint.export.source import ExportItem, Source
from segmint.export.spread import of_each
from segmint.runs import codec
from segmint.vocabulary import IGNORE

LAYOUT = """
`img_dir/SPLIT/` and `ann_dir/SPLIT/` (value 0 is the background, 1, 2, … the classes of `config.py` in their
order, 255 is left out). `config.py` holds `metainfo` and a `BaseSegDataset` for each split; take it by
`_base_ = ["FOLDER/config.py"]`.
"""


def write_mmsegmentation(source: Source, out: Path) -> list[str]:
    """Write the layout; ids become places in the list of classes, without gaps."""
    for split in source.splits:
        for name in ("img_dir", "ann_dir"):
            (out / name / split).mkdir(parents=True, exist_ok=True)
    suffixes: dict[str, str] = {}
    for split, written in of_each(source, partial(_write_item, out)):
        for suffix in written:
            suffixes.setdefault(split, suffix)
    (out / "config.py").write_text(_config(source, _palette(source), suffixes), encoding="utf-8")
    return []


def _write_item(out: Path, source: Source, split: str, item: ExportItem) -> str:
    """The suffix of its image."""
    entries = source.vocabulary.entries
    table = np.zeros(256, np.uint8)
    table[IGNORE] = IGNORE
    table[[entry.label_id for entry in entries]] = np.arange(1, len(entries) + 1)
    flat = [channel for colour in _palette(source) for channel in colour]
    flat += [0] * (765 - len(flat)) + [224, 224, 192]
    (out / "img_dir" / split / f"{item.record.id}.{item.suffix}").write_bytes(item.image)
    mask = codec.encode_mask(table[item.labels], flat)
    (out / "ann_dir" / split / f"{item.record.id}.png").write_bytes(mask)
    return item.suffix


def _palette(source: Source) -> list[tuple[int, int, int]]:
    return [(0, 0, 0), *(entry.colour for entry in source.vocabulary.entries)]


def _config(source: Source, palette: list[tuple[int, int, int]], suffixes: dict[str, str]) -> str:
    names = ("background", *source.vocabulary.names)
    text = (
        "# The folder that holds this file.\ndata_root = '.'\n"
        f"metainfo = dict(\n    classes={names!r},\n    palette={[list(each) for each in palette]!r},\n)\n"
    )
    for split in source.splits:
        text += (
            f"{split}_dataset = dict(\n    type='BaseSegDataset',\n    data_root=data_root,\n"
            "    metainfo=metainfo,\n"
            f"    data_prefix=dict(img_path='img_dir/{split}', seg_map_path='ann_dir/{split}'),\n"
            f"    img_suffix='.{suffixes.get(split, 'jpg')}',\n    seg_map_suffix='.png',\n"
            "    reduce_zero_label=False,\n    ignore_index=255,\n)\n"
        )
    return text


MMSEGMENTATION = Format(
    write=write_mmsegmentation,
    own_names=("img_dir", "ann_dir", "config.py"),
    layout=LAYOUT,
)
