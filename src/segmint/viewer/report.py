"""A run in one HTML file, with nothing beside it: to mail, to archive, to print."""

import json
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from segmint._version import __version__
from segmint.errors import ImageError, RunError
from segmint.pictures import paint
from segmint.runs import layout
from segmint.runs.curation.decisions import accepted, read_states
from segmint.runs.masksets import check_mask_set, read_mask_settings
from segmint.runs.store import Run
from segmint.viewer.markup import el, percent, picture, section, swatch, to_html
from segmint.viewer.pictures import Pictures, cache_folder
from segmint.viewer.statistics import Centre, centres, heat_maps, measure
from segmint.viewer.statistics_page import statistics_sections
from segmint.viewer.table import Table
from segmint.vocabulary import ClassEntry

SAMPLES = 24
"""Overlays shown where nobody asks for another number."""
MASKS_READ = 2000
"""Masks that the centre-of-mass maps are drawn from; evenly spread where there are more."""
PROMPT_SHOWN = 160
"""Characters of a prompt under its picture."""


def write_report(
    run: Run, *, mask_set: str = layout.DEFAULT_MASK_SET, samples: int = SAMPLES, seed: int = 0
) -> str:
    """The report as HTML text; needs no other file and no script.

    Args:
        run: an open run in a local folder.
        mask_set: whose masks are shown.
        samples: how many overlays to show; rejected items are never among them.
        seed: another one shows others.

    Raises:
        RunError: the run has no such mask set.
    """
    check_mask_set(run, mask_set)
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
    body = [
        _head(run, mask_set),
        *statistics_sections(measure(table, with_rejected=False), heat_maps(found), vocabulary, note),
        _samples(table, pictures, mask_set, _chosen(ids, samples, seed), vocabulary.entries),
        _recipe(run, mask_set),
        el("footer", None, f"Written by segmint {__version__}."),
    ]
    return _page(f"{folder.resolve().name} – segmint report", body)


def _page(title: str, body: list[Element]) -> str:
    head = el(
        "head",
        None,
        el("meta", {"charset": "utf-8"}),
        el("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        el("title", None, title),
        el("style", None, _style()),
    )
    main = el("main", {"class": "figures"}, *body)
    return "<!doctype html>\n" + to_html(el("html", {"lang": "en"}, head, el("body", None, main))) + "\n"


def _style() -> str:
    folder = Path(__file__).parent / "static"
    return "".join((folder / name).read_text(encoding="utf-8") for name in ("report.css", "figures.css"))


def _head(run: Run, mask_set: str) -> Element:
    header = run.header
    facts = {
        "model": header.model,
        "revision": header.revision or "not pinned",
        "licence of the model": header.model_licence or "not recorded",
        "classes": f"{len(header.classes)} ({header.vocabulary})",
        "masks": mask_set or "made with the images",
        "minted": f"{header.created} by segmint {header.segmint_version}",
        "recipe": f"SHA-256 {header.digest[:16]}…",
    }
    pairs = [each for name, value in facts.items() for each in (el("dt", None, name), el("dd", None, value))]
    name = run.folder.resolve().name if run.folder else run.files.address
    return el("header", {"class": "figure-card"}, el("h1", None, name), el("dl", {"class": "facts"}, *pairs))


def _chosen(ids: list[str], count: int, seed: int) -> list[str]:
    order = np.random.default_rng(seed).permutation(len(ids))[:count]
    return [ids[i] for i in sorted(order.tolist())]


def _samples(
    table: Table, pictures: Pictures, mask_set: str, ids: list[str], entries: Sequence[ClassEntry]
) -> Element:
    figures = [_sample(table, pictures, mask_set, item_id) for item_id in ids]
    legend = el(
        "p",
        {"class": "legend"},
        *(el("span", None, swatch(paint.shown_colour(entry.colour)), f" {entry.name}") for entry in entries),
    )
    note = "Drawn at random from the items that nobody rejected."
    return section("Samples", legend, el("div", {"class": "samples"}, *figures), note=note)


def _sample(table: Table, pictures: Pictures, mask_set: str, item_id: str) -> Element:
    row = table.row_of[item_id]
    try:
        image, labels = pictures.image(item_id), pictures.mask(item_id, mask_set)
        shown = paint.thumbnail(paint.overlay(image, labels, pictures.palette))
    except (ImageError, ValueError):
        shown = paint.broken("image broken")
    prompt = table.prompts[row]
    words = prompt[:PROMPT_SHOWN] + ("…" if len(prompt) > PROMPT_SHOWN else "")
    uncertain = percent(float(table.column("uncertain")[row]))
    caption = el(
        "figcaption", None, el("b", None, item_id), f" {words} ", el("span", None, f"{uncertain} uncertain")
    )
    return el("figure", None, picture(shown, f"{item_id}: {words}", lossless=False), caption)


def _recipe(run: Run, mask_set: str) -> Element:
    text = run.files.read(layout.RECIPE).decode("utf-8", errors="replace")
    parts = [el("pre", None, text)]
    if mask_set:
        said = read_mask_settings(run, mask_set)
        parts += [el("h3", None, f"Masks “{mask_set}”"), el("pre", None, json.dumps(said or {}, indent=1))]
    return section("Recipe", *parts)


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
