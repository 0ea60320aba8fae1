"""`segmint benchmark`: mask methods side by side, on images whose true masks are known."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from segmint.cli.options import Device, Quiet, WorldName, one_of, parts, whole_numbers
from segmint.cli.telling import cell, say, say_json, terminal
from segmint.cli.watching import counter

if TYPE_CHECKING:
    from segmint.artifacts import Image, Mask
    from segmint.backbone.base import Backbone
    from segmint.benchmark.rows import Mode, Report, Row
    from segmint.benchmark.run import Looked
    from segmint.benchmark.samples import Sample
    from segmint.recipe import Recipe

app = typer.Typer(no_args_is_help=True)


@app.callback()
def benchmark() -> None:
    """Put mask methods side by side where the truth is known."""


PICTURES = 8
"""Images shown in masks.png."""

OutOption = Annotated[Path, typer.Option("--out", help="Folder for the tables, the figure and the pictures.")]
MethodsOption = Annotated[str, typer.Option("--methods", help='"all", or names: "segmint, pcc, ovam".')]
ModelOption = Annotated[str, typer.Option("--model", help="toybox, a hub id, or a local folder.")]
RecipeOption = Annotated[
    Path | None, typer.Option("--recipe", help="TOML: sections observation, sampling, capture, photos count.")
]


JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as one JSON object instead.")]
CaseOption = Annotated[
    list[str] | None,
    typer.Option(
        "--case",
        help="Hard cases, as over-named, small, grey: names, or all; may be given again.",
    ),
]


@app.command(name="toybox")
def on_toybox(
    out: OutOption,
    *,
    case: CaseOption = None,
    world: WorldName = "toybox",
    split: Annotated[str, typer.Option(help="val to choose by; test and reserve to report, once.")] = "val",
    seeds: Annotated[str, typer.Option(help="Each seed has images and noise of its own.")] = "0, 1, 2",
    count: Annotated[int, typer.Option(min=1, help="Images of each seed.")] = 200,
    generated: Annotated[
        int | None, typer.Option(min=1, help="Generated images of each seed, if not --count.")
    ] = None,
    modes: Annotated[
        str | None, typer.Option(help='What is scored; "label, generate", or with --case "label".')
    ] = None,
    methods: MethodsOption = "all",
    model: Annotated[
        str | None, typer.Option(help="A hub id or a local folder; by default the world's own.")
    ] = None,
    recipe: RecipeOption = None,
    device: Device = "auto",
    as_json: JsonOption = False,
    quiet: Quiet = False,
) -> None:
    """Score methods on a rendered world: exact masks of renders, the oracle's masks of generated images.

    One row for each method, mode and seed. The same seeds give the same masks, image by image; two splits
    share no scene and no noise. Choose settings on val, and look at test or reserve once.
    """
    from segmint.benchmark import samples
    from segmint.benchmark.run import rows_of
    from segmint.benchmark.sets import Bench
    from segmint.toybox.worlds import world_named

    cases = _cases(case)
    kinds = parts(modes or ("label" if cases else "label, generate"), "--modes", ("label", "generate"))
    part = one_of(split, "--split", ("val", "test", "reserve"))
    numbers = whole_numbers(seeds, "--seeds")
    for number in numbers:
        samples.first_seed(number, count)
    setup = _Setup(methods, model or world, recipe, device, vocabulary=world)
    bench = Bench(
        world=world_named(world),
        split=part,  # type: ignore[arg-type]
        backbone=setup.backbone,
        recipe=setup.recipe,
        methods=setup.methods,
    )
    rows: list[Row] = []
    album = _Album()
    with counter(quiet=quiet) as bar:
        for each in bench.sets(cases, kinds, numbers, count=count, generated=generated):
            watched = bar.track(each.pictures, total=each.count, description=each.title)
            keep = album.keep if each.mode == "label" and not rows else None
            rows += rows_of(
                watched,
                setup.methods,
                setup.recipe,
                mode=each.mode,
                seed=each.seed,
                case=each.case,
                keep=keep,
            )
    settings = {"split": split, "seeds": numbers, "count": count, "generated": generated or count}
    settings |= {"cases": cases} if cases else {}
    _finish(
        out, rows, album, setup, dataset=f"{world} {split}", settings=settings, quiet=quiet, as_json=as_json
    )


def _cases(words: list[str] | None) -> tuple[str, ...]:
    """The cases that are asked for."""
    from segmint.benchmark.cases import CASES

    found = [name for word in words or () for name in parts(word, "--case", (*CASES, "all"))]
    return tuple(CASES) if "all" in found else tuple(dict.fromkeys(found))


@app.command(name="folder")
def on_folder(
    out: OutOption,
    *,
    images: Annotated[list[str], typer.Option(help="Folder, glob or list of images; may be given again.")],
    masks: Annotated[Path, typer.Option(help="Folder of PNG masks named like the images; 255 is left out.")],
    classes: Annotated[
        str, typer.Option(help='The masks\' ids 1, 2, … in order, a preset such as "voc", or a file.')
    ],
    seeds: Annotated[str, typer.Option(help="Seeds of the noise.")] = "0",
    count: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")] = None,
    methods: MethodsOption = "all",
    model: ModelOption = "toybox",
    recipe: RecipeOption = None,
    device: Device = "auto",
    as_json: JsonOption = False,
    quiet: Quiet = False,
) -> None:
    """Score methods on images of your own that have masks, such as VOC val with Stable Diffusion.

    Each image is searched for the classes that its mask shows.
    """
    from segmint.benchmark.run import look, rows_of
    from segmint.benchmark.samples import pair_files, read_sample

    pairs, lone = pair_files(images, masks)
    pairs = pairs[:count]
    if lone and not quiet:
        say(f"{len(lone)} images have no mask and are left out, {lone[0]} first", err=True)
    numbers = whole_numbers(seeds, "--seeds")
    setup = _Setup(methods, model, recipe, device, vocabulary=classes)
    vocabulary = setup.recipe.vocabulary.to_vocabulary()
    rows: list[Row] = []
    album = _Album()
    with counter(quiet=quiet) as bar:
        for number in numbers:
            samples = (read_sample(source, mask, vocabulary) for source, mask in pairs)
            shown = _with_classes(samples, telling=not (rows or quiet))
            cases = look(shown, setup.backbone, setup.recipe, setup.capture, seed=number * 1_000_000)
            watched = bar.track(cases, total=len(pairs), description=f"label, seed {number}")
            keep = album.keep if not rows else None
            rows += rows_of(watched, setup.methods, setup.recipe, mode="label", seed=number, keep=keep)
    settings = {"images": len(pairs), "seeds": numbers}
    dataset = masks.resolve().name
    _finish(out, rows, album, setup, dataset=dataset, settings=settings, quiet=quiet, as_json=as_json)


def _with_classes(samples: "Iterable[Sample]", *, telling: bool) -> "Iterator[Sample]":
    """Those whose mask shows a class; with `telling`, what had to be decided about each image is said."""
    for sample in samples:
        for note in sample.notes if telling else ():
            say(f"note: {note}", err=True)
        if sample.classes:
            yield sample


class _Setup:
    """The model, the methods and what they read."""

    def __init__(
        self, methods: str, model: str, recipe: Path | None, device: str, *, vocabulary: str
    ) -> None:
        from segmint.backbone.base import looking_notes
        from segmint.backbone.loading import load
        from segmint.benchmark.run import union_capture
        from segmint.plan.classes import parse_classes
        from segmint.plan.settings import VocabularySettings
        from segmint.recipe import compose
        from segmint.settings import read_toml

        base = read_toml(recipe) if recipe else {}
        self.recipe: Recipe = compose(base, {"model.id": model}, source=str(recipe or "settings")).model_copy(
            update={"vocabulary": VocabularySettings.from_vocabulary(parse_classes(vocabulary))}
        )
        self.methods = _methods(methods, self.recipe)
        self.capture = union_capture(self.methods, self.recipe)
        self.backbone: Backbone = load(self.recipe.model, device=device)
        for note in looking_notes(self.backbone.info, self.recipe.observation.timesteps):
            say(f"note: {note}", err=True)


class _Album:
    """The first images with every method's masks."""

    def __init__(self) -> None:
        self.images: list[Image] = []
        self.columns: dict[str, list[Mask]] = {}

    def keep(self, case: "Looked", masks: dict[str, "Mask"]) -> None:
        if len(self.images) < PICTURES:
            self.images.append(case.image)
            for name, mask in {"truth": case.truth, **masks}.items():
                self.columns.setdefault(name, []).append(mask)


