"""A dataset with its classes renamed, merged or left out; its files stay as they are."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from segmint.errors import DatasetError, VocabularyError
from segmint.labels.legend import plain_legend
from segmint.labels.relabelling import Relabelling
from segmint.training.data.datasets import Drawable, LabelledSet, Sample
from segmint.vocabulary import ClassEntry, Vocabulary, voc_colour


@dataclass(frozen=True, slots=True, kw_only=True)
class _Renamed:
    drawn: Drawable
    names: Relabelling

    def draw(self, *, height_px: int, width_px: int) -> UInt8[np.ndarray, "image_h image_w"]:
        return self.names(self.drawn.draw(height_px=height_px, width_px=width_px))


def renamed(found: LabelledSet, change: Callable[[Vocabulary], Relabelling | None]) -> LabelledSet:
    """The dataset after a change of its classes, which is given its vocabulary.

    Raises:
        DatasetError: its class names cannot be a vocabulary.
        VocabularyError, ConfigError: the change cannot be made.
    """
    names = change(vocabulary_of(found))
    if names is None:
        return found
    return replace(
        found,
        classes={entry.label_id: entry.name for entry in names.vocabulary.entries},
        samples=tuple(_sample(each, names, found) for each in found.samples),
    )


def vocabulary_of(found: LabelledSet) -> Vocabulary:
    """A dataset's classes as a vocabulary, in PASCAL VOC's colours."""
    try:
        return Vocabulary.of_entries(
            ClassEntry(name=name, label_id=label, phrases=(name,), colour=voc_colour(label))
            for label, name in found.classes.items()
        )
    except VocabularyError as error:
        raise DatasetError(f"{found.name}: {error}") from None


def _sample(sample: Sample, names: Relabelling, found: LabelledSet) -> Sample:
    if not isinstance(sample.mask, Path):
        return replace(sample, mask=_Renamed(drawn=sample.mask, names=names))
    return replace(sample, legend=names.legend(sample.legend or plain_legend(found.classes)))
