"""Judge a training in progress, and keep its best checkpoint."""

from contextlib import nullcontext
from functools import partial

import torch

from segmint.atomic import put_text
from segmint.training.data.datasets import MatchedSet
from segmint.training.fit import checkpoint
from segmint.training.fit.checkpoint import BEST, Weights
from segmint.training.fit.log import TrainingLog
from segmint.training.fit.observer import Observer
from segmint.training.fit.session import Best, Session, holding
from segmint.training.judge.evaluate import Evaluation, evaluate_model, summarise


def validate(session: Session, data: MatchedSet, log: TrainingLog, observer: Observer) -> None:
    """Score the weights and their running mean; a new best becomes the best checkpoint.

    Raises:
        StorageError: the checkpoint could not be written.
    """
    found: dict[str, float | None] = {}
    for kind, weights in session.weights().items():
        evaluation = _evaluate(session, kind, data, observer)
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
    observer.validated(session.iteration, dict(found))


def _evaluate(session: Session, kind: Weights, data: MatchedSet, observer: Observer) -> Evaluation:
    model, portions, accelerator = session.bare_model, session.portions, session.accelerator
    lent = nullcontext() if kind == "raw" else holding(model, session.weights()[kind])
    with lent, accelerator.autocast():
        mine = evaluate_model(
            model,
            data,
            device=session.device,
            rank=portions.rank,
            world=portions.world,
            on_progress=partial(observer.stage, f"validating {kind}"),
        )
    if portions.world == 1:
        return mine
    total = accelerator.reduce(torch.from_numpy(mine.matrix).to(session.device), reduction="sum")
    return summarise(data, total.cpu().numpy(), list(mine.by_image))


def _value(mean_iou: float | None) -> float:
    return -1.0 if mean_iou is None else mean_iou
