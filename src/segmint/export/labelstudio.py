"""Label Studio: tasks with the masks as brush predictions, to be corrected there."""

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from segmint.export.brush_rle import encode_brush
from segmint.export.formats import Format
from segmint.export.source import ExportItem, Source
from segmint.vocabulary import IGNORE, voc_colour

UNCERTAIN = "uncertain"
"""Label of the pixels that are 255."""
LAYOUT = """
`images/`, `tasks.json` (an image a task, its mask as one brush prediction a class) and `config.xml` (the
labelling interface). In Label Studio: serve this folder as local files (`LOCAL_FILES_SERVING_ENABLED=true`,
`LOCAL_FILES_DOCUMENT_ROOT=FOLDER`), set the interface to `config.xml`, import `tasks.json`.
What is exported there as JSON comes back by `segmint import RUN FILE.json`.
"""


def write_labelstudio(source: Source, out: Path) -> list[str]:
    """Write the tasks one by one; uncertain pixels are a label of their own."""
    (out / "images").mkdir(parents=True, exist_ok=True)
    names = {entry.label_id: entry.name for entry in source.vocabulary.entries} | {IGNORE: UNCERTAIN}
    (out / "config.xml").write_text(_interface(source), encoding="utf-8")
    with (out / "tasks.json").open("w", encoding="utf-8") as tasks:
        joint = "["
        for split in source.splits:
            for item in source.items(split):
                name = f"{item.record.id}.{item.suffix}"
                (out / "images" / name).write_bytes(item.image)
                tasks.write(f"{joint}\n{json.dumps(_task(item, name, split, names))}")
                joint = ","
        tasks.write("\n]\n" if joint == "," else "[]\n")
    return []


def _task(item: ExportItem, name: str, split: str, names: dict[int, str]) -> dict[str, Any]:
    height, width = item.labels.shape
    found = [
        {
            "id": f"{item.record.id}-{label_id}",
            "from_name": "mask",
            "to_name": "image",
            "type": "brushlabels",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": encode_brush(item.labels == label_id),
                "brushlabels": [class_name],
            },
        }
        for label_id, class_name in names.items()
        if (item.labels == label_id).any()
    ]
    return {
        "data": {
            "image": f"/data/local-files/?d=images/{name}",
            "item": item.record.id,
            "prompt": item.record.prompt,
            "split": split,
        },
        "predictions": [{"model_version": "segmint", "result": found}],
    }


def _interface(source: Source) -> str:
    colours = {entry.name: entry.colour for entry in source.vocabulary.entries}
    colours[UNCERTAIN] = voc_colour(IGNORE)
    labels = "".join(
        f'    <Label value={quoteattr(name)} background="#{bytes(colour).hex()}"/>\n'
        for name, colour in colours.items()
    )
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <BrushLabels name="mask" toName="image">\n{labels}  </BrushLabels>\n</View>\n'
    )


LABEL_STUDIO = Format(
    write=write_labelstudio,
    own_names=("images", "tasks.json", "config.xml"),
    layout=LAYOUT,
)
