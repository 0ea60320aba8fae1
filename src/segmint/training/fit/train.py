"""Train a segmenter on labelled images and keep the checkpoint that is best on a validation set."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from segmint.atomic import put_text
from segmint.errors import ConfigError, DeviceError
from segmint.listening import Listener, Silent
from segmint.training.data.datasets import LabelledSet, Others
from segmint.training.data.inspection import prepare
from segmint.training.data.loading import usual_workers
from segmint.training.fit import checkpoint
from segmint.training.fit.checkpoint import BEST, LAST
from segmint.training.fit.log import TrainingLog, board_missing
from segmint.training.fit.loop import iterate
from segmint.training.fit.session import Best, Session, open_session, reload
from segmint.training.settings import TrainSettings, check_folder

SETTINGS = "train.toml"
CHECKSUM = f"{BEST}.sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training leaves behind."""

    best: Path
    """The best checkpoint."""
    sha256: str
    """Its checksum (hex), also in `best.safetensors.sha256`."""
    mean_iou: float | None
    """Its score on the validation set."""
    weights: str
    """Whether that was the trained weights (`raw`) or their running mean (`ema`)."""
    iteration: int
    """Iterations behind it."""
    judged: int = 0
    """Images of the validation set."""
    shared: int = 0
    """Those of them that are among the training images."""


def train(
    sets: Sequence[LabelledSet],
    val: LabelledSet,
    out: Path,
    settings: TrainSettings | None = None,
    *,
    subset: Sequence[str] | None = None,
    others: Others = "ignore",
    resume: bool = False,
    skip_broken: bool = False,
    device: str = "auto",
    workers: int | None = None,
    listener: Listener | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train, validate every so often, and keep the best and the last checkpoint in `out`.

    Interrupted anywhere, the same call with `resume` ends as an uninterrupted one would have: on a CPU with
    the very same losses and the very same best checkpoint.

    Args:
        sets: labelled images to learn from, all of the same classes.
        val: labelled images to judge on; they never enter a gradient.
        out: folder of this training.
        settings: network, augmentation, optimiser and schedule.
        subset: judge on these classes only; without it `val` must have the classes of `sets`.
        others: what true pixels of other classes count as then.
        resume: go on from the last checkpoint in `out`, or begin where there is none yet.
        skip_broken: leave files out that cannot be read.
        device: as `find_device` takes it; under `accelerate launch` each process takes its own.
        workers: processes that read and augment, which changes no result; None takes what the cores allow.
        listener: told how it goes; see `segmint.listening`.
        stopping: asked after each iteration; where it says so, a checkpoint is written and the work stops.

    Returns:
        Where the best checkpoint is, its score and its checksum.

    Raises:
        TrainingError: `out` holds another training, or the loss is no number (names the step and the items).
        DatasetError: the datasets do not fit each other, or hold nothing usable.
        ImageError: a file is broken, and `skip_broken` is off.
        ModelError: backbone weights cannot be had.
        DeviceError: the device is not there, or is out of memory.
        StorageError: a checkpoint could not be written; the one before is whole.
        KeyboardInterrupt: `stopping` said so; the same call with `resume` goes on.
    """
    settings, listener = settings or TrainSettings(), listener or Silent()
    workers = usual_workers() if workers is None else workers
    check_folder(out, resume=resume)
    data = prepare(
        sets, val, subset=subset, others=others, skip_broken=skip_broken, workers=workers, listener=listener
    )
    with _own_random_state(settings.schedule.seed):
        session = open_session(data, out, settings, device=device, resuming=resume and (out / LAST).is_file())
        _check_portions(session)
        if session.leads:
            put_text(out / SETTINGS, settings.to_toml())
        if (out / LAST).is_file():
            reload(session)
            listener.noted(f"resuming after iteration {session.iteration} of {settings.schedule.iterations}")
        if board_missing():
            listener.noted(
                "no TensorBoard logs: pip install 'segmint[train]' for them; loss.png and log.jsonl are made"
            )
        log = TrainingLog(session.out, iteration=session.iteration, writes=session.leads)
        with _explained_memory(), log:
            iterate(session, data, log, workers=workers, listener=listener, stopping=stopping)
    return replace(_result(out, session.best), judged=len(data.val.pixels), shared=data.shared())


def _check_portions(session: Session) -> None:
    portions = session.portions
    parts = portions.accumulate * portions.world
    if portions.batch_size % parts:
        raise ConfigError(
            f"a batch of {portions.batch_size} cannot be dealt out evenly to {portions.world} devices "
            f"in {portions.accumulate} passes; choose a multiple of {parts}"
        )
    if portions.portion < 2:
        raise ConfigError(
            "each pass of a device sees 1 image, and batch norm needs at least 2; "
            f"choose a batch of {2 * parts} or more, or fewer passes"
        )


@contextmanager
def _own_random_state(seed: int) -> Iterator[None]:
    """Seed the global generators (dropout and first weights draw from torch's, callers' own losses or layers
    from any); give all back as they were."""
    before = checkpoint.random_states()
    try:
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
    finally:
        checkpoint.restore_random_states(*before)


@contextmanager
def _explained_memory() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise DeviceError(
            "the device is out of memory; raise --accumulate (same result in smaller passes), "
            "choose a smaller --crop, or train with --precision bf16"
        ) from None


def _result(out: Path, best: Best) -> TrainingResult:
    return TrainingResult(
        best=out / BEST,
        sha256=checkpoint.sha256(out / BEST),
        mean_iou=best.mean_iou,
        weights=best.weights,
        iteration=best.iteration,
    )
