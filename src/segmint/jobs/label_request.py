"""From the images that a person points at to a settled recipe, a plan and the images' files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmint.artifacts import PromptSpec
from segmint.errors import VocabularyError
from segmint.plan.classes import parse_classes
from segmint.plan.photos.plan import fingerprint, plan_photos
from segmint.plan.photos.sources import Source, find_sources
from segmint.plan.settings import VocabularySettings
from segmint.recipe import Recipe, compose
from segmint.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequest:
    """What to label and how: every item, and the file of each."""

    recipe: Recipe
    plan: tuple[PromptSpec, ...]
    paths: Mapping[str, Path]


def label_request(
    images: Sequence[str | Path],
    *,
    base: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    classes: str | Sequence[str] | Vocabulary | None = None,
    source: str = "settings",
) -> LabelRequest:
    """A settled recipe and its plan; every list is read and checked, no image is opened.

    Args:
        images: files, folders, globs and lists; see `photos.sources.find_sources`.
        base: what a recipe file says, as plain data.
        changes: dotted fields laid over it.
        classes: as `--classes` says them, or names; None takes the recipe's, or all that the lists name.
        source: where base comes from, for messages.

    Raises:
        ImageError: no image, a bad list, or an image that names an unknown class.
        VocabularyError: the classes are wrong, or nobody says what to look for.
        ConfigError: an unknown field or a value out of range.
    """
    sources = find_sources(images)
    base = base or {}
    recipe = compose(base, changes or {}, source=source)
    vocabulary = _vocabulary(base, classes, sources) or recipe.vocabulary.to_vocabulary()
    batch_size = recipe.observation.batch_size
    recipe = recipe.model_copy(
        update={
            "vocabulary": VocabularySettings.from_vocabulary(vocabulary),
            "photos": recipe.photos.model_copy(update={"sources_sha256": fingerprint(sources)}),
            "sampling": recipe.sampling.model_copy(update={"batch_size": batch_size}),
        }
    )
    plan = plan_photos(sources, vocabulary, caption=recipe.photos.caption, seed=recipe.observation.seed)
    return LabelRequest(
        recipe=recipe, plan=tuple(plan), paths={source.item_id: source.path for source in sources}
    )


def _vocabulary(
    base: Mapping[str, Any], classes: str | Sequence[str] | Vocabulary | None, sources: Sequence[Source]
) -> Vocabulary | None:
    if isinstance(classes, Vocabulary):
        return classes
    if isinstance(classes, str):
        return parse_classes(classes)
    if classes is not None:
        return Vocabulary.of(classes)
    if "vocabulary" in base:
        return None
    if any(source.classes is None for source in sources):
        raise VocabularyError(
            'say what to look for, for example --classes "boat, tree", '
            "or give classes with every image of a .jsonl list"
        )
    named = dict.fromkeys(name for source in sources for name in source.classes or ())
    return Vocabulary.of(sorted(named))
