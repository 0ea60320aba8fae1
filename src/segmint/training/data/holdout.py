"""Part of the images to learn from, kept back to judge on: whole prompts, so that none is on both sides."""

from collections.abc import Sequence
from dataclasses import replace

from segmint.errors import ConfigError, DatasetError
from segmint.runs.splits import deal
from segmint.training.data.datasets import LabelledSet

SEED = 0
"""One for all trainings, so that what is kept back depends on the images alone."""


def hold_out(sets: Sequence[LabelledSet], share: float) -> tuple[list[LabelledSet], LabelledSet]:
    """The sets without a share of their images, and those images as a set of their own.

    All images of a prompt are on one side; images that come without a prompt go one by one.

    Args:
        sets: what there is to learn from; all of the same classes and ids.
        share: of all images, above 0 and below 1.

    Raises:
        ConfigError: the share is out of range, or one prompt has more images than a side may have.
        DatasetError: the sets differ in their classes or ids, so that they cannot be judged as one.
    """
    if not 0 < share < 1:
        raise ConfigError(f"--split {share:g}: expected a share above 0 and below 1, such as 0.1")
    for each in sets:
        if dict(each.classes) != dict(sets[0].classes):
            raise DatasetError(
                f"{sets[0].name} and {each.name} number their classes differently, so that no part of both "
                "can be held out; give --val instead"
            )
    named = {f"{at}/{s.item_id}": s for at, each in enumerate(sets) for s in each.samples}
    groups = {name: sample.group for name, sample in named.items() if sample.group is not None}
    parts = deal(list(named), {"train": 1 - share, "val": share}, SEED, groups=groups)
    if not parts["val"] or not parts["train"]:
        raise DatasetError(
            f"{len(named)} images are too few to hold out {share:g} of them; give --val instead"
        )
    held = set(parts["val"])
    left = [
        replace(each, samples=tuple(s for s in each.samples if f"{at}/{s.item_id}" not in held))
        for at, each in enumerate(sets)
    ]
    empty = next((each.name for each in left if not each.samples), None)
    if empty is not None:
        raise DatasetError(f"nothing of {empty} is left to learn from; give --val instead of --split")
    own = [
        replace(named[each], item_id=each if len(sets) > 1 else named[each].item_id) for each in parts["val"]
    ]
    name = " + ".join(each.name for each in sets)
    return left, LabelledSet(name=f"{name}, held out", classes=sets[0].classes, samples=tuple(own))
