"""The command `segmint`: one thin module a command, loaded without torch until one runs.

What goes wrong is told in one line on stderr with exit code 2. A traceback means a defect of segmint.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from segmint._version import __version__
from segmint.cli import (
    benchmark,
    curate,
    doctor,
    evaluate,
    explain,
    export,
    generate,
    heatmap,
    label,
    models,
    recipe,
    remask,
    report,
    selftrain,
    toybox,
    train,
    verify,
    view,
)
from segmint.cli.urls import refuse_urls
from segmint.errors import SegmintError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="segmint",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Mint semantic-segmentation datasets: class names in, images with pixel masks out, by one "
        "text-to-image diffusion model and no labels."
    ),
    epilog=(
        "Try it, offline, in a minute:  "
        '[bold]segmint generate --classes "boat, tree, star" --count 12 --out demo[/bold]'
    ),
)
app.command(name="generate", rich_help_panel="Mint", no_args_is_help=True)(generate.generate)
app.command(name="label", rich_help_panel="Mint", no_args_is_help=True)(label.label)
app.command(name="verify", rich_help_panel="Mint")(verify.verify)
app.command(name="view", rich_help_panel="Look and curate", no_args_is_help=True)(view.view)
app.command(name="curate", rich_help_panel="Look and curate", no_args_is_help=True)(curate.curate)
app.command(name="explain", rich_help_panel="Look and curate", no_args_is_help=True)(explain.explain)
app.command(name="heatmap", rich_help_panel="Look and curate", no_args_is_help=True)(heatmap.heatmap)
app.command(name="report", rich_help_panel="Look and curate", no_args_is_help=True)(report.report)
app.command(name="remask", rich_help_panel="Look and curate", no_args_is_help=True)(remask.remask)
app.command(name="export", rich_help_panel="Take along", no_args_is_help=True)(export.export)
app.add_typer(benchmark.app, name="benchmark", rich_help_panel="Judge")
app.add_typer(toybox.app, name="toybox", rich_help_panel="Judge")
app.command(name="train", rich_help_panel="Train", no_args_is_help=True)(train.train)
app.command(name="evaluate", rich_help_panel="Train", no_args_is_help=True)(evaluate.evaluate)
app.command(name="selftrain", rich_help_panel="Train", no_args_is_help=True)(selftrain.selftrain)
app.command(name="recipe", rich_help_panel="Train", no_args_is_help=True)(recipe.recipe)
app.command(name="doctor", rich_help_panel="Machine")(doctor.doctor)
app.command(name="models", rich_help_panel="Machine")(models.models)


def _print_version(wanted: bool | None) -> None:
    if wanted:
        typer.echo(f"segmint {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = None,
) -> None:
    """Options of the bare command."""


def run(args: Sequence[str] | None = None, *, commands: typer.Typer = app, name: str = "segmint") -> NoReturn:
    """Entry point of the command line; always ends the process.

    Args:
        args: the words after `segmint`; None takes the process's own.
        commands: what the words are said to.
        name: what stands before the words.
    """
    words = list(sys.argv[1:] if args is None else args)
    usage_error: type[Exception] = typer.BadParameter.__mro__[1]  # typer carries its own copy of click
    try:
        refuse_urls(words)
        code = commands(words or ["--help"], prog_name=name, standalone_mode=False)
    except SegmintError as error:
        tell_error(str(error))
        code = EXIT_BAD_INPUT
    except usage_error as error:
        tell_error(f"{error.format_message()} (see {name} {' '.join(words[:1])} --help)")  # type: ignore[attr-defined]
        code = EXIT_BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        tell_error("interrupted")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def tell_error(message: str) -> None:
    """One line on stderr, red where that is shown."""
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble(("error: ", "bold red"), " ".join(message.split()))
    Console(stderr=True).print(line, soft_wrap=True)
