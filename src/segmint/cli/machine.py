"""Commands about this machine: what it can do and how to begin (doctor), which models are on it (models)."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from segmint.cli.telling import say, say_json, terminal

if TYPE_CHECKING:
    from segmint.jobs.machine import Advice, Machine

GB = 1e9
MARKS = {True: "[green]yes[/]", False: "no"}


def doctor(
    *,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="RUN", help="Where a run would go, for its free space.")
    ] = ".",
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="ID", help="Suggest for this model; default: the best that fits."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Look at this machine: Python, torch, GPU, memory, disk, extras, models; then suggest settings.

    Nothing is downloaded, loaded or written.
    """
    from segmint.jobs.machine import advise, look

    machine = look(out)
    advice = advise(machine, model)
    if as_json:
        from dataclasses import asdict

        say_json({**asdict(machine), "advice": asdict(advice)})
        return
    _show(machine, advice)


def models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, a model each.")] = False,
) -> None:
    """List the models that segmint knows, and which of them are on this machine.

    Any other model of a family that segmint knows, in diffusers' form, works too: give its hub id or its
    folder as --model.
    """
    from dataclasses import asdict

    from segmint.backbone.known import is_on_disk, known_models

    console = terminal()
    for each in known_models():
        here = is_on_disk(each.id)
        if as_json:
            say_json({**asdict(each), "here": here})
            continue
        console.print(f"[bold]{each.id}[/]", highlight=False, soft_wrap=True)
        place = "[green]on this machine[/]" if here else "not on this machine"
        facts = f"{each.size_px}² px, {each.steps} steps, guidance {each.guidance:g}, {each.licence}"
        note = f"; {each.note}" if each.note else ""
        console.print(f"  {place}; {facts}{note}", highlight=False, soft_wrap=True)
    if as_json:
        return
    say("\nA model that is not here is fetched from huggingface.co at its first use; mind its licence.")


def _show(machine: "Machine", advice: "Advice") -> None:
    from rich.table import Table

    console = terminal()
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(machine):
        facts.add_row(name, value)
    console.print(facts)
    extras = Table("extra", "installed", "for", "to install", box=None, header_style="bold", pad_edge=False)
    for extra in machine.extras:
        extras.add_row(
            extra.name, MARKS[extra.installed], extra.purpose, "" if extra.installed else extra.install
        )
    console.print(extras)
    models = Table("model", "here", box=None, header_style="bold", pad_edge=False)
    for name, here in machine.models.items():
        models.add_row(name, MARKS[here])
    console.print(models)
    console.print(f"\n[bold]Suggestion[/]  segmint generate {' '.join(advice.flags)}", soft_wrap=True)
    console.print(advice.why, soft_wrap=True)


def _facts(machine: "Machine") -> list[tuple[str, str]]:
    threads = ", ".join(f"{name}={value}" for name, value in machine.thread_settings.items())
    rows: list[tuple[str, Any]] = [
        ("segmint", f"{machine.segmint}, Python {machine.python}, {machine.platform}"),
        ("torch", machine.torch or f"[red]cannot be used: {machine.torch_error}[/]"),
    ]
    for device in machine.devices:
        free = "" if device.free_bytes is None else f", {device.free_bytes / GB:.1f} GB free"
        total = "" if device.total_bytes is None else f", {device.total_bytes / GB:.1f} GB{free}"
        rows.append((device.name, f"{device.description}{total}"))
    if not machine.devices:
        rows.append(("GPU", "none that torch can use"))
    rows += [
        (
            "CPU",
            f"{machine.cores} cores for this process; {threads or 'no thread settings in the environment'}",
        ),
        ("memory", _size(machine.ram_total_bytes, machine.ram_free_bytes)),
        ("disk", f"{_size(None, machine.disk_free_bytes)} at {machine.disk_place}"),
        (
            "toybox",
            "shipped and complete" if machine.models.get("toybox") else "[red]its weights are missing[/]",
        ),
    ]
    return rows


def _size(total: int | None, free: int | None) -> str:
    parts = [f"{total / GB:.1f} GB" if total else "", f"{free / GB:.1f} GB free" if free is not None else ""]
    return ", ".join(filter(None, parts)) or "unknown"
