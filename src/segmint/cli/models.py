"""`segmint models`: what can draw."""

import typer


def models() -> None:
    """List the models that segmint knows, and which of them are on this machine.

    Any other Stable Diffusion model (1.x, 2.x, XL and what was distilled from them) in diffusers' form works
    too: give its hub id or its folder as --model.
    """
    from rich.console import Console
    from rich.table import Table

    from segmint.backbone.known import is_on_disk, known_models

    table = Table(
        "model", "size", "licence", "steps", "guidance", "here", "note", box=None, header_style="bold"
    )
    for each in known_models():
        here = "[green]yes[/]" if is_on_disk(each.id) else "no"
        steps, guidance = str(each.steps), f"{each.guidance:g}"
        table.add_row(each.id, f"{each.size_px}²", each.licence, steps, guidance, here, each.note)
    Console().print(table)
    typer.echo(
        "\nA model that is not here is fetched from huggingface.co at its first use; mind its licence."
    )
