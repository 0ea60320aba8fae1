"""MMSegmentation's folders, and a configuration that loads them."""

from pathlib import Path

import numpy as np

from segmint.export.formats import Format
from segmint.export.source import Source
from segmint.runs import codec
from segmint.vocabulary import IGNORE

LAYOUT = """
`img_dir/SPLIT/` and `ann_dir/SPLIT/` (value 0 is the background, 1, 2, … the classes of `config.py` in their
order, 255 is left out). `config.py` holds `metainfo` and a `BaseSegDataset` for each split; take it by
`_base_ = ["FOLDER/config.py"]`.
"""


def write_mmsegmentation(source: Source, out: Path) -> list[str]:
    """Write the layout; ids become places in the list of classes, without gaps."""
    entries = source.vocabulary.entries
    table = np.zeros(256, np.uint8)
    table[IGNORE] = IGNORE
    table[[entry.label_id for entry in entries]] = np.arange(1, len(entries) + 1)
    palette = [(0, 0, 0), *(entry.colour for entry in entries)]
    flat = [channel for colour in palette for channel in colour]
    flat += [0] * (765 - len(flat)) + [224, 224, 192]
    suffixes: dict[str, str] = {}
    for split in source.splits:
        images, masks = out / "img_dir" / split, out / "ann_dir" / split
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        for item in source.items(split):
            suffixes.setdefault(split, item.suffix)
            (images / f"{item.record.id}.{item.suffix}").write_bytes(item.image)
            (masks / f"{item.record.id}.png").write_bytes(codec.encode_mask(table[item.labels], flat))
    (out / "config.py").write_text(_config(source, palette, suffixes), encoding="utf-8")
    return []


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
