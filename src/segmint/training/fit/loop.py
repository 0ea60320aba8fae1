"""The iterations of a training: update, write down, judge now and then, and keep the best."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch

from segmint.atomic import put_text
from segmint.errors import TrainingError
from segmint.listening import Listener, Step, Validated
from segmint.training.data.datasets import MatchedSet
from segmint.training.data.inspection import TrainingData
from segmint.training.data.loading import (
    AugmentedSamples,
    BalancedOrder,
    Batch,
    ShuffledOrder,
    StepSampler,
    batches,
)
from segmint.training.fit import checkpoint
from segmint.training.fit.checkpoint import BEST, Weights
from segmint.training.fit.log import TrainingLog
from segmint.training.fit.model import loss, normalise
from segmint.training.fit.optim import rate_at, set_rate
from segmint.training.fit.session import Best, Session, holding, save_last
from segmint.training.judge.evaluate import Evaluation, evaluate_model, summarise


def iterate(
    session: Session,
    data: TrainingData,
    log: TrainingLog,
    *,
    workers: int,
    listener: Listener,
    stopping: Callable[[], bool],
) -> None:
    """Go on to the last iteration.

    Raises:
        KeyboardInterrupt: `stopping` said so; a checkpoint is written.
        TrainingError: the loss is no number; names the step and the items.
        StorageError: a checkpoint could not be written.
    """
    schedule = session.settings.schedule
    source = _batches(session, data, workers=workers)
    since = time.perf_counter()
    while session.iteration < schedule.iterations:
        rate = rate_at(session.iteration, session.settings.optimiser, iterations=schedule.iterations)
        set_rate(session.optimiser, rate)
        value = _update(session, source)
        now = time.perf_counter()
        step = Step(
            iteration=session.iteration,
            iterations=schedule.iterations,
            loss=value,
            rate=rate,
            images_per_s=schedule.batch_size / max(now - since, 1e-9),
        )
        log.add(step.iteration, {"loss": value, "rate": rate, "images_per_s": round(step.images_per_s, 2)})
        listener.finished(step)
        stop = stopping()
        if step.iteration % schedule.validate_every == 0 or step.iteration == schedule.iterations:
            validate(session, data.val.data, log, listener)
            save_last(session)
        elif step.iteration % schedule.checkpoint_every == 0 or stop:
            save_last(session)
        if stop and step.iteration < schedule.iterations:
            raise KeyboardInterrupt
        since = time.perf_counter() if step.iteration % schedule.validate_every == 0 else now
    log.draw()


def validate(session: Session, data: MatchedSet, log: TrainingLog, listener: Listener) -> None:
    """Score the weights and their running mean; a new best becomes the best checkpoint.

    Raises:
        StorageError: the checkpoint could not be written.
    """
    found: dict[str, float | None] = {}
    for kind, weights in session.weights().items():
        evaluation = _evaluate(session, kind, data, listener)
        found[kind] = evaluation.scores.mean_iou
        if not session.best.iteration or _value(found[kind]) > _value(session.best.mean_iou):
            session.best = Best(mean_iou=found[kind], iteration=session.iteration, weights=kind)
            if session.leads:
                facts = session.facts(weights=kind, mean_iou=found[kind])
                digest = checkpoint.save(session.out / BEST, weights, facts)
                put_text(session.out / f"{BEST}.sha256", f"{digest}  {BEST}\n")
    if session.leads:
        log.add(session.iteration, {f"mean_iou_{kind}": value for kind, value in found.items()})
        log.draw()
    listener.finished(Validated(iteration=session.iteration, mean_iou=found))


def _evaluate(session: Session, kind: Weights, data: MatchedSet, listener: Listener) -> Evaluation:
    model, portions, accelerator = session.bare_model, session.portions, session.accelerator
    lent = nullcontext() if kind == "raw" else holding(model, session.weights()[kind])
    with lent, accelerator.autocast():
        mine = evaluate_model(
            model,
            data,
            device=session.device,
            rank=portions.rank,
            world=portions.world,
            stage=f"validating {kind}",
            listener=listener,
        )
    if portions.world == 1:
        return mine
    total = accelerator.reduce(torch.from_numpy(mine.matrix).to(session.device), reduction="sum")
    return summarise(data, total.cpu().numpy(), list(mine.by_image))


def _value(mean_iou: float | None) -> float:
    return -1.0 if mean_iou is None else mean_iou


def _batches(session: Session, data: TrainingData, *, workers: int) -> Iterator[Batch]:
    schedule = session.settings.schedule
    samples = AugmentedSamples(data.train.data, session.settings.augment, seed=schedule.seed)
    if schedule.balanced:
        order: BalancedOrder | ShuffledOrder = BalancedOrder(data.train.present, seed=schedule.seed)
    else:
        order = ShuffledOrder(len(samples), seed=schedule.seed)
    sampler = StepSampler(order, session.portions, first=session.iteration, last=schedule.iterations)
    return batches(samples, sampler, workers=workers, pin_memory=session.device.type == "cuda")


def _update(session: Session, source: Iterator[Batch]) -> float:
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
