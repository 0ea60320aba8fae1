"""Work spread over processes: the same bytes, whatever dies."""

import os
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from run_contents import contents
from segmint.backbone.fake import FakeBackbone
from segmint.errors import DeviceError, ModelError
from segmint.jobs.engines.spawned import SpawnEngine
from segmint.jobs.job import run_job
from segmint.pipeline import capture_for
from small_jobs import Heard, job_at, mint


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    job = job_at(folder)
    assert capture_for(job.request.recipe).denoising  # of the default method, all that it asks for
    mint(job)
    return folder


def fake(device: str) -> FakeBackbone:
    assert device == "cpu"
    return FakeBackbone(delay_s=0.05)


def poisoned(device: str) -> FakeBackbone:
    return FakeBackbone(crash_items=frozenset({"000004"}))


def missing(device: str) -> FakeBackbone:
    raise ModelError("no such model; do this")


def dying(device: str) -> FakeBackbone:
    os._exit(7)


@dataclass(frozen=True)
class Deadly(FakeBackbone):
    """Its process dies over one item; leaves its pid behind."""

    item: str = ""
    pids: str = ""

    def generate(self, specs, sampling, capture, callback=None):
        if self.pids:
            (Path(self.pids) / str(os.getpid())).touch()
        if self.item in [spec.item_id for spec in specs]:
            os._exit(9)
        return FakeBackbone.generate(self, specs, sampling, capture, callback)


def deadly(device: str, item: str = "", pids: str = "") -> Deadly:
    return Deadly(item=item, pids=pids, delay_s=0.05)


@dataclass
class Killer(Heard):
    """Kills a worker, once, as soon as the first item is there."""

    pids: Path = Path()
    killed: int | None = None

    def finished(self, record) -> None:
        Heard.finished(self, record)
        if self.killed is None:
            self.killed = int(next(self.pids.iterdir()).name)
            os.kill(self.killed, signal.SIGKILL)


def test_two_workers_make_the_same_run(whole, tmp_path):
    heard = Heard()
    run_job(job_at(tmp_path / "run"), SpawnEngine(load=fake, devices=["cpu", "cpu"]), heard)
    assert contents(tmp_path / "run") == contents(whole)
    assert sorted(record.index for record in heard.records) == list(range(7))


def test_a_killed_worker_is_replaced_and_nothing_is_lost(whole, tmp_path):
    pids = tmp_path / "pids"
    pids.mkdir()
    heard = Killer(pids=pids)
    run_job(
        job_at(tmp_path / "run"), SpawnEngine(load=partial(deadly, pids=str(pids)), devices=["cpu"]), heard
    )
    assert heard.killed is not None
    assert contents(tmp_path / "run") == contents(whole)


def test_a_poison_item_is_recorded_and_the_rest_goes_on(whole, tmp_path):
    heard = Heard()
    run = run_job(job_at(tmp_path / "run"), SpawnEngine(load=poisoned, devices=["cpu"]), heard)
    assert run.failed_ids() == {"000004"}
    assert run.failure("000004").error.startswith("RuntimeError: item 000004: told to crash (fake.py:")
    assert len(run.done_ids()) == 6
    assert len(heard.notes) == 3
    for item in ("000000", "000003", "000005"):
        name = f"SegmentationClass/{item}.png"
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


def test_an_item_that_kills_its_worker_is_recorded_too(tmp_path):
    engine = SpawnEngine(load=partial(deadly, item="000004"), devices=["cpu"])
    run = run_job(job_at(tmp_path / "run"), engine, Heard())
    assert run.failed_ids() == {"000004"}
    assert run.failure("000004").error == "the worker process died over this item"
    assert len(run.done_ids()) == 6


def test_what_a_worker_cannot_do_is_the_commands_error(tmp_path):
    with pytest.raises(ModelError, match="do this"):
        run_job(job_at(tmp_path / "run"), SpawnEngine(load=missing, devices=["cpu"]), Heard())
    with pytest.raises(DeviceError, match="died"):
        run_job(job_at(tmp_path / "run"), SpawnEngine(load=dying, devices=["cpu"]), Heard())
    assert not (tmp_path / "run").exists()
