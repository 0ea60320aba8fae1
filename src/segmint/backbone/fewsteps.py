"""Few-step models that only their names tell: all else of them is as in the model that they were made from.

FLUX.2 klein says itself that it was distilled, FLUX.1 schnell that it takes no guidance, and a Turbo of
Stable Diffusion or an LCM gives itself away by its scheduler. Stable Diffusion 3.5 large and its Turbo,
Z-Image and its Turbo do not.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from segmint.backbone.family import Facts
from segmint.limits import limits
from segmint.textfile import read_plain

_LISTED = "turbo lightning schnell distilled lcm hyper dmd dmd2 tcd flash"
WORDS = frozenset(_LISTED.split())
"""What few-step models are called by."""
FEW: Mapping[str, tuple[int, float]] = {
    "sd1": (4, 0.0),
    "sd2": (4, 0.0),
    "sdxl": (4, 0.0),
    "pixart-alpha": (4, 0.0),
    "pixart-sigma": (4, 0.0),
    "sd3": (4, 0.0),
    "sd3.5": (4, 0.0),
    "z-image": (9, 0.0),
    "qwen-image": (8, 1.0),
    "flux1-dev": (8, 3.5),
}
"""Steps and guidance of such models by branch, as the best-known one's card has them."""


def told_by_name(facts: Facts, names: Iterable[str]) -> Facts:
    """The facts, with fewer steps where one of the names is a few-step model's, and a note that says so.

    Args:
        facts: as the model tells them; they stay where its family knows no such models, or it told by itself.
        names: of the model and of what it was made from.
    """
    few = FEW.get(facts.branch)
    found = next((name for name in names if is_few_step(name)), None)
    if few is None or found is None or facts.steps <= few[0]:
        return facts
    steps, guidance = few
    scale = f"guidance {guidance:g}" if guidance > 1 else "without guidance"
    note = (
        f"{found!r} is the name of a few-step model: {steps} steps {scale} unless --steps and --guidance say "
        "otherwise"
    )
    return replace(facts, steps=steps, guidance=guidance, notes=(*facts.notes, note))


def is_few_step(name: str) -> bool:
    """Whether a name has a word that few-step models are called by; a "de-turbo" was trained to be none."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    return any(word in WORDS and before != "de" for before, word in zip(["", *words], words, strict=False))


def names_of(folder: Path, model_id: str, network: str) -> Iterator[str]:
    """What a model is called: by its id or folder, and by its own files, which say what it was made from.

    Args:
        folder: where its files lie, if anywhere.
        model_id: as it was asked for.
        network: the part that denoises.
    """
    yield Path(model_id).name
    for path in (folder / "model_index.json", folder / network / "config.json"):
        came_from = _json(path).get("_name_or_path")
        if isinstance(came_from, str):
            cached = re.search(r"models--[^/]+", came_from)  # the hub's cache names its folders so
            yield cached.group() if cached else Path(came_from).name
    card = _text(folder / "README.md")
    for line in re.findall(r"^(?:#|base_model:|- +base_model:) .*$", card, re.MULTILINE)[:2]:
        yield line.partition(" ")[2].strip()


def _json(path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    try:
        return read_plain(path, limits().record_bytes).decode("utf-8", "replace")
    except OSError:
        return ""
