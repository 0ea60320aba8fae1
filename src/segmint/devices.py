"""Which device work runs on, and how many cores there are; torch is imported only to look for a device."""

import os
import re
import sys
from typing import TYPE_CHECKING

from segmint.errors import DeviceError

if TYPE_CHECKING:
    import torch


def find_device(name: str) -> "torch.device":
    """The device of this name, once it is known to be there.

    Args:
        name: `auto` (the first of cuda, mps, cpu that is there), `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        DeviceError: the name is unknown or there is no such device.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "mps" if torch.backends.mps.is_available() else "cpu"
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise DeviceError(f"unknown device {name!r}; expected auto, cpu, mps, cuda or cuda:N")
    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= count:
        raise DeviceError(
            f"device {name!r} was asked for, but this machine's CUDA devices number {count}; use "
            "--device cpu or auto"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' was asked for, but this machine has none; use --device cpu or auto")
    return torch.device(name)


def cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
