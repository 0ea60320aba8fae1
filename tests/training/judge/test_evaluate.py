import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from segmint.errors import DatasetError
from segmint.scores import confusion
from segmint.training.data.datasets import match, read_pair
from segmint.training.data.inspection import inspect
from segmint.training.data.readers.voc import read_voc
from segmint.training.judge.evaluate import evaluate_model, ranked, write_evaluation
from segmint.training.judge.inference import Views, predict
from tiny_datasets import ByColour, write_voc
from tiny_datasets import as_segmenter as segmenter


@pytest.fixture
def data(tmp_path):
    folder = write_voc(tmp_path / "mine", 3)
    write_voc(folder, 3, side=(24, 40), start=3)
    names = [f"val{index:03d}" for index in (0, 3, 1, 4, 2, 5)]
    (folder / "ImageSets/Segmentation/val.txt").write_text("\n".join(names))
    return match(read_voc(folder), ("boat", "tree"))


def test_the_matrix_is_the_sum_over_images_of_any_size(data):
    evaluation = evaluate_model(ByColour(), data, device=torch.device("cpu"))
    total = np.zeros((3, 3), np.int64)
    for sample in data.samples:
        image, truth = read_pair(sample)
        total += confusion(truth, predict(segmenter(), image)[0], count=3)[:, :3]
    assert (evaluation.matrix == total).all()
    assert evaluation.scores.mean_iou > 0.95
    assert [item_id for item_id, _ in evaluation.by_image] == [s.item_id for s in data.samples]


def test_processes_share_the_images(data):
    device = torch.device("cpu")
    parts = [evaluate_model(ByColour(), data, device=device, rank=rank, world=2) for rank in range(2)]
    assert (
        sum(part.matrix for part in parts) == evaluate_model(ByColour(), data, device=device).matrix
    ).all()


class Lopsided(nn.Module):
    """Calls the left half of whatever it sees class 1."""

    def forward(self, images):
        logits = torch.zeros(len(images), 3, *images.shape[-2:])
        logits[:, 1, :, : images.shape[-1] // 2] = 2.0
        logits[:, 2] = 1.0
        return {"out": logits}


def test_mirrored_and_scaled_views_are_averaged():
    image = np.zeros((40, 60, 3), np.uint8)
    plain, _ = predict(segmenter(Lopsided()), image)
    assert (plain[:, :30] == 1).all()
    assert (plain[:, 30:] == 2).all()
    _, sure = predict(segmenter(Lopsided()), image, Views(flip=True))
    assert sure == pytest.approx(np.full((40, 60), sure[0, 0]))
    scaled, _ = predict(segmenter(Lopsided()), image, Views(scales=(0.75, 1.0, 1.25)))
    assert (scaled[:, :28] == 1).all()
    assert (scaled[:, 32:] == 2).all()


def test_everything_is_written(tmp_path, data):
    evaluation = evaluate_model(ByColour(), data, device=torch.device("cpu"))
    out = tmp_path / "out"
    write_evaluation(out, evaluation, data, segmenter(), views=Views())
    found = json.loads((out / "metrics.json").read_text())
    assert found["mean_iou"] == evaluation.scores.mean_iou
    assert found["classes"]["tree"]["iou"] == evaluation.scores.iou[2]
    rows = list(csv.reader((out / "metrics.csv").read_text().splitlines()))
    assert [row[0] for row in rows] == ["class", "background", "boat", "tree"]
    table = list(csv.reader((out / "confusion.csv").read_text().splitlines()))
    assert [[int(cell) for cell in row[1:]] for row in table[1:]] == evaluation.matrix.tolist()
    assert len(list(csv.reader((out / "images.csv").read_text().splitlines()))) == 7
    assert (out / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "worst.png").exists()
    write_evaluation(out, evaluation, data, segmenter(), worst=2)
    with Image.open(out / "worst.png") as picture:
        assert picture.size == (4 + 3 * 132, 16 + 2 * 132)  # image, truth, prediction; two rows
    assert len(ranked(evaluation, 2)[1]) == 2


def test_best_and_worst_are_ranked_and_never_the_same(data):
    evaluation = evaluate_model(ByColour(), data, device=torch.device("cpu"))
    best, worst = ranked(evaluation)
    values = dict(evaluation.by_image)
    assert [value for _, value in best] == sorted(values.values(), reverse=True)[:3]
    assert worst[0][1] == min(values.values())
    assert not {item for item, _ in best} & {item for item, _ in worst}


def test_a_checkpoint_of_another_class_list(data, tmp_path):
    found = read_voc(write_voc(tmp_path / "cars", 2, classes=("boat", "car")))
    with pytest.raises(DatasetError, match=r"only the segmenter has \[tree\], only cars:val has \[car\]"):
        match(found, segmenter().classes)
    judged = inspect(match(found, segmenter().classes, subset=["boat"])).data
    evaluation = evaluate_model(ByColour(), judged, device=torch.device("cpu"))
    assert evaluation.scores.judged == (0, 1)
    assert evaluation.matrix[2].sum() == 0
