"""`segmint export RUN`: the dataset in another library's layout."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.several import together
from segmint.cli.telling import say
from segmint.cli.watching import counter
from segmint.export.formats import FORMATS


def export(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="A run folder or URL (s3://, gs://); several go out as one."),
    ],
    *,
    to: Annotated[
        str,
        typer.Option("--format", "-f", metavar="NAME", help=f"{', '.join(FORMATS)}."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write; must be empty.")],
    split: Annotated[
        str, typer.Option(metavar="NAME=SHARE,…", help="Parts and their proportions.")
    ] = "train=0.9,val=0.1",
    split_by: Annotated[
        str, typer.Option("--split-by", metavar="item|prompt", help="Keep all items of a prompt together.")
    ] = "item",
    seed: Annotated[int, typer.Option(help="Another seed deals the items out differently.")] = 0,
    masks: opt.Masks = None,
    kept_only: Annotated[
        bool, typer.Option("--kept-only", help="Only items that were kept by hand or by rule.")
    ] = False,
    names: opt.NameOptions,
    min_area: Annotated[
        str,
        typer.Option(
            "--min-area", metavar="AREA", help="Smaller regions are no objects: 0.1% of the image, or 50 px."
        ),
    ] = "0.1%",
    stuff: Annotated[
        str, typer.Option(metavar="NAMES", help='Classes that are one object whole: "road, sky".')
    ] = "",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes, for coco, coco-rle, yolo, voc, labelme and mmsegmentation; default: from the "
            "cores and the items. Changes no byte.",
        ),
    ] = None,
    cut: Annotated[
        bool,
        typer.Option("--cut/--no-cut", help="Tell touching things of a class apart, as minting saw them."),
    ] = True,
    force: Annotated[
        bool,
        typer.Option("--force", help="Write into a folder that is not empty; replaces an earlier export."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but notes and errors.")] = False,
) -> None:
    """Write the items that nobody rejected for another tool, as PASCAL VOC, COCO, YOLO, CVAT and others.

    What a format cannot hold is said at the end and in the export's README.md, which also names model,
    licence and recipe.
    """
    from segmint.export.source import ObjectRule, open_source, parse_min_area
    from segmint.export.spread import usual_workers
    from segmint.export.write import export as write
    from segmint.runs.splits import parse_splits, shares_note

    splits = parse_splits(split)
    with together(runs, masks) as run, counter(quiet=quiet) as bar:
        task = bar.add_task(f"export to {to}", total=None)
        source = open_source(
            run,
            splits=splits,
            split_by="prompt"
            if opt.one_of(split_by, "--split-by", ("item", "prompt")) == "prompt"
            else "item",
            seed=seed,
            mask_set=masks if len(runs) == 1 else None,
            kept_only=kept_only,
            change=names.change,
            objects=ObjectRule(
                min_area=parse_min_area(min_area), stuff=tuple(opt.split_list(stuff) or ()), cut=cut
            ),
            progress=lambda: bar.advance(task),
        )
        total = sum(map(len, source.splits.values()))
        bar.update(task, total=total)
        told = write(replace(source, workers=workers or usual_workers(total)), to, out, force=force)
    for note in filter(None, (shares_note(splits), *told.notes)):
        say(f"note: {note}", err=True)
    if not quiet:
        counts = ", ".join(f"{name}: {count}" for name, count in told.written.items())
        say(f"wrote {sum(told.written.values())} items ({counts}) to {told.out} as {told.format}")
