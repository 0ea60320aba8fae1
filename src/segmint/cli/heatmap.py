"""`segmint heatmap`: where in an image the model's attention to words went."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segmint.cli import options as opt
from segmint.cli.engines import Where
from segmint.cli.flags import Changes, Flags
from segmint.cli.telling import say
from segmint.recipe import Recipe

if TYPE_CHECKING:
    from segmint.backbone.base import Backbone

WORDS, OUTPUT = "Words", "Output"


def heatmap(
    prompt: Annotated[str, typer.Argument(help="What to draw, or what --image shows.")],
    more_words: Annotated[
        list[str] | None,
        typer.Argument(metavar="MORE", help="Further words, after --words.", show_default=False),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.png", help="Overlays.", rich_help_panel=OUTPUT)
    ] = Path("heatmap.png"),
    words: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD…", help="Words to map; none: all of them. Phrases in quotes.", rich_help_panel=WORDS
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Another text that holds the words (OVAM).", rich_help_panel=WORDS),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="daam: words of the prompt. ovam: any words. denoising: what words help to see in noise.",
            rich_help_panel=WORDS,
        ),
    ] = None,
    half: Annotated[
        str | None,
        typer.Option(help="Guidance half to read: unconditional, conditional, both.", rich_help_panel=WORDS),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="layer,step,head", help="Keep maps apart by these.", rich_help_panel=WORDS),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="Layers to read, as up_blocks.*; repeatable.", rich_help_panel=WORDS
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(help="Look at this image instead of drawing one.", rich_help_panel=opt.WHAT),
    ] = None,
    arrays: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Write the maps as arrays too.", rich_help_panel=OUTPUT),
    ] = None,
    changes: Annotated[Changes, Flags(Recipe, "model", "sampling", without=("sampling.batch_size",))],
    where: Annotated[Where, Flags(Where, "device", "threads")],
) -> None:
    """Map the model's attention to words over the image that it draws.

    Words of the prompt are read from the very attention that drew the image (DAAM). Words of any other text,
    given by --text or asked for with --kind ovam, have no part in the drawing (OVAM). With --kind denoising
    the model is asked instead how much each word helps it to tell the image from noise.

    [bold]Examples[/bold]

    [cyan]segmint heatmap "a boat and a tree at sea" --words boat tree --out sea.png[/cyan]

    [cyan]segmint heatmap "a boat at sea" --kind ovam --words sail water --by layer --out layers.png[/cyan]
    """
    from segmint.errors import ConfigError
    from segmint.jobs.engines.local import load_on
    from segmint.pictures.heatmap_figure import save_arrays, save_figure
    from segmint.pictures.heatmaps import attention_maps

    if kind not in (None, "daam", "ovam", "denoising"):
        raise ConfigError(f"--kind {kind!r}: expected daam, ovam or denoising")
    if half not in (None, "unconditional", "conditional", "both"):
        raise ConfigError(f"--half {half!r}: expected unconditional, conditional or both")
    seed = {"observation.seed": changes["sampling.seed"]} if "sampling.seed" in changes else {}
    recipe = Recipe().merged(changes | seed)
    groups: list[Any] = opt.parts(by, "--by", ("layer", "step", "head")) if by else []
    backbone = load_on(where.device, settings=recipe.model, threads=where.threads)
    picture, told = _picture(image, backbone) if image else (None, [])
    found = attention_maps(
        backbone,
        prompt,
        [each for given in (words or []) for each in given.split(",")] + (more_words or []),
        kind=kind,  # type: ignore[arg-type]
        text=text,
        image=picture,
        half=half,  # type: ignore[arg-type]
        group_by=groups,
        sampling=recipe.sampling,
        observation=recipe.observation,
        **({"layers": layers} if layers else {}),  # type: ignore[arg-type]
    )
    notes = (*told, *found.notes, *save_figure(found, out))
    if arrays:
        save_arrays(found, arrays)
    for note in notes:
        say(f"note: {note}", err=True)
    say(f"{', '.join(found.words)} ({found.kind.upper()}) → {out}{f', {arrays}' if arrays else ''}")


def _picture(path: Path, backbone: "Backbone") -> tuple[Any, list[str]]:
    """The image at the model's own size, and what had to be decided when it was read."""
    from segmint.plan.photos.reading import as_photo, resized

    photo = as_photo(path)
    return resized(photo.rgb, (backbone.info.height_px, backbone.info.width_px)), list(photo.notes)
