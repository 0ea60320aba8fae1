"""Which classes further items should show, so that every class comes to its share of what is found.

"Found" is what the masks say: a class that is drawn and not seen, or seen small, is asked for more often.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segmint.errors import ConfigError
from segmint.plan.classes import parse_classes
from segmint.recipe import Recipe
from segmint.runs.curation.decisions import accepted, states_at
from segmint.runs.records import ItemRecord
from segmint.runs.store import Run
from segmint.textfile import parse_json, read_text

Measure = Literal["pixels", "images"]
"""What is to be shared evenly: the area of a class over all images, or the images that show it."""
PRIOR_ITEMS = 1.0
"""Items that show a class as the mean class is shown, beside those that name it: of a class that was never
found, more than everything is not asked for."""
LEAST_WEIGHT = 0.1
"""Of a class that is recognised without a fault, beside 1 of one that never is: nothing is unlearnt."""
DIGITS = 4
"""Of a weight: it is read by people, and the same on every machine."""


def weights_for(run: Run, measure: Measure, count: int, *, only: str | None = None) -> dict[str, float]:
    """Weights of the run's classes for so many further items.

    What an item that names a class brings to it is taken from the items that are there and nobody rejected.
    The classes with least then get what lifts them all to one level (filling up from below); classes above
    that level get nothing.

    Args:
        run: the run that stands.
        measure: what is shared.
        count: further items.
        only: classes, as `--classes` says them, that may be drawn; None takes all of the run's.

    Raises:
        ConfigError: the run has no whole item that nobody rejected, or `only` names a class that it lacks.
    """
    names = _names(run, only)
    ids = accepted(sorted(run.done_ids()), states_at(run.files))
    if not ids:
        raise ConfigError(f"{run.files.address} has no item to balance by; mint some first")
    named, found = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    for record in map(run.record, ids):
        for name in found.keys() & set(record.classes):
            named[name] += 1
            found[name] += _brought(record, name, measure)
    typical = max(sum(found.values()) / max(sum(named.values()), 1), 1e-6)
    rate = {name: (found[name] + PRIOR_ITEMS * typical) / (named[name] + PRIOR_ITEMS) for name in names}
    wanted = _filled(found, rate, count * _classes_an_item(run, len(names)))
    whole = sum(wanted.values())
    return {name: round(wanted[name] * len(names) / whole, DIGITS) for name in names}


def settings_against(run: Run, evaluation: Path) -> dict[str, Any]:
    """What to plan where a segmenter fails: dotted fields of a recipe.

    A class is weighed by what its IoU lacks. Of what is wrong between labels, the share that is one class
    taken for another, and not a class for the background, is the share of images that show several.

    Args:
        run: the run that is added to.
        evaluation: `metrics.json` of `segmint evaluate` on a validation set, or its folder.

    Raises:
        ConfigError: the file cannot be read, or judges none of the run's classes.
    """
    said = _metrics(evaluation / "metrics.json" if evaluation.is_dir() else evaluation)
    names = run.vocabulary().names
    lacking = {
        name: 1 - min(max(float(said["classes"][name]["iou"]), 0.0), 1.0)
        for name in names
        if said["classes"].get(name, {}).get("iou") is not None
    }
    if not lacking:
        raise ConfigError(
            f"{evaluation} judges none of the classes of {run.files.address}: {', '.join(names)}"
        )
    typical = sum(lacking.values()) / len(lacking)  # of a class that no validation image shows
    weights = {name: round(max(lacking.get(name, typical), LEAST_WEIGHT), DIGITS) for name in names}
    wrong = np.array(said["confusion"], np.float64)
    np.fill_diagonal(wrong, 0)
    several = round(float(wrong[1:, 1:].sum() / max(wrong.sum(), 1)), DIGITS)
    counts = (round(1 - several, DIGITS), round(several * 2 / 3, DIGITS), round(several / 3, DIGITS))
    return {"prompts.weights": weights, "prompts.class_counts": counts}


def _metrics(path: Path) -> dict[str, Any]:
    text, _ = read_text(path, what="evaluation", error=ConfigError)
    try:
        said = parse_json(text, constants=True)
        shape = np.array(said["confusion"], np.float64).shape
        if not isinstance(said["classes"], dict) or len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError("its classes and its confusion are not those of an evaluation")  # noqa: TRY301
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no metrics.json of segmint evaluate: {error}") from None
    found: dict[str, Any] = said
    return found


def _names(run: Run, only: str | None) -> tuple[str, ...]:
    known = run.vocabulary().names
    if only is None:
        return known
    asked = parse_classes(only).names
    unknown = [each for each in asked if each not in known]
    if unknown:
        raise ConfigError(
            f"--balance weighs classes that {run.files.address} shows, and it has no {unknown[0]!r}; "
            "add that first, by --add --classes"
        )
    return asked


def _brought(record: ItemRecord, name: str, measure: Measure) -> float:
    area = record.areas.get(name, 0.0)
    return area if measure == "pixels" else float(area > 0)


def _classes_an_item(run: Run, classes: int) -> float:
    """How many classes a planned item shows, in the mean."""
    recipe = Recipe.parse(run.recipe(), source=f"{run.files.address}/recipe.toml")
    weights = recipe.prompts.class_counts
    shown = sum(min(number, classes) * weight for number, weight in enumerate(weights, start=1))
    return shown / sum(weights)


def _filled(found: Mapping[str, float], rate: Mapping[str, float], draws: float) -> dict[str, float]:
    """How often each class is to be drawn, of so many times in all, so that the least reach one level."""
    order = sorted(found, key=lambda name: (found[name], name))
    level = 0.0
    for size in range(1, len(order) + 1):
        low = order[:size]
        cost = sum(1 / rate[name] for name in low)
        level = (draws + sum(found[name] / rate[name] for name in low)) / cost
        if size == len(order) or level <= found[order[size]]:
            break
    return {name: max(level - found[name], 0.0) / rate[name] for name in found}
