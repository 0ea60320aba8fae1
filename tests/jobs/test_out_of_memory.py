"""A batch that the device cannot hold is halved, and its memory is free before the next try."""

import weakref
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from segmint.backbone.diffusion import _out_of_memory
from segmint.backbone.fake import FAKE_INFO, FakeBackbone
from segmint.errors import DeviceError
from segmint.jobs.engines.local import begin_all
from segmint.jobs.request import request
from segmint.jobs.work import Batch, Work, batches_to_do
from segmint.listening import Silent
from segmint.runs.files.local import LocalFiles


@dataclass
class Device:
    """Stands for the first stage: holds `fits` images; remembers what it was asked and what still lives."""

    fits: int
    asked: list[int] = field(default_factory=list)
    alive: list[int] = field(default_factory=list)
    held: list["weakref.ref[np.ndarray]"] = field(default_factory=list)

    def __call__(self, batch: Batch, work: Work, backbone: object, listener: object):
        size = work.most or len(batch.specs)
        self.asked.append(size)
        self.alive.append(sum(each() is not None for each in self.held))
        array = np.zeros(size)
        self.held.append(weakref.ref(array))
        cycle: list[object] = [array]
        cycle.append(cycle)
        if size > self.fits:
            with _out_of_memory(FAKE_INFO, size):
                raise torch.OutOfMemoryError("CUDA out of memory")
        return []


class Noted(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def noted(self, text: str) -> None:
        self.notes.append(text)


def work_of(count: int, batch: int, tmp_path) -> Work:
    asked = request(classes="boat", changes={"model.id": "fake"}, count=count)
    batches = batches_to_do(asked.plan, set(), batch)
    return Work(files=LocalFiles(tmp_path), recipe=asked.recipe, batches=batches)


def begin(work: Work, device: Device) -> list[str]:
    heard = Noted()
    assert all(seen == [] for seen in begin_all(work, FakeBackbone(), heard, device))
    return heard.notes


def test_it_halves_until_it_fits_says_so_and_stays_there(tmp_path):
    device = Device(fits=2)
    notes = begin(work_of(16, 8, tmp_path), device)
    assert device.asked == [8, 4, 2, 2]
    assert [note.rsplit("with ", 1)[1] for note in notes] == ["4 images at once", "2 images at once"]


def test_what_the_failed_batch_held_is_free_before_the_next_try(tmp_path):
    device = Device(fits=1)
    begin(work_of(4, 4, tmp_path), device)
    assert device.asked == [4, 2, 1]
    assert device.alive == [0, 0, 0]


def test_one_image_that_does_not_fit_ends_with_advice(tmp_path):
    with pytest.raises(DeviceError, match=r"out of memory with 1 images at once; take a smaller image"):
        begin(work_of(2, 2, tmp_path), Device(fits=0))


def test_torchs_error_becomes_ours_with_advice():
    with (
        pytest.raises(DeviceError, match="with 8 images at once; take a smaller --batch-size"),
        _out_of_memory(FAKE_INFO, 8),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="other"), _out_of_memory(FAKE_INFO, 8):
        raise RuntimeError("other")
