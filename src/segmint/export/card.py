"""The card that travels with every export: what this is, what made it, and under which terms."""

import json
from collections.abc import Mapping, Sequence

from segmint._version import __version__
from segmint.export.source import Source
from segmint.runs import layout


def facts(source: Source) -> dict[str, str]:
    """Name, model, licence and recipe, for formats that have a place for each."""
    header = source.run.header
    return {
        "name": run_name(source),
        "model": header.model,
        "revision": header.revision or "not pinned",
        "model_licence": header.model_licence or "not recorded",
        "made_by": f"segmint {header.segmint_version}",
        "exported_by": f"segmint {__version__}",
        "created": header.created,
        "recipe_digest": header.digest,
        "mask_set": source.mask_set or "original",
    }


def run_name(source: Source) -> str:
    """The run folder's own name."""
    folder = source.run.folder
    return folder.resolve().name if folder is not None else "segmint run"


def recipe_toml(source: Source) -> str:
    """The run's recipe as it was written."""
    return source.run.files.read(layout.RECIPE).decode("utf-8", errors="replace")


def card(
    source: Source,
    layout_text: str,
    notes: Sequence[str],
    *,
    front_matter: str = "",
    split_sizes: Mapping[str, int],
) -> str:
    """The README of an export, in Markdown.

    Args:
        source: what was exported.
        layout_text: how the files lie and how to load them.
        notes: what the format could not hold, and anything else said aloud.
        front_matter: YAML for the Hugging Face hub, with its fences.
        split_sizes: items in each split.
    """
    said = facts(source)
    rows = "".join(f"| {key.replace('_', ' ')} | {_cell(value)} |\n" for key, value in said.items())
    names = "".join(f"| {entry.label_id} | {_cell(entry.name)} |\n" for entry in source.vocabulary.entries)
    splits = ", ".join(f"{name}: {count}" for name, count in split_sizes.items())
    remarks = "".join(f"- {note}\n" for note in notes)
    return (
        f"{front_matter}# {said['name']}\n\n"
        "Synthetic images with semantic masks, drawn by a text-to-image diffusion model; the masks come from "
        "the model's own attention, not from people. Expect errors in both.\n\n"
        f"Images by split: {splits}.\n\n## Layout\n\n{layout_text.strip()}\n\n"
        f"## Notes\n\n{remarks or '- Every pixel of every mask is here as it is in the run.' + chr(10)}\n"
        f"## Labels\n\n| id | class |\n|---|---|\n| 0 | background |\n{names}"
        "| 255 | uncertain: leave out of losses and scores |\n\n"
        f"## Origin\n\n| | |\n|---|---|\n{rows}\n"
        "The images are subject to the licence of the model that drew them, named above.\n\n"
        f"## Recipe\n\n```toml\n{recipe_toml(source).strip()}\n```\n"
    )


def yaml_text(value: str) -> str:
    """A text as a YAML scalar; JSON's quoting is valid YAML."""
    return json.dumps(value, ensure_ascii=True)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
