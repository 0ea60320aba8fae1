"""From datasets as found to what a training works on: matched, inspected, and counted aloud."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from segmint.training.data.datasets import LabelledSet, MatchedSet, Others, match, unite
from segmint.training.data.inspection import Inspected, inspect
from segmint.training.fit.observer import Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Inspected samples to learn from and to judge on."""

    train: Inspected
    val: Inspected

    def fingerprint(self) -> str:
        """The same for the same classes and items, wherever they lie."""
        return f"{self.train.data.fingerprint()} {self.val.data.fingerprint()} {self.val.data.judged}"


def prepare(
    sets: Sequence[LabelledSet],
    val: LabelledSet,
    *,
    subset: Sequence[str] | None,
    others: Others,
    skip_broken: bool,
    workers: int,
    observer: Observer,
) -> TrainingData:
    """Match all sets to the classes of the first, read every file once, and say what is left out.

    Args:
        sets: to learn from.
        val: to judge on.
        subset: judge on these classes only.
        others: what true pixels of other classes count as then.
        skip_broken: leave broken files out instead of stopping.
        workers: threads that decode.
        observer: told what was skipped and which class no image shows.

    Raises:
        DatasetError: classes differ, or nothing is left.
        ImageError: a file is broken.
    """
    classes = [name for _, name in sorted(sets[0].classes.items())]
    train = unite([match(each, classes) for each in sets])
    judge = match(val, classes, subset=subset, others=others)
    look = partial(inspect, skip_broken=skip_broken, workers=max(workers, 1))
    ready = TrainingData(
        train=look(train, skip_empty=True, on_progress=partial(observer.stage, f"inspecting {train.name}")),
        val=look(judge, on_progress=partial(observer.stage, f"inspecting {judge.name}")),
    )
    for inspected, use in ((ready.train, "training on"), (ready.val, "validating on")):
        for line in described(inspected, use):
            observer.note(line)
    return ready


def described(inspected: Inspected, use: str) -> list[str]:
    """What the user should know of a set: its size, what was skipped, which class no image shows."""
    data = inspected.data
    lines = [f"{use} {len(data.samples)} images of {data.name}; skipped {said_counts(data)}"]
    lines += [f"broken, skipped: {each}" for each in inspected.broken]
    if inspected.unseen():
        lines.append(
            f"warning: no image of {data.name} shows {', '.join(inspected.unseen())}; "
            "such a class has no IoU (–) and is left out of the mean"
        )
    return lines


def said_counts(data: MatchedSet) -> str:
    """`3 rejected, 1 empty`, or `none`."""
    return ", ".join(f"{count} {reason}" for reason, count in data.skipped.items()) or "none"
