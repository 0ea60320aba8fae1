"""FiftyOne's `ImageSegmentationDirectory`: images and grey masks, a folder a split."""

import json
from pathlib import Path

from segmint.export.formats import Format
from segmint.export.source import Source
from segmint.runs import codec
from segmint.vocabulary import BACKGROUND, IGNORE

LAYOUT = """
`splits/SPLIT/data/`, `splits/SPLIT/labels/` (grey PNG, pixel value = label id) and
`mask_targets.json`. Load a split with

```python
import json, fiftyone as fo
data = fo.Dataset.from_dir("FOLDER/splits/train", dataset_type=fo.types.ImageSegmentationDirectory)
targets = json.load(open("FOLDER/mask_targets.json"))
data.default_mask_targets = {int(value): name for value, name in targets.items()}
```
"""


def write_fiftyone(source: Source, out: Path) -> list[str]:
    """Write the folders; uncertain pixels stay 255, named so among the mask targets."""
    names = {entry.label_id: entry.name for entry in source.vocabulary.entries}
    targets = {BACKGROUND: "background", **names, IGNORE: "uncertain"}
    (out / "mask_targets.json").write_text(json.dumps(targets, indent=1))
    for split in source.splits:
        images, masks = out / "splits" / split / "data", out / "splits" / split / "labels"
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        for item in source.items(split):
            (images / f"{item.record.id}.{item.suffix}").write_bytes(item.image)
            (masks / f"{item.record.id}.png").write_bytes(codec.encode_grey(item.labels))
    return ["prompts are not kept: this layout holds images and masks alone"]


FIFTYONE = Format(
    write=write_fiftyone,
    own_names=("splits", "mask_targets.json"),
    layout=LAYOUT,
)
