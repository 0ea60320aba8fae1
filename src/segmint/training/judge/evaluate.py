"""How good a segmenter is on a dataset, exactly, and what that looks like."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from segmint.atomic import put, put_text
from segmint.errors import StorageError
from segmint.listening import Listener, Stage
from segmint.pictures.sheets import side_by_side
from segmint.scores import Confusion, Scores, confusion, score
from segmint.training.data.datasets import MatchedSample, MatchedSet, read_pair
from segmint.training.judge.figures import Example, draw_evaluation
from segmint.training.judge.inference import Segmenter, Views, predict, predict_batch
from segmint.vocabulary import Vocabulary

BATCH_IMAGES = 8
"""Images of one size that are predicted together."""
EXAMPLES = 3
"""Best and worst predictions shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A segmenter's scores on a dataset."""

    scores: Scores
    matrix: Confusion
    by_image: tuple[tuple[str, float | None], ...]
    """Item ids and their own mean IoU over the labels in the image; for ranking, not for the mean."""


@dataclass(frozen=True, slots=True)
class _Pair:
    sample: MatchedSample
    image: UInt8[np.ndarray, "image_h image_w 3"]
    labels: UInt8[np.ndarray, "image_h image_w"]


def evaluate_model(
    model: nn.Module,
    data: MatchedSet,
    *,
    device: torch.device,
    views: Views | None = None,
    rank: int = 0,
    world: int = 1,
    stage: str = "predicting",
    listener: Listener | None = None,
) -> Evaluation:
    """Predict every image at its own size and count.

    Args:
        model: the network; put in evaluation mode and back.
        data: what to judge on.
        device: where the model is.
        views: mirrored and scaled copies to average over.
        rank: of `world` processes, the one that this is: it takes every `world`-th sample.
        world: how many processes share the work; their matrices have to be added up then.
        stage: what to call it to the listener.
        listener: told how many of how many images are done.
    """
    was_training = model.training
    model.eval()
    count = len(data.label_names)
    matrix = np.zeros((count, count), np.int64)
    by_image: list[tuple[str, float | None]] = []
    mine = data.samples[rank::world]
    for group in _same_size(mine):
        images = torch.from_numpy(np.stack([pair.image for pair in group])).permute(0, 3, 1, 2).to(device)
        predicted = predict_batch(model, images, views or Views()).argmax(dim=1).cpu().numpy()
        for pair, labels in zip(group, predicted, strict=True):
            one = confusion(pair.labels, labels, count=count)[:, :-1]  # a segmenter leaves none uncertain
            matrix += one
            by_image.append((pair.sample.item_id, score(one, label_names=data.label_names).mean_iou))
        if listener:
            listener.finished(Stage(name=stage, done=len(by_image), total=len(mine)))
    model.train(was_training)
    return summarise(data, matrix, by_image)


def summarise(data: MatchedSet, matrix: Confusion, by_image: list[tuple[str, float | None]]) -> Evaluation:
    """An evaluation from its counts."""
    scores = score(matrix, label_names=data.label_names, judged=data.judged)
    return Evaluation(scores=scores, matrix=matrix, by_image=tuple(by_image))


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    data: MatchedSet,
    segmenter: Segmenter,
    *,
    views: Views | None = None,
    worst: int = 0,
) -> None:
    """Write `metrics.json`, `metrics.csv`, `confusion.csv`, `images.csv` and `evaluation.png`; and of so many
    of the worst images `worst.png`: image, truth and prediction, the worst on top.

    Raises:
        StorageError: the folder cannot be written.
    """
    put_text(
        folder / "metrics.json", json.dumps(as_json(evaluation, data, segmenter, views), indent=2) + "\n"
    )
    scores = evaluation.scores
    rows = zip(scores.label_names, scores.iou, scores.accuracy, strict=True)
    put_text(folder / "metrics.csv", _csv([("class", "iou", "accuracy"), *rows]))
    table = [[name, *row] for name, row in zip(scores.label_names, evaluation.matrix.tolist(), strict=True)]
    put_text(folder / "confusion.csv", _csv([["truth \\ predicted", *scores.label_names], *table]))
    put_text(folder / "images.csv", _csv([("item", "mean_iou"), *evaluation.by_image]))
    best, least = ranked(evaluation)
    by_id = {sample.item_id: sample for sample in data.samples}
    examples = [
        [_example(segmenter, by_id[item_id], views, value) for item_id, value in side]
        for side in (best, least)
    ]
    draw_evaluation(
        folder / "evaluation.png", evaluation.scores, evaluation.matrix, best=examples[0], worst=examples[1]
    )
    shown = ranked(evaluation, worst)[1]
    if shown:
        pairs = [_example(segmenter, by_id[item_id], views, value) for item_id, value in shown]
        _write_worst(folder / "worst.png", pairs, data.label_names)


def _write_worst(path: Path, examples: Sequence[Example], label_names: Sequence[str]) -> None:
    vocabulary = Vocabulary.of(label_names[1:])
    columns = {
        "truth": [each.truth for each in examples],
        "predicted": [each.predicted for each in examples],
    }
    picture = io.BytesIO()
    side_by_side([each.image for each in examples], columns, vocabulary).save(picture, "PNG")
    try:
        put(path, picture.getvalue())
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from None


def ranked(
    evaluation: Evaluation, count: int = EXAMPLES
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The best images, best first, and the worst, worst first, with their own mean IoU; none is in both."""
    known = sorted(
        ((i, v) for i, v in evaluation.by_image if v is not None), key=lambda pair: (-pair[1], pair[0])
    )
    worst = known[max(len(known) - count, (len(known) + 1) // 2) :]
    return known[: min(count, (len(known) + 1) // 2)], worst[::-1]


def as_json(
    evaluation: Evaluation, data: MatchedSet, segmenter: Segmenter, views: Views | None
) -> dict[str, object]:
    """The evaluation as plain data; scores are shares in [0, 1], null where no image contains the class."""
    scores, views = evaluation.scores, views or Views()
    return {
        "dataset": data.name,
        "images": len(evaluation.by_image),
        "skipped": dict(data.skipped),
        "judged": [scores.label_names[label] for label in scores.judged],
        "flip": views.flip,
        "scales": list(views.scales),
        "checkpoint": {
            "architecture": segmenter.facts.architecture,
            "iteration": segmenter.facts.iteration,
            "weights": segmenter.facts.weights,
            "digest": segmenter.facts.digest,
        },
        "mean_iou": scores.mean_iou,
        "mean_accuracy": scores.mean_accuracy,
        "pixel_accuracy": scores.pixel_accuracy,
        "classes": {
            name: {"iou": iou, "accuracy": accuracy}
            for name, iou, accuracy in zip(scores.label_names, scores.iou, scores.accuracy, strict=True)
        },
        "confusion": evaluation.matrix.tolist(),
    }


def _same_size(samples: tuple[MatchedSample, ...]) -> Iterator[list[_Pair]]:
    group: list[_Pair] = []
    for sample in samples:
        pair = _Pair(sample, *read_pair(sample))
        if group and (pair.image.shape != group[0].image.shape or len(group) == BATCH_IMAGES):
            yield group
            group = []
        group.append(pair)
    if group:
        yield group


def _example(segmenter: Segmenter, sample: MatchedSample, views: Views | None, value: float) -> Example:
    image, labels = read_pair(sample)
    predicted, _ = predict(segmenter, image, views)
    return Example(item_id=sample.item_id, mean_iou=value, image=image, truth=labels, predicted=predicted)


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
