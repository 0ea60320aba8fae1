"""A driver with two workers that draw slowly: `python lab/kills/driver.py ray|spawned RUN`, to be killed."""

import sys
import warnings

from segmint.backbone.base import Backbone
from segmint.backbone.fake import FakeBackbone
from segmint.jobs.engines.ray import RayCluster, RayEngine
from segmint.jobs.engines.spawned import SpawnEngine
from segmint.jobs.job import Engine, Job, run_job
from segmint.jobs.request import request
from segmint.listening import Silent
from segmint.runs.files.remote import files_at

COUNT = 60
SMALL = {"sampling.height_px": 32, "sampling.width_px": 32, "sampling.steps": 2, "sampling.batch_size": 2}


def load(device: str = "cpu") -> Backbone:
    """The stand-in."""
    return FakeBackbone(delay_s=0.4)


def main(kind: str, where: str) -> None:
    """Make what the run lacks."""
    warnings.simplefilter("ignore")
    asked = request(classes="boat, tree", changes={"model.id": "fake", **SMALL}, count=COUNT)
    engine: Engine = SpawnEngine(load=load, devices=["cpu", "cpu"])
    if kind == "ray":
        engine = RayEngine(load=load, cluster=RayCluster(workers=2, cpus_per_worker=0.1))
    run_job(Job(files=files_at(where), request=asked), engine, Silent())


if __name__ == "__main__":
    main(*sys.argv[1:])
