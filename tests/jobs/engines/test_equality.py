"""One recipe of the default method, denoising evidence and all: the same bytes by every engine, with any
number of mask workers, and broken off on the way.
"""

import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from run_contents import contents
from segmint.backbone.base import Backbone
from segmint.backbone.fake import FakeBackbone
from segmint.backbone.settings import ModelSettings
from segmint.jobs.engines.local import LocalEngine, load_on
from segmint.jobs.engines.spawned import SpawnEngine
from segmint.jobs.job import Engine, Job, run_job
from segmint.jobs.request import request
from segmint.pipeline import capture_for
from segmint.runs.files.local import LocalFiles
from small_jobs import Heard

COUNT = 5


def job(folder: Path, model: str) -> Job:
    changes = {
        "model.id": model,
        "sampling.batch_size": 2,
        "sampling.steps": 2,
        "sampling.height_px": 64,
        "sampling.width_px": 64,
        "output.keep_features": True,
    }
    asked = request(classes="boat, tree, star", changes=changes, count=COUNT)
    assert asked.recipe.masks.method == "segmint"
    assert capture_for(asked.recipe).denoising is not None
    return Job(files=LocalFiles(folder), request=asked)


def fake(device: str = "cpu") -> Backbone:
    return FakeBackbone(delay_s=0.02)


LOADS = {"fake": fake, "toybox": partial(load_on, settings=ModelSettings(id="toybox"), threads=1)}


def local(load: Callable[[str], Backbone]) -> Engine:
    return LocalEngine(load=partial(load, "cpu"), mask_workers=3)


def devices(load: Callable[[str], Backbone]) -> Engine:
    return SpawnEngine(load=load, devices=["cpu", "cpu"], mask_workers=2)


def cluster(load: Callable[[str], Backbone]) -> Engine:
    ray = pytest.importorskip("ray")
    from segmint.jobs.engines.ray import RayCluster, RayEngine

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    if not ray.is_initialized():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    return RayEngine(load=partial(load, "cpu"), cluster=RayCluster(workers=2, mask_workers=2))


@pytest.fixture(scope="module", params=["fake", "toybox"])
def whole(request, tmp_path_factory) -> tuple[str, Path]:
    """A run of the local engine with one mask worker, undisturbed."""
    folder, load = tmp_path_factory.mktemp("runs") / "whole", LOADS[request.param]
    run = run_job(job(folder, request.param), LocalEngine(load=partial(load, "cpu"), mask_workers=1), Heard())
    assert len(run.done_ids()) == COUNT
    assert all(run.summary(record).denoising is not None for record in run.records())
    return request.param, folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("engine", [local, devices, cluster])
def test_every_engine_makes_the_same_bytes_though_it_is_broken_off(whole, tmp_path, engine):
    model, folder = whole
    with pytest.raises(KeyboardInterrupt):
        run_job(job(tmp_path / "run", model), engine(LOADS[model]), Heard(stop_after=2))
    run_job(job(tmp_path / "run", model), engine(LOADS[model]), Heard())
    assert contents(tmp_path / "run") == contents(folder)
