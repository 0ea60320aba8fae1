"""Which engine the flags ask for."""

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from segmint.cli.options import split_list
from segmint.errors import ConfigError
from segmint.settings import Flag, Settings

if TYPE_CHECKING:
    from segmint.backbone.settings import ModelSettings
    from segmint.jobs.engines.local import Executor
    from segmint.jobs.engines.ray import RayCluster
    from segmint.jobs.job import Engine


class Where(Settings):
    """Where the work is to be done."""

    panel = "Running"

    device: Annotated[str, Flag("--device", panel="Model")] = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    engine: Annotated[Literal["local", "ray"], Flag("--engine")] = "local"
    """local, or ray: spread the work over a Ray cluster."""
    devices: Annotated[str | None, Flag("--devices", metavar="DEVICE,…")] = None
    """Several devices of this machine, as cuda:0,cuda:1."""
    workers: Annotated[int | None, Field(ge=1), Flag("--workers")] = None
    """With --engine ray: how many workers (1)."""
    address: Annotated[str | None, Flag("--address")] = None
    """With --engine ray: a cluster's address, or auto; default: start one here."""
    gpus_per_worker: Annotated[float | None, Flag("--gpus-per-worker")] = None
    """With --engine ray: GPUs of each worker (0)."""
    threads: Annotated[int | None, Field(ge=1), Flag("--threads")] = None
    """CPU threads of each process (1); others give other last bits."""
    mask_workers: Annotated[int | None, Field(ge=1), Flag("--mask-workers")] = None
    """Threads that make masks beside each model; default: from the cores. Changes no byte of the run."""


def engine_for(model: "ModelSettings", where: Where) -> "Engine":
    """The engine, which has not loaded anything yet.

    Every process gets one CPU thread unless told otherwise. The number of threads changes the order of
    additions and with it an image's last bits; with one, a run is the same in however many processes.

    Raises:
        ConfigError: flags that do not go together.
    """
    from segmint.jobs.engines.local import LocalEngine, load_on

    _check(where)
    if where.devices is not None:
        from segmint.jobs.engines.spawned import SpawnEngine

        devices = split_list(where.devices)
        if not devices:
            raise ConfigError("--devices names none; for example --devices cuda:0,cuda:1")
        on_device = partial(load_on, settings=model, threads=where.threads or 1)
        return SpawnEngine(load=on_device, devices=devices, mask_workers=where.mask_workers)
    load = partial(load_on, where.device, settings=model, threads=where.threads or 1)
    if where.engine == "ray":
        from segmint.jobs.engines.ray import RayEngine

        return RayEngine(load=load, cluster=_cluster(where))
    return LocalEngine(load=load, mask_workers=where.mask_workers)


def executor_for(where: Where) -> "Executor":
    """What carries out work without a model.

    Raises:
        ConfigError: flags that do not go together.
    """
    from segmint.jobs.engines.local import in_process

    _check(where)
    return _cluster(where).map if where.engine == "ray" else in_process


def _check(where: Where) -> None:
    far = where.engine == "ray"
    if where.devices is not None and (far or where.device != "auto"):
        raise ConfigError("--devices starts a process for each device; leave --device and --engine ray out")
    for name in ("address", "workers", "gpus_per_worker"):
        if getattr(where, name) is not None and not far:
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag} is for a cluster; add --engine ray, or use --devices")


def _cluster(where: Where) -> "RayCluster":
    from segmint.jobs.engines.ray import RayCluster

    return RayCluster(
        workers=where.workers or 1,
        address=where.address,
        gpus_per_worker=where.gpus_per_worker or 0.0,
        mask_workers=where.mask_workers,
    )


def limit_threads(threads: int) -> None:
    """Tell the array libraries how many threads to use, and not to spin while they wait.

    To be called before they are imported. What the user's environment says already is left alone.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
