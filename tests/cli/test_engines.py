import os

import pytest

from segmint.backbone.settings import ModelSettings
from segmint.cli.engines import Where, engine_for, executor_for, limit_threads
from segmint.errors import ConfigError
from segmint.jobs.engines.local import LocalEngine, in_process
from segmint.jobs.engines.ray import RayCluster, RayEngine
from segmint.jobs.engines.spawned import SpawnEngine

TOYBOX = ModelSettings()


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "1")


def test_flags_choose_the_engine():
    assert isinstance(engine_for(TOYBOX, Where()), LocalEngine)
    several = engine_for(TOYBOX, Where(devices="cuda:0, cuda:1"))
    assert isinstance(several, SpawnEngine)
    assert several.devices == ["cuda:0", "cuda:1"]
    cluster = engine_for(TOYBOX, Where(engine="ray", workers=3, gpus_per_worker=1.0, address="auto"))
    assert isinstance(cluster, RayEngine)
    assert cluster.cluster == RayCluster(workers=3, gpus_per_worker=1.0, address="auto")


def test_work_without_a_model_takes_the_cluster_and_no_engine():
    assert executor_for(Where()) is in_process
    far = executor_for(Where(engine="ray", workers=3))
    assert far.__self__ == RayCluster(workers=3)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Where(workers=2), "--workers is for a cluster"),
        (Where(gpus_per_worker=1.0), "--gpus-per-worker is for a cluster"),
        (Where(devices="cpu", engine="ray"), "leave --device and --engine ray out"),
        (Where(devices="cpu", device="cuda"), "leave --device"),
        (Where(devices=" , "), "names none"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(where, said):
    with pytest.raises(ConfigError, match=said):
        engine_for(TOYBOX, where)


def test_threads_leave_the_users_environment_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS")
    limit_threads(2)
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("5", "2")
