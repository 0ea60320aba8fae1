"""A look at every file before work starts: what is broken, what is empty, which class is where.

It costs one decoding of each image (about 1 % of a training) and saves a run of hours from a truncated file
at its end.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from segmint.errors import DatasetError, ImageError, SegmintError
from segmint.listening import Listener, Silent, Stage
from segmint.training.data.datasets import (
    LabelledSet,
    MatchedSample,
    MatchedSet,
    Others,
    match,
    read_noted,
    unite,
)
from segmint.vocabulary import BACKGROUND, IGNORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A set whose files were all read once."""

    data: MatchedSet
    """The sound samples; `skipped` counts the others by reason."""
    present: tuple[tuple[int, ...], ...]
    """For each sample the labels that it shows, ascending, without the ignored."""
    broken: tuple[str, ...]
    """What is wrong with each broken sample, where those are skipped."""
    pixels: tuple[bytes, ...] = ()
    """For each sample a digest of its image's pixels, whatever file they lie in."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """How many images something had to be decided about, such as the frame to read, by what it was."""

    def unseen(self) -> tuple[str, ...]:
        """Names of the judged classes that no image shows."""
        seen = {label for labels in self.present for label in labels}
        return tuple(
            self.data.label_names[label] for label in self.data.judged if label not in seen and label
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What one sample shows."""

    labels: tuple[int, ...]
    """Ascending, without the ignored."""
    uncertain: bool
    """Whether some pixels are ignored."""
    notes: tuple[str, ...]
    pixels: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Inspected samples to learn from and to judge on."""

    train: Inspected
    val: Inspected

    def shared(self) -> int:
        """How many images to judge on are among those to learn from, pixel by pixel."""
        learnt = set(self.train.pixels)
        return sum(each in learnt for each in self.val.pixels)

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
    listener: Listener,
) -> TrainingData:
    """Match all sets to the classes of the first, and inspect them; arguments as of `match` and `inspect`.

    Raises:
        DatasetError: classes differ, or nothing is left.
        ImageError: a file is broken.
    """
    classes = [name for _, name in sorted(sets[0].classes.items())]
    train = unite([match(each, classes) for each in sets])
    judge = match(val, classes, subset=subset, others=others)
    look = partial(inspect, skip_broken=skip_broken, workers=workers, listener=listener)
    data = TrainingData(train=look(train, "training on", skip_empty=True), val=look(judge, "validating on"))
    if data.shared():
        listener.noted(f"warning: {shared_note(data.shared(), len(data.val.pixels))}")
    return data


def shared_note(shared: int, judged: int) -> str:
    """What to say of a score on images that were learnt from."""
    return (
        f"{shared} of the {judged} validation images are among the training images; the score says in part "
        "how well they are remembered, not how new ones are segmented"
    )


def inspect(
    data: MatchedSet,
    use: str = "judging on",
    *,
    skip_broken: bool = False,
    skip_empty: bool = False,
    workers: int = 1,
    listener: Listener | None = None,
) -> Inspected:
    """Read every sample once, and say what is left out.

    Args:
        data: the samples.
        use: what they are for, in words.
        skip_broken: leave out files that cannot be read, instead of stopping at the first.
        skip_empty: leave out samples that show no class at all.
        workers: threads that decode.
        listener: told what was skipped and which class no image shows.

    Raises:
        ImageError: a file cannot be read, or image and mask differ in size.
        DatasetError: a mask holds an unknown value, all masks hold nothing but 0 and 255, or nothing is left
            to work with.
    """
    listener, count = listener or Silent(), len(data.samples)
    outcomes: list[_Look | ImageError] = []
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for outcome in pool.map(_look, data.samples):
            if isinstance(outcome, SegmintError) and not (skip_broken and isinstance(outcome, ImageError)):
                pool.shutdown(cancel_futures=True)
                raise _with_advice(outcome)
            outcomes.append(outcome)
            listener.finished(Stage(name=f"inspecting {data.name}", done=len(outcomes), total=count))
    found = _sorted_out(data, outcomes, skip_empty=skip_empty)
    for line in _described(found, use):
        listener.noted(line)
    return found


def _look(sample: MatchedSample) -> _Look | SegmintError:
    try:
        photo, labels = read_noted(sample)
    except SegmintError as error:
        return error
    shown = np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist()
    kept = tuple(label for label in shown if label != IGNORE)
    pixels = hashlib.sha256(f"{photo.rgb.shape}".encode() + photo.rgb.tobytes()).digest()
    return _Look(labels=kept, uncertain=IGNORE in shown, notes=photo.notes, pixels=pixels)


def _with_advice(error: SegmintError) -> SegmintError:
    return ImageError(f"{error}; or pass --skip-broken") if isinstance(error, ImageError) else error


def _sorted_out(data: MatchedSet, outcomes: Sequence[_Look | ImageError], *, skip_empty: bool) -> Inspected:
    broken = [str(outcome) for outcome in outcomes if isinstance(outcome, ImageError)]
    sound = [(s, o) for s, o in zip(data.samples, outcomes, strict=True) if not isinstance(o, ImageError)]
    _refuse_black_and_white(data, [look for _, look in sound])
    kept = [(s, o) for s, o in sound if not skip_empty or any(label != BACKGROUND for label in o.labels)]
    counts = {**data.skipped, "broken": len(broken), "empty": len(sound) - len(kept)}
    skipped = {reason: count for reason, count in counts.items() if count}
    if not kept:
        said = _said(skipped)
        raise DatasetError(f"{data.name} has no usable sample ({said}); nothing is left to work with")
    return Inspected(
        data=replace(data, samples=tuple(s for s, _ in kept), skipped=skipped),
        present=tuple(o.labels for _, o in kept),
        broken=tuple(broken),
        pixels=tuple(o.pixels for _, o in kept),
        notes=Counter(note for _, look in kept for note in look.notes),
    )


def _refuse_black_and_white(data: MatchedSet, looks: Sequence[_Look]) -> None:
    """Masks of nothing but 0 and 255 mean a class by 255, or nothing at all."""
    classless = all(label == BACKGROUND for look in looks for label in look.labels)
    if classless and any(look.uncertain for look in looks):
        raise DatasetError(black_and_white(data.name))


def black_and_white(name: str) -> str:
    """What to say of a dataset whose masks hold nothing but 0 and 255."""
    return (
        f"no mask of {name} shows a class: they hold only 0 and 255 (uncertain); where 255 stands "
        "for a class (0/255 masks), write its id instead, for example 1"
    )


def noted(notes: Mapping[str, int]) -> list[str]:
    """What to say of images about which something had to be decided, by how many there are of each kind."""
    return [f"{count} × an image that {note}" for note, count in sorted(notes.items())]


def _described(inspected: Inspected, use: str) -> list[str]:
    data = inspected.data
    lines = [f"{use} {len(data.samples)} images of {data.name}; skipped {_said(data.skipped)}"]
    lines += [f"broken, skipped: {each}" for each in inspected.broken]
    lines += noted(inspected.notes)
    if inspected.unseen():
        lines.append(
            f"warning: no image of {data.name} shows {', '.join(inspected.unseen())}; "
            "such a class has no IoU (–) and is left out of the mean"
        )
    return lines


def _said(counts: Mapping[str, int]) -> str:
    """`3 rejected, 1 empty`, or `none`."""
    return ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "none"
