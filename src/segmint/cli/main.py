"""The command `segmint`: one thin module a command, loaded without torch until one runs.

What goes wrong is told in one line on stderr with exit code 2. A traceback means a defect of segmint.
"""

import ast
import errno
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from segmint._version import __version__
from segmint.cli.telling import say, terminal
from segmint.errors import SegmintError
from segmint.textfile import harmless, shown

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
COMMANDS = {
    "Mint": {
        "generate": "generate",
        "label": "label",
        "prompts": "prompts",
        "merge": "merge",
        "verify": "look",
    },
    "Look and curate": {
        "view": "look",
        "curate": "curate",
        "explain": "look",
        "heatmap": "heatmap",
        "report": "look",
        "remask": "label",
    },
    "Take along": {"export": "export", "import": "imports", "inspect": "inspect"},
    "Judge": {"benchmark": "benchmark", "toybox": "toybox"},
    "Train": {"train": "train", "evaluate": "train", "selftrain": "recipe", "recipe": "recipe"},
    "Machine": {"doctor": "machine", "models": "machine"},
}
"""By headings of the help, every command and the module that holds a function of its name."""
ON_URLS = frozenset({"generate", "label", "verify", "export", "remask", "doctor"})
"""Commands that take `s3://…` where they take a run folder; the others read many small files at random and
need the run on a disk of this machine.
"""
_WRAP = re.compile(r"(?<!\n)\n(?!\n|\[cyan\])")
"""A line break within a paragraph."""
_URL = re.compile(r"(?!https?:|file:)[a-z][a-z0-9+.-]+://\S+", re.IGNORECASE)


def application(asked: str | None = None) -> typer.Typer:
    """The whole application; with a word that names a command, that one alone.

    With any other word no command is loaded: of each there is its name and the first line of its help.
    """
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
    app.callback()(_main)
    known = any(asked in names for names in COMMANDS.values())
    for panel, names in COMMANDS.items():
        for name, module in names.items():
            if asked in (None, name):
                _add(app, panel, name, f"segmint.cli.{module}")
            elif not known:
                text = _help_of(name, f"segmint.cli.{module}")
                app.command(name, rich_help_panel=panel, help=text)(_not_loaded)
    return app


def _add(app: typer.Typer, panel: str, name: str, module: str) -> None:
    from segmint.cli.flags import with_options

    loaded = import_module(module)
    if hasattr(loaded, "app"):
        app.add_typer(loaded.app, name=name, rich_help_panel=panel)
        return
    function = f"{name}_" if iskeyword(name) else name
    command: Callable[..., Any] = with_options(getattr(loaded, function))
    text = unwrapped(inspect.getdoc(command) or "")
    app.command(name, rich_help_panel=panel, no_args_is_help=panel != "Machine", help=text)(command)


def _help_of(name: str, module: str) -> str:
    """The help of a command from its source, without loading what it stands on."""
    spec = find_spec(module)
    source = Path(spec.origin).read_text("utf-8") if spec and spec.origin else ""
    found = (
        each
        for each in ast.parse(source).body
        if isinstance(each, ast.FunctionDef) and each.name.removesuffix("_") == name
    )
    return unwrapped(next((ast.get_docstring(each) or "" for each in found), ""))


def unwrapped(text: str) -> str:
    """A help text whose paragraphs are lines, for a terminal of any width; an example keeps its own line."""
    return _WRAP.sub(" ", text)


def _not_loaded() -> None:
    """Stand in for a command of which only the help is asked."""


def refuse_urls(words: Sequence[str]) -> None:
    """Stop a command that would take a URL for a path.

    Raises:
        RunError: the first URL among the words; says how to fetch it.
    """
    url = next((word for word in words[1:] if _URL.fullmatch(word)), None)
    if url is not None and words[0] not in ON_URLS:
        from segmint.runs.files.remote import local_folder

        local_folder(url, f"segmint {words[0]}")


def _print_version(wanted: bool | None) -> None:
    if wanted:
        say(f"segmint {__version__}")
        raise typer.Exit


def _main(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = None,
) -> None:
    """Options of the bare command."""


def run(
    args: Sequence[str] | None = None, *, commands: typer.Typer | None = None, name: str = "segmint"
) -> NoReturn:
    """Entry point of the command line; always ends the process.

    Args:
        args: the words after `segmint`; None takes the process's own.
        commands: what the words are said to; None takes segmint's own.
        name: what stands before the words.
    """
    words = list(sys.argv[1:] if args is None else args)
    usage_error: type[Exception] = typer.BadParameter.__mro__[1]  # typer carries its own copy of click
    try:
        refuse_urls(words)
        chosen = commands or application(words[0] if words else "")
        code = chosen(words or ["--help"], prog_name=name, standalone_mode=False)
    except SegmintError as error:
        tell_error(str(error))
        code = EXIT_BAD_INPUT
    except usage_error as error:
        known = " ".join(
            [name, *(each for each in words[:1] if any(each in names for names in COMMANDS.values()))]
        )
        tell_error(f"{error.format_message()} (see {known} --help)")  # type: ignore[attr-defined]
        code = EXIT_BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        tell_error("interrupted")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        sys.stderr.close()
        code = 0
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        tell_error(f"no file can have the name {shown(error.filename)}: it is too long")
        code = EXIT_BAD_INPUT
    sys.exit(code if isinstance(code, int) else 0)


def tell_error(message: str) -> None:
    """One line on stderr, red where that is shown."""
    from rich.text import Text

    line = Text.assemble(("error: ", "bold red"), harmless(" ".join(message.split())))
    terminal(stderr=True).print(line, soft_wrap=True)
