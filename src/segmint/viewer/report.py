"""A run in one HTML file, with nothing beside it: to mail, to archive, to print."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from segmint._version import __version__
from segmint.errors import ImageError, RunError
from segmint.pictures import paint
from segmint.runs import layout
from segmint.runs.curation.decisions import accepted, read_states
from segmint.runs.masksets import chosen_set, read_mask_settings
from segmint.runs.store import Run, heal_image_sets
from segmint.viewer.pages import page, statistics_values
from segmint.viewer.pictures import Pictures, cache_folder
from segmint.viewer.statistics import Centre, centres, heat_maps, measure
from segmint.viewer.table import Table

SAMPLES = 24
"""Overlays shown where nobody asks for another number."""
MASKS_READ = 2000
"""Masks that the centre-of-mass maps are drawn from; evenly spread where there are more."""
PROMPT_SHOWN = 160
"""Characters of a prompt under its picture."""


def write_report(run: Run, *, mask_set: str | None = None, samples: int = SAMPLES, seed: int = 0) -> str:
    """The report as HTML text; needs no other file and no script.

    Args:
        run: an open run in a local folder.
        mask_set: whose masks are shown; None takes corrections where some were imported.
        samples: how many overlays to show; rejected items are never among them.
        seed: another one shows others.

    Raises:
        RunError: the run has no such mask set.
    """
    mask_set = chosen_set(run, mask_set)
    heal_image_sets(run)
    folder, vocabulary = run.folder, run.vocabulary()
    if folder is None:
        raise RunError(f"a report needs the run in a local folder; {run.files.address} is none")
    table = Table(folder, vocabulary, mask_set)
    table.read(table.pending())
    states = read_states(folder)
    table.set_states(dict(states))
    pictures = Pictures(folder, paint.palette_of(vocabulary), cache_folder())
    ids = accepted(table.ids, states)
    found, read = _centres(pictures, ids, mask_set)
    note = f"Centres of mass over the image, from {read} of {len(ids)} masks."
    measured = measure(table, with_rejected=False)
    return page(
        "report.html",
        name=folder.resolve().name,
        style=_style(),
        facts=_facts(run, mask_set),
        samples=[_sample(table, pictures, mask_set, each) for each in _chosen(ids, samples, seed)],
        recipe=run.files.read(layout.RECIPE).decode("utf-8", errors="replace"),
        mask_set=mask_set,
        mask_settings=json.dumps(read_mask_settings(run, mask_set) or {}, indent=1) if mask_set else "",
        version=__version__,
        **statistics_values(measured, heat_maps(found), vocabulary, note),
    )


def _style() -> str:
    folder = Path(__file__).parent / "static"
    return "".join((folder / name).read_text(encoding="utf-8") for name in ("report.css", "figures.css"))


def _facts(run: Run, mask_set: str) -> dict[str, str]:
    header = run.header
    return {
        "model": header.model,
        "revision": header.revision or "not pinned",
        "licence of the model": header.model_licence or "not recorded",
        "classes": f"{len(header.classes)} ({header.vocabulary})",
        "masks": _of_set(run, mask_set),
        "minted": f"{header.created} by segmint {header.segmint_version}",
        "recipe": f"SHA-256 {header.digest[:16]}…",
    }


def _of_set(run: Run, mask_set: str) -> str:
    if not mask_set:
        return "made with the images"
    later = len(run.done_ids() - run.done_ids(mask_set))
    return f"{mask_set}; {later} items that were minted later are not shown" if later else mask_set


def _chosen(ids: list[str], count: int, seed: int) -> list[str]:
    order = np.random.default_rng(seed).permutation(len(ids))[:count]
    return [ids[i] for i in sorted(order.tolist())]


def _sample(table: Table, pictures: Pictures, mask_set: str, item_id: str) -> dict[str, Any]:
    row = table.row_of[item_id]
    try:
        image, labels = pictures.image(item_id), pictures.mask(item_id, mask_set)
        shown = paint.thumbnail(paint.overlay(image, labels, pictures.palette))
    except (ImageError, ValueError):
        shown = paint.broken("image broken")
    prompt = table.prompts[row]
    return {
        "id": item_id,
        "words": prompt[:PROMPT_SHOWN] + ("…" if len(prompt) > PROMPT_SHOWN else ""),
        "uncertain": float(table.column("uncertain")[row]),
        "picture": shown,
    }


def _centres(pictures: Pictures, ids: list[str], mask_set: str) -> tuple[list[Centre], int]:
    chosen = (
        ids
        if len(ids) <= MASKS_READ
        else [ids[i] for i in np.linspace(0, len(ids) - 1, MASKS_READ).astype(int)]
    )
    found: list[Centre] = []
    read = 0
    for item_id in chosen:
        try:
            found += centres(pictures.mask(item_id, mask_set))
            read += 1
        except ImageError:
            continue
    return found, read
