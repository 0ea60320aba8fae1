"""WebDataset shards: tar files to stream from, one key an item."""

import json
from pathlib import Path
from typing import Any

from segmint.export.formats import Format
from segmint.export.source import ExportItem, Source
from segmint.runs import codec

ITEMS_A_SHARD = 1000
SHARD_BYTES = 1_000_000_000
"""A shard ends at this size or at ITEMS_A_SHARD, whichever comes first."""
LAYOUT = """
`shards/SPLIT-NNNNNN.tar`; an item is `ID.jpg` (or `.png`), `ID.mask.png` (8-bit grey, pixel value = label
id) and `ID.json`. "l8" keeps the ids of masks:

```python
import webdataset as wds
data = wds.WebDataset(shards, shardshuffle=False)
data = data.decode(wds.handle_extension("mask.png", wds.imagehandler("l8")), "pil")
pairs = data.to_tuple("jpg", "mask.png", "json")
```
"""


def write_webdataset(source: Source, out: Path) -> list[str]:
    """Write the shards; uncertain pixels stay 255 in the mask."""
    from webdataset import ShardWriter

    (out / "shards").mkdir(parents=True, exist_ok=True)
    names = {entry.label_id: entry.name for entry in source.vocabulary.entries}
    (out / "classes.json").write_text(json.dumps({0: "background", **names, 255: "uncertain"}, indent=1))
    for split in source.splits:
        pattern = str(out / "shards" / f"{split.replace('%', '%%')}-%06d.tar")
        limits = {"maxcount": ITEMS_A_SHARD, "maxsize": SHARD_BYTES}
        with ShardWriter(pattern, **limits, verbose=0, encoder=False, mtime=0) as shards:
            for item in source.items(split):
                shards.write(_sample(item))
    return []


def _sample(item: ExportItem) -> dict[str, Any]:
    record = item.record.model_dump(mode="json", exclude={"files", "checksum", "timings_s"})
    return {
        "__key__": item.record.id,
        item.suffix: item.image,
        "mask.png": codec.encode_grey(item.labels),
        "json": json.dumps(record).encode(),
    }


WEBDATASET = Format(
    write=write_webdataset,
    own_names=("shards", "classes.json"),
    layout=LAYOUT,
    library="webdataset",
)
