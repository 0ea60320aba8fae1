"""Which engine the flags ask for."""

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segmint.backbone.settings import ModelSettings
    from segmint.jobs.generate import Engine
    from segmint.jobs.remask import Spread
    from segmint.jobs.work import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where the work is to be done, as the flags say. See `segmint generate --help`."""

    engine: str = "local"
    device: str = "auto"
    devices: str | None = None
    threads: int | None = None
    address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None


def engine_for(model: "ModelSettings", where: Where, unit: "Unit | None" = None) -> "Engine":
    """The engine, which has not loaded anything yet.

    Every process gets one CPU thread unless told otherwise. The number of threads changes the order of
    additions and with it an image's last bits; with one, a run is the same in however many processes.

    Raises:
        ConfigError: flags that do not go together.
    """
    from segmint.cli.lists import split_list
    from segmint.errors import ConfigError
    from segmint.jobs.engines.local import LocalEngine
    from segmint.jobs.loading import load_on
    from segmint.jobs.work import mint_batch

    unit = unit or mint_batch
    far = where.engine == "ray"
    if where.engine not in ("local", "ray"):
        raise ConfigError(f"--engine is {where.engine!r}; expected local or ray")
    if where.devices is not None and (far or where.device != "auto"):
        raise ConfigError("--devices starts a process for each device; leave --device and --engine ray out")
    for name in ("address", "workers", "gpus_per_worker"):
        if getattr(where, name) is not None and not far:
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag} is for a cluster; add --engine ray, or use --devices")
    if where.devices is not None:
        from segmint.jobs.engines.spawned import SpawnEngine

        devices = split_list(where.devices)
        if not devices:
            raise ConfigError("--devices names none; for example --devices cuda:0,cuda:1")
        on_device = partial(load_on, settings=model, threads=where.threads or 1)
        return SpawnEngine(load=on_device, devices=devices, unit=unit)
    load = partial(load_on, where.device, settings=model, threads=where.threads or 1)
    if far:
        from segmint.jobs.engines.ray import RayEngine

        return RayEngine(
            load=load,
            workers=where.workers or 1,
            address=where.address,
            gpus_per_worker=where.gpus_per_worker or 0.0,
            unit=unit,
        )
    return LocalEngine(load=load, unit=unit)


def spread_by(where: Where) -> "Spread":
    """What carries work without a model out.

    Raises:
        ConfigError: flags that do not go together.
    """
    from segmint.backbone.settings import ModelSettings
    from segmint.jobs.engines.ray import RayEngine
    from segmint.jobs.remask import spread_here

    engine = engine_for(ModelSettings(), where)
    return engine.spread if isinstance(engine, RayEngine) else spread_here


def limit_threads(threads: int) -> None:
    """Tell the array libraries how many threads to use, and not to spin while they wait.

    To be called before they are imported. What the user's environment says already is left alone.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
