"""A dataset made ready to judge a trained segmenter on."""

from collections.abc import Sequence
from functools import partial

from segmint.training.data.datasets import LabelledSet, MatchedSet, Others, match
from segmint.training.data.inspection import inspect
from segmint.training.data.preparing import described
from segmint.training.fit.observer import Observer
from segmint.training.judge.inference import Segmenter


def prepare_to_judge(
    segmenter: Segmenter,
    found: LabelledSet,
    *,
    subset: Sequence[str] | None,
    others: Others,
    skip_broken: bool,
    workers: int,
    observer: Observer,
) -> MatchedSet:
    """Match a dataset to a segmenter's classes, read every file once, and say what is left out.

    Args:
        segmenter: from `load_segmenter`.
        found: what the reader found.
        subset: judge on these classes only.
        others: what true pixels of other classes count as then.
        skip_broken: leave broken files out instead of stopping.
        workers: threads that decode.
        observer: told what was skipped and which class no image shows.

    Raises:
        DatasetError: the classes differ and no subset is given, or nothing is left.
        ImageError: a file is broken.
    """
    data = match(found, segmenter.classes, subset=subset, others=others)
    progress = partial(observer.stage, f"inspecting {data.name}")
    inspected = inspect(data, skip_broken=skip_broken, workers=workers, on_progress=progress)
    for line in described(inspected, "judging on"):
        observer.note(line)
    return inspected.data
