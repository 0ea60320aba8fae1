from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.datasets import VOCSegmentation

from segmint.errors import DatasetError, TrainingError
from segmint.listening import Silent
from segmint.runs.curation.decisions import decide
from segmint.runs.files.local import LocalFiles
from segmint.runs.store import open_run
from segmint.runs.verify import verify
from segmint.training.data.readers.run import read_run
from segmint.training.judge.inference import Views
from segmint.training.selftrain import Relabelling, relabel
from small_runs import fill
from tiny_datasets import as_segmenter as segmenter


class LeftHalf(torch.nn.Module):
    """Surely a tree on the left, perhaps a boat on the right."""

    def forward(self, images):
        logits = torch.zeros(len(images), 3, *images.shape[-2:])
        logits[..., 2, :, : images.shape[-1] // 2] = 9.0
        logits[..., 1, :, images.shape[-1] // 2 :] = 0.5
        return {"out": logits}


@pytest.fixture
def run(tmp_path):
    return fill(LocalFiles(tmp_path / "run"), planned=4, done=4)


def by(tmp_path, confidence=0.8) -> Relabelling:
    (tmp_path / "x.safetensors").write_bytes(b"weights")
    return Relabelling(
        segmenter=segmenter(LeftHalf()),
        checkpoint=tmp_path / "x.safetensors",
        confidence=confidence,
        views=Views(),
    )


def test_a_run_is_labelled_anew_into_another(run, tmp_path):
    decide(run.folder, {"000002": "rejected"}, by="test")
    new = relabel(run.folder, tmp_path / "new", by(tmp_path), Silent())
    assert new.done_ids() == {"000000", "000001", "000003"}
    record = new.record("000001")
    labels = new.mask(record)
    assert (labels[:, :12] == 2).all()
    assert (labels[:, 12:] == 255).all()  # 45 % is below the bound
    assert record.areas == {"tree": 0.5}
    assert record.uncertain_fraction == 0.5
    assert record.method == "relabel"
    assert record.classes == ("boat", "tree")
    assert (new.image(record) == run.image(run.record("000001"))).all()
    header = open_run(tmp_path / "new").header
    assert (header.kind, header.parent) == ("relabel", str(run.folder))
    assert not verify(new.files).problems
    assert len(VOCSegmentation(str(tmp_path / "new"), year="2012", image_set="train")) == 3
    assert len(read_run(tmp_path / "new").samples) == 3


def test_it_goes_on_where_it_was_stopped(run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        relabel(run.folder, tmp_path / "new", by(tmp_path), Silent(), stopping=lambda: True)
    assert open_run(tmp_path / "new").done_ids() == {"000000"}
    before = (tmp_path / "new/run.json").read_bytes()
    new = relabel(run.folder, tmp_path / "new", by(tmp_path), Silent())
    assert len(new.done_ids()) == 4
    assert (tmp_path / "new/run.json").read_bytes() == before


def test_another_bound_needs_another_folder(run, tmp_path):
    relabel(run.folder, tmp_path / "new", by(tmp_path), Silent())
    with pytest.raises(TrainingError, match="another checkpoint, bound or run"):
        relabel(run.folder, tmp_path / "new", by(tmp_path, confidence=0.5), Silent())


def test_never_into_the_run_itself(run, tmp_path):
    with pytest.raises(TrainingError, match="a folder of its own"):
        relabel(run.folder, run.folder, by(tmp_path), Silent())


def test_a_segmenter_of_other_classes(run, tmp_path):
    other = replace(by(tmp_path), segmenter=segmenter(LeftHalf(), classes=("cat", "dog")))
    with pytest.raises(DatasetError, match=r"classes \[cat, dog\], the run has \[boat, tree\]"):
        relabel(run.folder, tmp_path / "new", other, Silent())


def test_labels_are_the_runs_own_ids(run, tmp_path):
    other = replace(by(tmp_path), segmenter=segmenter(LeftHalf(), classes=("tree", "boat")))
    new = relabel(run.folder, tmp_path / "new", other, Silent())
    assert set(np.unique(new.mask(new.record("000000")))) == {1, 255}
