"""The same run from a real Ray on this machine, with one worker killed."""

import json
import os
import signal
import sys
import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from run_contents import contents
from segmint.backbone.fake import FakeBackbone
from segmint.errors import DeviceError, ModelError, StorageError
from segmint.jobs.engines.local import LocalEngine
from segmint.jobs.engines.ray import RayCluster, RayEngine, batch_fields, batch_of_fields
from segmint.jobs.job import Job, run_job
from segmint.jobs.remask import remask, settle_masks
from segmint.jobs.request import label_request
from segmint.jobs.work import batches_to_do
from segmint.runs.files.local import LocalFiles
from small_jobs import Heard, job_at, mint

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Six CPUs by name, whatever the machine has: workers here spend their time waiting."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=6, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    mint(job_at(folder))
    return folder


def fake() -> FakeBackbone:
    return FakeBackbone(delay_s=0.05)


def poisoned() -> FakeBackbone:
    return FakeBackbone(crash_items=frozenset({"000004"}))


def missing() -> FakeBackbone:
    raise ModelError("no such model; do this")


@dataclass(frozen=True)
class Marked(FakeBackbone):
    """Leaves its process's id behind."""

    pids: str = ""

    def generate(self, specs, sampling, capture, callback=None):
        (Path(self.pids) / str(os.getpid())).touch()
        return FakeBackbone.generate(self, specs, sampling, capture, callback)


def marked(pids: str) -> FakeBackbone:
    return Marked(pids=pids, delay_s=0.2)


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


def test_a_batch_travels_as_plain_data():
    [batch] = batches_to_do(job_at(Path("x"), count=3).request.plan, {"000001"}, 3)
    assert batch_of_fields(json.loads(json.dumps(batch_fields(batch)))) == batch


@pytest.mark.parametrize("workers", [1, 2])
def test_the_run_is_the_same_for_any_number_of_workers(whole, tmp_path, workers):
    heard = Heard()
    run_job(job_at(tmp_path / "run"), RayEngine(load=fake, cluster=RayCluster(workers=workers)), heard)
    assert contents(tmp_path / "run") == contents(whole)
    assert sorted(record.index for record in heard.records) == list(range(7))


def test_a_run_goes_on_from_one_engine_to_the_other(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        mint(job_at(tmp_path / "run"), heard=Heard(stop_after=2))
    run_job(job_at(tmp_path / "run"), RayEngine(load=fake, cluster=RayCluster(workers=2)), Heard())
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.slow
def test_five_workers_alone_or_after_others_make_the_same_run(tmp_path):
    def job(name: str) -> Job:
        return job_at(tmp_path / name, count=20, batch=1)

    mint(job("whole"))
    run_job(job("five"), RayEngine(load=fake, cluster=RayCluster(workers=5)), Heard())
    with pytest.raises(KeyboardInterrupt):
        mint(job("mixed"), heard=Heard(stop_after=4))
    with pytest.raises(KeyboardInterrupt):
        run_job(job("mixed"), RayEngine(load=fake, cluster=RayCluster(workers=2)), Heard(stop_after=5))
    heard = Heard()
    run_job(job("mixed"), RayEngine(load=fake, cluster=RayCluster(workers=5)), heard)
    assert 0 < len(heard.records) <= 11
    assert contents(tmp_path / "five") == contents(tmp_path / "whole") == contents(tmp_path / "mixed")


def test_a_killed_worker_costs_nothing_but_time(whole, tmp_path):
    pids = tmp_path / "pids"
    pids.mkdir()
    heard = Killer(pids=pids)
    engine = RayEngine(load=partial(marked, str(pids)), cluster=RayCluster(workers=2))
    run_job(job_at(tmp_path / "run"), engine, heard)
    assert heard.killed is not None
    assert contents(tmp_path / "run") == contents(whole)


def test_a_poison_item_is_recorded_and_the_rest_goes_on(tmp_path):
    heard = Heard()
    run = run_job(job_at(tmp_path / "run"), RayEngine(load=poisoned, cluster=RayCluster(workers=1)), heard)
    assert run.failed_ids() == {"000004"}
    assert "told to crash" in run.failure("000004").error
    assert len(run.done_ids()) == 6
    assert len(heard.notes) == 3


def test_what_a_worker_cannot_do_is_the_commands_error(tmp_path):
    with pytest.raises(ModelError, match="do this"):
        run_job(job_at(tmp_path / "run"), RayEngine(load=missing, cluster=RayCluster(workers=1)), Heard())


def test_a_cluster_that_is_too_small_is_refused_with_what_would_fit(tmp_path):
    with pytest.raises(DeviceError, match=r"has 6 CPUs; 6 workers of 1 .* use --workers 5"):
        run_job(job_at(tmp_path / "run"), RayEngine(load=fake, cluster=RayCluster(workers=6)), Heard())
    with pytest.raises(DeviceError, match="has 0 GPUs"):
        run_job(
            job_at(tmp_path / "run"), RayEngine(load=fake, cluster=RayCluster(gpus_per_worker=1.0)), Heard()
        )
    assert not (tmp_path / "run").exists()


def test_masks_are_made_again_on_the_cluster_as_on_one_machine(tmp_path):
    job = job_at(tmp_path / "run", changes={"output.keep_features": True})
    run = mint(job)
    settings = settle_masks(run, method="pcc-published", changes={})
    here = remask(run, "here", settings, Heard())
    there = remask(run, "there", settings, Heard(), executor=RayCluster(workers=2).map)
    assert here.made == there.made == 7
    folders = [tmp_path / "run/masks" / name / "SegmentationClass" for name in ("here", "there")]
    one, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == other


def test_photographs_are_labelled_on_the_cluster_as_on_one_machine(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.png")
    (photos / "3.png").write_bytes(b"no picture")
    asked = label_request([photos], classes="boat, tree", changes={"observation.batch_size": 2})
    engines = {"here": LocalEngine(load=fake), "there": RayEngine(load=fake, cluster=RayCluster(workers=2))}
    for name, engine in engines.items():
        files = LocalFiles(tmp_path / name)
        run = run_job(Job(files=files, request=asked), engine, Heard())
        assert (run.done_ids(), run.failed_ids()) == ({"0", "1", "2"}, {"3"})
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


@dataclass
class Full(LocalFiles):
    """A disk without room for masks."""

    def write_all(self, contents):
        if any(path.parent.name == "SegmentationClass" for path in contents):
            raise StorageError("no space left")
        LocalFiles.write_all(self, contents)


def test_a_full_disk_stops_the_run(tmp_path):
    job = job_at(tmp_path / "run")
    full = replace(job, files=Full(tmp_path / "run"))
    with pytest.raises(StorageError, match="no space left"):
        run_job(full, RayEngine(load=fake), Heard())


@dataclass
class Deadly(LocalFiles):
    """Kills the mask worker that comes first to item 4, once."""

    def write_all(self, contents):
        killed = self.root.parent / "killed"
        if not killed.exists() and any(path.name == "000004.png" for path in contents):
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        LocalFiles.write_all(self, contents)


def test_a_killed_mask_worker_costs_nothing_but_time(whole, tmp_path):
    job = replace(job_at(tmp_path / "run"), files=Deadly(tmp_path / "run"))
    run_job(job, RayEngine(load=fake, cluster=RayCluster(workers=1, mask_workers=2)), Heard())
    assert (tmp_path / "killed").exists()
    assert contents(tmp_path / "run") == contents(whole)
