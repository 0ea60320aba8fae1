"""A legend says which class each value or colour of a mask file is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segmint.vocabulary import BACKGROUND, IGNORE, Colour, Vocabulary, voc_colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """What the pixels of a dataset's masks mean."""

    classes: Mapping[int, str]
    """Class names by label id, without the background (0) and the uncertain (255)."""
    values: Mapping[int, int]
    """Label id of each value that a mask may hold, 0 and 255 among them."""
    colours: Mapping[Colour, int]
    """Label id of each colour; empty where classes share one."""
    numbered: bool = True
    """Whether the values were told, or only follow from the order of the names."""
    coloured: bool = True
    """Whether the colours were told; else they are PASCAL VOC's, and no palette is held against them."""


def legend_of(vocabulary: Vocabulary) -> Legend:
    """The legend of masks that were made with a vocabulary."""
    return plain_legend(
        {entry.label_id: entry.name for entry in vocabulary.entries},
        {entry.label_id: entry.colour for entry in vocabulary.entries},
    )


def plain_legend(classes: Mapping[int, str], colours: Mapping[int, Colour] | None = None) -> Legend:
    """The legend of masks whose values are label ids.

    Args:
        classes: names by label id.
        colours: by label id, 0 and 255 among them if wished; without it, PASCAL VOC's.
    """
    chosen = {label: voc_colour(label) for label in classes} if colours is None else colours
    return Legend(
        classes=dict(classes),
        values={each: each for each in (BACKGROUND, *classes, IGNORE)},
        colours=distinct_colours(chosen),
    )


def distinct_colours(colours: Mapping[int, Colour]) -> dict[Colour, int]:
    """Label ids by colour, with black for the background and VOC's rim for the uncertain where they are free;
    nothing where two labels share a colour."""
    if any(count > 1 for count in Counter(colours.values()).values()):
        return {}
    known = {colour: label for label, colour in colours.items()}
    for label in (BACKGROUND, IGNORE):
        if label not in colours:
            known.setdefault(voc_colour(label), label)
    return known


def listed(values: Sequence[int]) -> str:
    """Whole numbers for a message: a range where they have no gaps."""
    if values and list(values) == list(range(values[0], values[-1] + 1)) and len(values) > 2:
        return f"{values[0]}–{values[-1]}"
    return ", ".join(map(str, values))
