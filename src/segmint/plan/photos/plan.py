"""From images to the items of a run: what each is called, what to look for in it, what it is said to show."""

import hashlib
import json
from collections.abc import Sequence

from segmint.artifacts import PromptSpec
from segmint.errors import ImageError, VocabularyError
from segmint.plan.photos.sources import Source
from segmint.plan.settings import CLASSES_FIELD
from segmint.vocabulary import Vocabulary


def plan_photos(
    sources: Sequence[Source], vocabulary: Vocabulary, *, caption: str, seed: int
) -> list[PromptSpec]:
    """One item an image, in order.

    Args:
        sources: images; one that names classes is searched for those, the others for the whole vocabulary.
        vocabulary: the run's classes.
        caption: what an image shows that has no caption of its own; see `PhotoSettings.caption`.
        seed: image i draws its noise from seed + i.

    Raises:
        ImageError: an image names a class that the vocabulary lacks; the message names both.
    """
    return [
        _spec(source, vocabulary, index, caption=caption, seed=seed + index)
        for index, source in enumerate(sources)
    ]


def describe(phrases: Sequence[str], caption: str) -> str:
    """The caption with each phrase under its article: "a photo of a boat, an ape and a tree"."""
    things = [f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}" for phrase in phrases]
    listed = " and ".join(each for each in (", ".join(things[:-1]), things[-1]) if each)
    return caption.replace(CLASSES_FIELD, listed)


def fingerprint(sources: Sequence[Source]) -> str:
    """SHA-256 (hex) of what a list of images says: names, paths as given, classes and captions."""
    told = [[each.item_id, each.path.as_posix(), each.classes, each.caption] for each in sources]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _spec(source: Source, vocabulary: Vocabulary, index: int, *, caption: str, seed: int) -> PromptSpec:
    try:
        entries = vocabulary.entries if source.classes is None else vocabulary.subset(source.classes).entries
    except VocabularyError as error:
        raise ImageError(f"{source.path}: {error}") from None
    return PromptSpec(
        item_id=source.item_id,
        index=index,
        prompt=source.caption or describe([entry.phrases[0] for entry in entries], caption),
        classes=tuple(entry.name for entry in entries),
        label_ids=tuple(entry.label_id for entry in entries),
        phrases=tuple(entry.phrases for entry in entries),
        seed=seed,
    )
