"""The driver is killed: its workers write nothing more and are gone within ten seconds."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from segmint.runs import layout
from segmint.runs.files.remote import files_at

pytest.importorskip("ray")
GONE_S = 10.0
RAYS_OWN = (b"ray::DashboardAgent", b"ray::RuntimeEnvAgent")
"""Ray's housekeepers, which look for their parent now and then and touch no run."""
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, also within IPv6, and ::1, as the kernel writes them."""
DRIVER = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from segmint.backbone.fake import FakeBackbone
from segmint.jobs.engines.ray import RayCluster, RayEngine
from segmint.jobs.engines.spawned import SpawnEngine
from segmint.jobs.job import run_job
from segmint.listening import Silent
from small_jobs import job_at

def load(device="cpu"):
    return FakeBackbone(delay_s=0.3)

if __name__ == "__main__":
    engine, where = sys.argv[1:]
    if engine == "ray":
        engines = RayEngine(load=load, cluster=RayCluster(workers=2, cpus_per_worker=0.1))
    else:
        engines = SpawnEngine(load=load, devices=["cpu", "cpu"])
    run_job(job_at(where, count=200, batch=2), engines, Silent())
"""


def family(token: str) -> list[int]:
    """Processes that live and were started with this token in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and token.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def addresses(pids: list[int]) -> set[str]:
    """Where these processes listen."""
    listening = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                listening[f"socket:[{words[9]}]"] = words[1].partition(":")[0]
    found = set()
    for pid in pids:
        try:
            held = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        found |= {listening[each] for each in held if each in listening}
    return found


def state(where: str) -> dict[str, set[str]]:
    files = files_at(where)
    folders = (layout.ITEMS, layout.IMAGES, layout.MASKS, layout.PENDING, PurePosixPath("failed"))
    return {str(folder): files.names(folder) for folder in folders}


@pytest.fixture
def token() -> Iterator[str]:
    token = f"segmint-{uuid.uuid4().hex}"
    yield token
    for pid in family(token):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("engine", ["ray", "spawned"])
@pytest.mark.parametrize("place", ["disk", "s3"])
def test_workers_of_a_killed_driver_fall_silent(tmp_path, bucket, token, engine, place):
    where = str(tmp_path / "run") if place == "disk" else f"{bucket}/run"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    environment = {**os.environ, "SEGMINT_FAMILY": token, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script), engine, where], env=environment) as driver:
        until = time.monotonic() + 120
        while len(files_at(where).names(layout.ITEMS)) < 4 and time.monotonic() < until:
            assert driver.poll() is None
            time.sleep(0.1)
        assert len(family(token)) > 2
        if engine == "ray":
            assert addresses(family(token)) <= LOOPBACK
        driver.kill()
    time.sleep(0.3)  # what was on its way
    before = state(where)
    assert 4 <= len(before["items"]) < 200
    time.sleep(GONE_S)
    assert state(where) == before
    assert [pid for pid in family(token) if not command(pid).startswith(RAYS_OWN)] == []
