"""`segmint inspect DATASET`: what is read from a dataset, before anything is trained on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segmint.cli import options as opt
from segmint.cli.datasets import HELP, open_dataset
from segmint.cli.telling import cell, say, say_json, terminal

if TYPE_CHECKING:
    from segmint.training.data.datasets import LabelledSet

EXIT_SKIPPED = 1
SHOWN = 24
"""Items on the contact sheet: the first that can be read."""


def inspect(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help=f"What to look at: {HELP}.")],
    *,
    dataset_classes: Annotated[
        str | None, typer.Option(help="Names of the ids 1, 2, … of a VOC folder that does not say.")
    ] = None,
    masks: opt.MaskSet = "",
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw images and masks on a contact sheet.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Tell what is read from a dataset: classes with their pixels and images, sizes, and what is left out.

    Reads every image and mask once, as training and evaluation do. Items that cannot be read are named with
    the reason.
    """
    found = open_dataset(dataset, classes=opt.split_list(dataset_classes), mask_set=masks)
    said = _read(found, sheet)
    if as_json:
        for note in said.pop("notes"):
            say(f"note: {note}", err=True)
        say_json(said)
    else:
        _tell(found, said)
    if not said["items"]:
        raise typer.Exit(EXIT_SKIPPED)


def _read(found: "LabelledSet", sheet: Path | None) -> dict[str, Any]:
    from segmint.errors import ConfigError
    from segmint.pictures.sheets import Panel, contact_sheet
    from segmint.training.data.overview import Overview, read_all
    from segmint.training.data.renaming import vocabulary_of

    overview = Overview(found)
    panels: list[Panel] = []
    for each in read_all(found):
        overview.add(each)
        if sheet and len(panels) < SHOWN and each.image is not None and each.labels is not None:
            panels.append(Panel(image=each.image, mask=each.labels, caption=each.item_id))
    if sheet and panels:
        try:
            contact_sheet(panels, vocabulary_of(found), title=found.name).save(sheet)
        except (OSError, ValueError) as error:
            raise ConfigError(f"--sheet {sheet} cannot be written: {error}") from None
    return overview.as_json()


def _tell(found: "LabelledSet", said: dict[str, Any]) -> None:
    from rich.table import Table

    sizes = ", ".join(f"{each['width']}×{each['height']} ({each['images']})" for each in said["sizes"])
    table = Table("id", "class", "pixels", "images", title=f"{cell(found.name)}: {said['items']} items")
    for each in said["classes"]:
        table.add_row(str(each["id"]), cell(each["name"]), f"{each['pixels']:,}", str(each["images"]))
    console = terminal()
    console.print(table)
    console.print(f"uncertain pixels: {said['void_pixels']:,}; sizes: {sizes or 'none'}")
    for each in said["skipped"]:
        place = f"{each['item']}: " if each["item"] else ""
        console.print(f"left out: {place}{each['reason']}", soft_wrap=True, markup=False)
    for note in said["notes"]:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
