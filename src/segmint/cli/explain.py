"""`segmint explain RUN ITEM`: the whole method in one picture."""

from pathlib import Path
from typing import Annotated

import typer


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run made with --keep-features.")],
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item's id, such as 000004.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.png", help="Default: explain-ITEM.png, here.")
    ] = None,
    masks: Annotated[str, typer.Option(metavar="NAME", help="Mask set; default: the original one.")] = "",
) -> None:
    """Draw every stage from image to mask for one item, labelled, into one PNG.

    The stages are made again from the item's stored attention.
    """
    from segmint.errors import RunError, StorageError
    from segmint.pictures import paint
    from segmint.pictures.explain import draw_method
    from segmint.pictures.stages import explain as known_of
    from segmint.runs.masksets import check_mask_set
    from segmint.runs.store import open_run

    opened = open_run(run)
    check_mask_set(opened, masks)
    if item not in opened.done_ids(masks):
        raise RunError(
            f"{run} has no item {item[:120]!r}; ids are the file names in {run}/items, without .json"
        )
    picture = draw_method(known_of(opened, opened.vocabulary(), item, masks))
    target = out or Path(f"explain-{item}.png")
    try:
        target.write_bytes(paint.png(picture))
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from None
    typer.echo(f"wrote {target} ({picture.shape[1]} × {picture.shape[0]} px)")
