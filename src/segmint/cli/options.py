"""Options that commands share, with their help."""

from pathlib import Path
from typing import Annotated, Any

import typer

WHAT, MODEL, DRAWING, MASKS = "What to draw", "Model", "Drawing", "Masks"
OUTPUT, RUNNING = "Output", "Running"


def _option(panel: str, text: str, *names: str, metavar: str | None = None, least: int | None = None) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, min=least, rich_help_panel=panel)


Out = Annotated[
    str,
    _option(
        OUTPUT,
        "Run folder, or URL (s3://, gs://): a new one, or one to go on with.",
        "--out",
        "-o",
        metavar="RUN",
    ),
]
Classes = Annotated[
    str | None,
    _option(
        WHAT,
        'Classes, as "boat, tree"; a preset (voc, coco, toybox); part of one, "voc: cat, dog"; or a file.',
        metavar="NAMES",
    ),
]
Prompts = Annotated[
    Path | None, _option(WHAT, "Prompts of your own: JSONL, JSON, CSV or text.", metavar="FILE")
]
RecipeFile = Annotated[
    Path | None, _option(WHAT, "Settings from a file; flags go over them.", "--recipe", metavar="FILE.toml")
]
Count = Annotated[
    int | None, _option(WHAT, "Items in all; a larger number extends a run.", "--count", "-n", metavar="N")
]
Templates = Annotated[
    str | None, _option(WHAT, "Wording of planned prompts: photo, plain, toybox, or a file.", metavar="SET")
]
Model = Annotated[
    str | None,
    _option(
        MODEL, "toybox (shipped), a hub id, or a folder; see segmint models.", "--model", "-m", metavar="ID"
    ),
]
Revision = Annotated[str | None, _option(MODEL, "Branch, tag or commit of a hub model.")]
Dtype = Annotated[str | None, _option(MODEL, "auto, float32, float16 or bfloat16.")]
Lora = Annotated[list[str] | None, _option(MODEL, "LoRA adapter; repeatable.", metavar="PATH[:WEIGHT]")]
Device = Annotated[str, _option(MODEL, "auto, cpu, cuda, cuda:1 or mps.")]
Seed = Annotated[int | None, _option(DRAWING, "Item i draws its noise from seed + i.")]
Steps = Annotated[int | None, _option(DRAWING, "Denoising steps.")]
Guidance = Annotated[float | None, _option(DRAWING, "Classifier-free guidance scale; 1 or less is off.")]
NegativePrompt = Annotated[str | None, _option(DRAWING, "What the images should not look like.")]
Scheduler = Annotated[str | None, _option(DRAWING, "default, ddim, pndm, euler, dpm++ …")]
Height = Annotated[int | None, _option(DRAWING, "Image height in pixels.")]
Width = Annotated[int | None, _option(DRAWING, "Image width in pixels.")]
BatchSize = Annotated[int | None, _option(DRAWING, "Images drawn together.", "--batch-size", "-b")]
Method = Annotated[
    str | None,
    _option(MASKS, "How masks are made: segmint, pcc, pcc-published, ovam, daam, dataset-diffusion."),
]
Set = Annotated[
    list[str] | None,
    _option(
        MASKS,
        "Any field of a recipe, as masks.clusters.counts=[4,7,10]; repeatable.",
        "--set",
        metavar="FIELD=VALUE",
    ),
]
ImageFormat = Annotated[str | None, _option(OUTPUT, "jpg (quality 95) or png (lossless).")]
KeepFeatures = Annotated[
    bool, _option(OUTPUT, "Keep the attention, so that masks can be made again.", "--keep-features")
]
Retries = Annotated[int, _option(RUNNING, "Further seeds for an item that fails.", least=0)]
RejectMissing = Annotated[
    float | None,
    typer.Option(
        "--reject-missing",
        help="Reject items in which a named class covers less than this share (0.01 is 1 %), and mint more.",
        metavar="AREA",
        min=0.0,
        max=1.0,
        rich_help_panel=RUNNING,
    ),
]
Wait = Annotated[bool, _option(RUNNING, "Wait while another process writes this run.", "--wait")]
Repair = Annotated[bool, _option(RUNNING, "Check every file first; make damaged items again.", "--repair")]
Engine = Annotated[str, _option(RUNNING, "local, or ray: spread the work over a Ray cluster.")]
Devices = Annotated[
    str | None,
    _option(RUNNING, "Several devices of this machine, as cuda:0,cuda:1.", metavar="DEVICE,…"),
]
Workers = Annotated[int | None, _option(RUNNING, "With --engine ray: how many workers (1).", least=1)]
Address = Annotated[
    str | None, _option(RUNNING, "With --engine ray: a cluster's address, or auto; default: start one here.")
]
GpusPerWorker = Annotated[float | None, _option(RUNNING, "With --engine ray: GPUs of each worker (0).")]
Threads = Annotated[
    int | None,
    _option(RUNNING, "CPU threads of each process (1); others give other last bits.", least=1),
]
Quiet = Annotated[bool, _option(RUNNING, "Say nothing but errors and notes.", "--quiet", "-q")]
AsJson = Annotated[
    bool, _option(RUNNING, "One JSON object a line on stdout: start, item, note, end.", "--json")
]


def parse_settings(given: list[str]) -> dict[str, Any]:
    """`FIELD=VALUE` words as dotted fields; a value is TOML, or else text.

    Raises:
        ConfigError: there is no `=`, or no field before it.
    """
    import tomllib

    from segmint.errors import ConfigError

    found: dict[str, Any] = {}
    for word in given:
        field, equals, text = word.partition("=")
        if not equals or not field.strip():
            raise ConfigError(
                f"--set {word!r}: expected FIELD=VALUE, for example masks.clusters.counts=[4,7,10]"
            )
        try:
            found[field.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            found[field.strip()] = text.strip()
    return found
