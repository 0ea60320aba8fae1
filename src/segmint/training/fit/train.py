"""Train a segmenter on labelled images and keep the checkpoint that is best on a validation set."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from segmint.atomic import put_text
from segmint.errors import ConfigError, DeviceError, TrainingError
from segmint.training.data.datasets import LabelledSet, Others
from segmint.training.data.loading import AugmentedSamples, Batch, batches
from segmint.training.data.preparing import TrainingData, prepare
from segmint.training.data.sampling import BalancedOrder, ShuffledOrder, StepSampler
from segmint.training.fit import checkpoint
from segmint.training.fit.checkpoint import BEST, LAST
from segmint.training.fit.log import TrainingLog, board_missing
from segmint.training.fit.model import loss, normalise
from segmint.training.fit.observer import Observer, Silent, Step
from segmint.training.fit.optim import rate_at, set_rate
from segmint.training.fit.session import Best, Session, open_session, reload, save_last
from segmint.training.judge.validation import validate
from segmint.training.settings import TrainSettings

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
    workers: int = 2,
    observer: Observer | None = None,
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
        workers: processes that read and augment; they do not change the result.
        observer: told how it goes.

    Returns:
        Where the best checkpoint is, its score and its checksum.

    Raises:
        TrainingError: `out` holds another training, or the loss is no number (names the step and the items).
        DatasetError: the datasets do not fit each other, or hold nothing usable.
        ImageError: a file is broken, and `skip_broken` is off.
        ModelError: backbone weights cannot be had.
        DeviceError: the device is not there, or is out of memory.
        StorageError: a checkpoint could not be written; the one before is whole.
    """
    settings, observer = settings or TrainSettings(), observer or Silent()
    _check_folder(out, resume=resume)
    data = prepare(
        sets, val, subset=subset, others=others, skip_broken=skip_broken, workers=workers, observer=observer
    )
    with _own_random_state(settings.schedule.seed):
        session = open_session(data, out, settings, device=device, resuming=resume and (out / LAST).is_file())
        _check_portions(session)
        if session.leads:
            put_text(out / SETTINGS, settings.to_toml())
        if (out / LAST).is_file():
            reload(session)
            observer.note(f"resuming after iteration {session.iteration} of {settings.schedule.iterations}")
        if board_missing():
            observer.note(
                "no TensorBoard logs: pip install 'segmint[train]' for them; loss.png and log.jsonl are made"
            )
        with _explained_memory(), _log(session) as log:
            _run(session, data, log, workers=workers, observer=observer)
    return _result(out, session.best)


def _run(session: Session, data: TrainingData, log: TrainingLog, *, workers: int, observer: Observer) -> None:
    schedule = session.settings.schedule
    source = _batches(session, data, workers=workers)
    since = time.perf_counter()
    while session.iteration < schedule.iterations:
        rate = rate_at(session.iteration, session.settings.optimiser, iterations=schedule.iterations)
        set_rate(session.optimiser, rate)
        value = _iterate(session, source)
        now = time.perf_counter()
        step = Step(
            iteration=session.iteration,
            iterations=schedule.iterations,
            loss=value,
            rate=rate,
            images_per_s=schedule.batch_size / max(now - since, 1e-9),
        )
        log.add(step.iteration, {"loss": value, "rate": rate, "images_per_s": round(step.images_per_s, 2)})
        observer.step(step)
        stopping = observer.stop_asked()
        if step.iteration % schedule.validate_every == 0 or step.iteration == schedule.iterations:
            validate(session, data.val.data, log, observer)
            save_last(session)
        elif step.iteration % schedule.checkpoint_every == 0 or stopping:
            save_last(session)
        if stopping and step.iteration < schedule.iterations:
            raise KeyboardInterrupt
        since = time.perf_counter() if step.iteration % schedule.validate_every == 0 else now
    log.draw()


def _log(session: Session) -> TrainingLog:
    return TrainingLog(session.out, iteration=session.iteration, writes=session.leads)


def _batches(session: Session, data: TrainingData, *, workers: int) -> Iterator[Batch]:
    schedule = session.settings.schedule
    samples = AugmentedSamples(data.train.data, session.settings.augment, seed=schedule.seed)
    if schedule.balanced:
        order: BalancedOrder | ShuffledOrder = BalancedOrder(data.train.present, seed=schedule.seed)
    else:
        order = ShuffledOrder(len(samples), seed=schedule.seed)
    sampler = StepSampler(order, session.portions, first=session.iteration, last=schedule.iterations)
    return batches(samples, sampler, workers=workers, pin_memory=session.device.type == "cuda")


def _iterate(session: Session, source: Iterator[Batch]) -> float:
    """One update of the weights; returns the mean loss of its passes."""
    accelerator, total = session.accelerator, 0.0
    for _ in range(session.portions.accumulate):
        batch = next(source)
        with accelerator.accumulate(session.model):
            images = batch.images.to(session.device, non_blocking=True)
            labels = batch.labels.to(session.device, non_blocking=True)
            outputs = session.model(normalise(images).contiguous(memory_format=torch.channels_last))
            value = loss(outputs, labels, auxiliary_weight=session.settings.network.auxiliary_weight)
            total += _finite(value.item(), batch, session.iteration + 1)
            accelerator.backward(value)
            clip_norm = session.settings.optimiser.clip_norm
            if accelerator.sync_gradients and clip_norm is not None:
                accelerator.clip_grad_norm_(session.model.parameters(), clip_norm)
            session.optimiser.step()
            session.optimiser.zero_grad(set_to_none=True)
    session.level_statistics()
    if session.mean is not None:
        session.mean.update(session.bare_model, iteration=session.iteration)
    session.iteration += 1
    return session.mean_over_processes(total / session.portions.accumulate)


def _finite(value: float, batch: Batch, iteration: int) -> float:
    if value - value != 0.0:  # true of NaN and of both infinities
        raise TrainingError(
            f"the loss is {value} at iteration {iteration}, items {', '.join(batch.item_ids)}; "
            "look at these images, lower the learning rate, clip gradients, or train without mixed precision"
        )
    return value


def _check_folder(out: Path, *, resume: bool) -> None:
    if out.exists() and not out.is_dir():
        raise TrainingError(f"--out {out} is a file; expected a folder")
    if not resume and out.is_dir() and any(out.iterdir()):
        raise TrainingError(
            f"{out} is not empty; pass --resume to go on with the training in it, or another --out"
        )


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
    """Seed torch's generator (dropout and first weights draw from it); give all back as they were."""
    before = checkpoint.random_states()
    try:
        torch.manual_seed(seed)
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