def _finish(
    out: Path,
    rows: "Sequence[Row]",
    album: _Album,
    setup: _Setup,
    *,
    dataset: str,
    settings: dict[str, object],
    quiet: bool,
    as_json: bool,
) -> None:
    from segmint._version import __version__
    from segmint.benchmark.report import modes, write_report
    from segmint.benchmark.rows import Report, means
    from segmint.errors import DatasetError
    from segmint.pictures.sheets import side_by_side

    if not rows:
        raise DatasetError("nothing was scored: no image had a mask with a class in it")
    info = setup.backbone.info
    report = Report(
        segmint_version=__version__,
        dataset=dataset,
        model=info.id if info.revision is None else f"{info.id}@{info.revision}",
        settings={**settings, "recipe": setup.recipe.model_dump(mode="json", exclude={"masks", "prompts"})},
        rows=tuple(rows),
        means=means(rows),
    )
    paths = list(write_report(report, out))
    if album.images:
        paths.append(out / "masks.png")
        side_by_side(album.images, album.columns, setup.recipe.vocabulary.to_vocabulary()).save(paths[-1])
    if as_json:
        say_json(json.loads(report.model_dump_json()))
    else:
        console = terminal()
        for mode in modes(report):
            console.print(_table(report, mode))
    if not quiet:
        say(f"written to {out}: {', '.join(path.name for path in paths)}", err=as_json)


def _table(report: "Report", mode: "Mode") -> Table:
    from segmint.benchmark.report import groups, images_said, table

    rows = [row for _, each in groups(report, mode) for row in each]
    shown = Table(title=f"{cell(report.dataset)}, {mode}: {images_said(rows)}")
    head, lines = table(rows)
    for heading in head:
        told = heading in ("case", "method")
        shown.add_column(heading, justify="left" if told else "right", no_wrap=told)
    for line in lines:
        shown.add_row(*map(cell, line))
    return shown


def _methods(text: str, recipe: "Recipe") -> list[str]:
    """Those named, or all that the model can serve."""
    from segmint.masks.settings import profile
    from segmint.pipeline import check_method, methods_of

    if text.strip() == "all":
        return methods_of(recipe)
    names = list(parts(text, "--methods"))
    for each in names:
        check_method(recipe.model_copy(update={"masks": profile(each)}))
    return names
