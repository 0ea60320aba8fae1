"""From what a person asks for to a settled recipe and a plan, without loading a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segmint.artifacts import PromptSpec
from segmint.errors import ConfigError
from segmint.plan.classes import parse_classes
from segmint.plan.prompts.readers import read_prompts
from segmint.plan.prompts.sources import make_plan, settle, vocabulary_of
from segmint.plan.prompts.templates import SETS
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe, compose
from segmint.runs.store import Run
from segmint.vocabulary import Vocabulary

Request = tuple[Recipe, list[PromptSpec]]
"""What to mint and how, and every item of it."""


def request(
    *,
    base: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    classes: str | Sequence[str] | Vocabulary | None = None,
    prompts_file: Path | None = None,
    count: int | None = None,
    source: str = "settings",
) -> Request:
    """A settled recipe and its plan; every line of every file is read and checked first.

    Args:
        base: what a recipe file says, as plain data.
        changes: dotted fields laid over it, such as `{"sampling.steps": 20}`.
        classes: as `--classes` says them, or a list of names; None takes the recipe's, or those of the
            prompts file.
        prompts_file: prompts to use instead of planned ones.
        count: number of items; None takes all prompts of the file.
        source: where base comes from, for messages.

    Raises:
        ConfigError: an unknown field, a value out of range, or a count below 1.
        VocabularyError, PromptError: from the classes, the file or the templates.
    """
    if count is not None and count < 1:
        raise ConfigError(f"--count is {count}; expected 1 or more")
    base = base or {}
    recipe = compose(base, changes or {}, source=source)
    vocabulary = _vocabulary(base, classes, prompts_file)
    if vocabulary is not None:
        recipe = recipe.model_copy(update={"vocabulary": VocabularySettings.from_vocabulary(vocabulary)})
    templates = recipe.prompts.templates
    templates_file = None if templates in ("auto", *SETS) else Path(templates)
    prompts = settle(
        recipe.prompts, model=recipe.model.id, prompts_file=prompts_file, templates_file=templates_file
    )
    recipe = recipe.model_copy(update={"prompts": prompts})
    plan = make_plan(
        prompts,
        recipe.vocabulary.to_vocabulary(),
        count=count,
        seed=recipe.sampling.seed,
        prompts_file=prompts_file,
        templates_file=templates_file,
    )
    return recipe, plan


def standing_request(run: Run) -> Request:
    """What a run was asked for: to go on with it without saying everything again."""
    return Recipe.parse(run.recipe(), source=f"{run.files.address}/recipe.toml"), run.plan()


def _vocabulary(
    base: Mapping[str, Any], classes: str | Sequence[str] | Vocabulary | None, prompts_file: Path | None
) -> Vocabulary | None:
    if isinstance(classes, Vocabulary):
        return classes
    if isinstance(classes, str):
        return parse_classes(classes)
    if classes is not None:
        return Vocabulary.of(classes)
    if prompts_file is not None and "vocabulary" not in base:
        return vocabulary_of(read_prompts(prompts_file))
    return None
