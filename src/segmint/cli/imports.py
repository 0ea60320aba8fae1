"""`segmint import RUN FILE`: masks that were corrected elsewhere, as a mask set of their own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.telling import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segmint.artifacts import Mask
    from segmint.export.corrections import Size
    from segmint.runs.store import Run


def import_(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CVAT's Segmentation mask 1.1 (.zip), Label Studio's or COCO's .json, or a folder of PNG "
            "masks named by item.",
        ),
    ],
    *,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="New mask set; default: corrected, corrected-2, …")
    ] = None,
    masks: opt.Masks = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Take corrected masks back into a run; what was minted stays as it is.

    They become a mask set, with the masks of --masks for all other items, that export, report, train and
    evaluate take from now on. The corrected items count as kept. curate --undo takes both back.
    """
    from segmint.export.corrections import free_name, put_in, read_corrections
    from segmint.runs.masksets import sets_by_item
    from segmint.runs.store import open_run

    opened = open_run(run)
    size_of = _Sizes(opened, sets_by_item(opened, masks))
    found = _coco(opened, file, size_of) or read_corrections(file, opened.vocabulary(), size_of)
    chosen = name or free_name(opened)
    changed = put_in(opened, found, chosen, base=masks, origin=file.name)
    if not quiet:
        say(
            f"{len(found)} masks are in the mask set {chosen}, {changed} of them changed; exports, reports "
            "and trainings take it from now on (curate --undo takes it back)"
        )


class _Sizes:
    """The size of an item's image, for those that the run has."""

    def __init__(self, run: "Run", sets: "Mapping[str, str]") -> None:
        self._run, self._sets = run, sets

    def __call__(self, item_id: str) -> "Size":
        from segmint.errors import DatasetError
        from segmint.runs import codec, layout
        from segmint.textfile import shown

        if item_id not in self._sets:
            raise DatasetError(f"the run has no item {shown(item_id)}; nothing is imported")
        path = layout.mask(item_id, self._sets[item_id])
        mask = codec.decode_mask(self._run.files.read(path), source=str(path))
        return mask.shape[0], mask.shape[1]


def _coco(run: "Run", file: Path, size_of: _Sizes) -> "dict[str, Mask] | None":
    """The masks of a COCO file; None for a file of another kind."""
    import numpy as np

    from segmint.errors import DatasetError
    from segmint.labels.relabelling import Relabelling
    from segmint.runs import layout
    from segmint.training.data.datasets import Drawable, name_key
    from segmint.training.data.readers.coco import read_coco

    if file.suffix != ".json" or not _is_object(file):
        return None
    vocabulary = run.vocabulary()
    ids = {name_key(entry.name): entry.label_id for entry in vocabulary.entries}
    found = read_coco(file, images=(run.folder or Path()) / layout.IMAGES)
    table = np.arange(256, dtype=np.uint8)
    for label, name in found.classes.items():
        if name_key(name) not in ids:
            raise DatasetError(f"{file} names the class {name!r}; the run has {', '.join(vocabulary.names)}")
        table[label] = ids[name_key(name)]
    names = Relabelling(vocabulary=vocabulary, table=table)
    masks = {}
    for each in found.samples:
        height, width = size_of(each.item_id)
        assert isinstance(each.mask, Drawable)
        masks[each.item_id] = names(each.mask.draw(height_px=height, width_px=width))
    return masks


def _is_object(file: Path) -> bool:
    if not file.is_file():  # a pipe would be waited for
        return False
    try:
        with file.open("rb") as start:
            return start.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except OSError:
        return False
