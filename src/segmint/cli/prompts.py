"""`segmint prompts write`: prompts by a language model of one's own, as a file for `generate --prompts`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from segmint.cli import options as opt
from segmint.cli.telling import say
from segmint.plan.prompts.writing import KEY, LOCAL

app = typer.Typer(no_args_is_help=True)


@app.callback()
def prompts() -> None:
    """Prompts as files: written by a language model, checked against the classes."""


@app.command()
def write(
    *,
    classes: Annotated[str, typer.Option(metavar="NAMES", help="Classes, as generate has them.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, metavar="N", help="How many prompts.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.jsonl", help="A new file of prompts.")],
    llm: Annotated[
        str, typer.Option(metavar="URL", help=f"OpenAI-compatible server; ${KEY} may hold its key.")
    ] = LOCAL,
    llm_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Default: the first that the server has.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides which classes meet, and goes to the server.")] = 0,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="More is more various.")] = 1.0,
    quiet: opt.Quiet = False,
) -> None:
    """Let a language model word the prompts; which classes meet is planned as ever.

    Each prompt has to name its classes and no other of the list, and no two are alike. What is refused is
    asked for again; nothing is written unless all are there.

    [bold]Example[/bold]

    [cyan]segmint prompts write --classes "boat, tree" --count 200 --out prompts.jsonl[/cyan]
    """
    from segmint.atomic import put_text
    from segmint.errors import PromptError
    from segmint.plan.classes import parse_classes
    from segmint.plan.prompts.writing import WAIT_S, Writer, write_prompts
    from segmint.plan.settings import PromptSettings

    if out.exists():
        raise PromptError(f"{out} is there already; choose another --out")
    writer = Writer(url=llm, model=llm_model, seed=seed, temperature=temperature)
    if not quiet:
        say(f"asking {llm}; it may take {WAIT_S:.0f} s to answer a request", err=True)
    lines = write_prompts(writer, parse_classes(classes), PromptSettings(), count)
    put_text(out, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines))
    if not quiet:
        say(f"{len(lines)} prompts are in {out}; mint them with segmint generate --prompts {out}")
