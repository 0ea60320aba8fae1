"""From what a person asks for to a settled recipe and a plan, without loading a model or opening an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmint.artifacts import PromptSpec
from segmint.backbone.settings import SamplingSettings
from segmint.errors import ConfigError, VocabularyError
from segmint.pipeline import check_method
from segmint.plan.classes import parse_classes
from segmint.plan.photos.sources import Source, find_sources, fingerprint, plan_photos
from segmint.plan.prompts.given import GIVEN, GivenPrompts, check_ids
from segmint.plan.prompts.readers import parse_prompts, read_prompts
from segmint.plan.prompts.sources import make_plan, settle, vocabulary_of
from segmint.plan.prompts.templates import SETS
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe, compose
from segmint.vocabulary import Vocabulary

Classes = str | Sequence[str] | Vocabulary | None
"""As `--classes` says them, a list of names, or a vocabulary; None where something else says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Items that one recipe makes."""

    recipe: Recipe
    plan: Sequence[PromptSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to make and how: every item, in order."""

    recipe: Recipe
    plan: Sequence[PromptSpec]
    """The recipe's items; those of additions come after them."""
    added: tuple[Part, ...] = ()
    """What was added to the run later, each by a recipe of its own (`jobs.additions`)."""
    photos: Mapping[str, Path] | None = None
    """The file of each item's image, by item, where existing images are labelled; None where the model
    draws them."""

    def batch_size(self, recipe: Recipe) -> int:
        """Items of a part that go before the model together."""
        return recipe.sampling.batch_size if self.photos is None else recipe.observation.batch_size


def parts_of(request: Request) -> tuple[Part, ...]:
    """The run's own recipe and items, then those of each addition."""
    return (Part(recipe=request.recipe, plan=request.plan), *request.added)


def whole_plan(request: Request) -> list[PromptSpec]:
    """Every item of every part, in order."""
    return [spec for part in parts_of(request) for spec in part.plan]


def request(
    *,
    base: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    classes: Classes = None,
    prompts_file: Path | GivenPrompts | None = None,
    count: int | None = None,
    source: str = "settings",
    start: int = 0,
) -> Request:
    """Images to mint; every line of every file is read and checked first.

    Args:
        base: what a recipe file says, as plain data.
        changes: dotted fields laid over it, such as `{"sampling.steps": 20}`.
        classes: None takes the recipe's, or those of the prompts file.
        prompts_file: prompts to use instead of planned ones, from a file or given.
        count: number of items; None takes all prompts of the file.
        source: where base comes from, for messages.
        start: index of the first item, where there are others before.

    Raises:
        ConfigError: an unknown field, a value out of range, a count below 1, or a method that the model's
            family cannot serve.
        VocabularyError, PromptError: from the classes, the file or the templates.
    """
    if count is not None and count < 1:
        raise ConfigError(f"--count is {count}; expected 1 or more")
    base = base or {}
    recipe = compose(base, changes or {}, source=source)
    check_method(recipe)
    vocabulary = named_classes(classes)
    if vocabulary is None and prompts_file is not None and "vocabulary" not in base:
        vocabulary = of_prompts(prompts_file)
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
        vocabulary or recipe.vocabulary.to_vocabulary(),
        count=count,
        seed=recipe.sampling.seed,
        prompts_file=prompts_file,
        templates_file=templates_file,
        start=start,
    )
    if isinstance(prompts_file, GivenPrompts):
        check_ids(prompts_file.specs, recipe.vocabulary.to_vocabulary())
    return Request(recipe=recipe, plan=plan)


def label_request(
    images: Sequence[str | Path],
    *,
    base: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    classes: Classes = None,
    source: str = "settings",
) -> Request:
    """Existing images to label; every list is read and checked, no image is opened.

    Args:
        images: files, folders, globs and lists; see `photos.sources.find_sources`.
        base, changes, source: as `request` has them.
        classes: None takes the recipe's, or all that the lists name.

    Raises:
        ImageError: no image, a bad list, or an image that names an unknown class.
        VocabularyError: the classes are wrong, or nobody says what to look for.
        ConfigError: an unknown field, a value out of range, or a method that the model's family cannot serve.
    """
    sources = find_sources(images)
    base = base or {}
    recipe = compose(base, changes or {}, source=source)
    check_method(recipe)
    vocabulary = named_classes(classes)
    if vocabulary is None and "vocabulary" not in base:
        vocabulary = _of_lists(sources)
    vocabulary = vocabulary or recipe.vocabulary.to_vocabulary()
    recipe = recipe.model_copy(
        update={
            "vocabulary": VocabularySettings.from_vocabulary(vocabulary),
            "photos": recipe.photos.model_copy(update={"sources_sha256": fingerprint(sources)}),
            "sampling": _idle_sampling(recipe),
        }
    )
    plan = plan_photos(sources, vocabulary, caption=recipe.photos.caption, seed=recipe.observation.seed)
    photos = {each.item_id: each.path.absolute() for each in sources}
    return Request(recipe=recipe, plan=plan, photos=photos)


def named_classes(classes: Classes) -> Vocabulary | None:
    """The vocabulary that is meant; None where nothing is said.

    Raises:
        VocabularyError: no class, an unknown or doubled one.
        TypeError: a name is no text.
    """
    if classes is None or isinstance(classes, Vocabulary):
        return classes
    return parse_classes(classes) if isinstance(classes, str) else Vocabulary.of(classes)


def of_prompts(prompts: Path | GivenPrompts) -> Vocabulary:
    """The classes that prompts name."""
    if not isinstance(prompts, GivenPrompts):
        return vocabulary_of(read_prompts(prompts))
    return prompts.vocabulary() or vocabulary_of(parse_prompts(prompts.text, GIVEN, None, form="jsonl"))


def _of_lists(sources: Sequence[Source]) -> Vocabulary:
    if any(source.classes is None for source in sources):
        raise VocabularyError(
            'say what to look for, for example --classes "boat, tree", '
            "or give classes with every image of a .jsonl list"
        )
    named = dict.fromkeys(name for source in sources for name in source.classes or ())
    return Vocabulary.of(sorted(named))


def _idle_sampling(recipe: Recipe) -> SamplingSettings:
    """The section `sampling` as a labelling recipe records it.

    Labelling samples nothing, and reads nothing of it but the negative prompt of the records. Its batch size
    is written as that of `observation`, as in every labelling recipe so far: whatever else it said would
    change the digest, and runs made before could not be gone on with.
    """
    return recipe.sampling.model_copy(update={"batch_size": recipe.observation.batch_size})
