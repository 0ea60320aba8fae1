"""LoRA adapters, fused into the weights so that nothing else needs to know of them."""

from collections.abc import Sequence
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from segmint.errors import ConfigError, MissingDependency, ModelError
from segmint.textfile import shown, stands


def fuse_loras(pipe: Any, adapters: Sequence[str]) -> None:
    """Add adapters to the model's weights.

    Args:
        pipe: the pipeline to change.
        adapters: each `path-or-hub-id[:weight]`; the weight is 1 where none is given.

    Raises:
        ConfigError: an entry is empty.
        ModelError: an adapter is missing, unreadable, or made for another model.
        MissingDependency: `peft` is not installed.
    """
    if not adapters:
        return
    if find_spec("peft") is None:
        raise MissingDependency("LoRA adapters need the package `peft`; install it with `pip install peft`")
    names = [f"adapter_{place}" for place in range(len(adapters))]
    parsed = [parse_lora(each) for each in adapters]
    for name, (source, _) in zip(names, parsed, strict=True):
        _load(pipe, source, name)
    pipe.set_adapters(names, adapter_weights=[weight for _, weight in parsed])
    pipe.fuse_lora(adapter_names=names)
    pipe.unload_lora_weights()


def parse_lora(entry: str) -> tuple[str, float]:
    """(source, weight) of `path-or-hub-id[:weight]`; a colon before anything but a number belongs to the
    source.

    Raises:
        ConfigError: no source is named.
    """
    source, _, weight = entry.rpartition(":")
    try:
        found = (source, float(weight)) if isfinite(float(weight)) else (entry, 1.0)
    except ValueError:
        found = (entry, 1.0)
    if not found[0].strip():
        raise ConfigError(f"LoRA {entry!r} names no adapter; expected path-or-hub-id[:weight]")
    return found


def _load(pipe: Any, source: str, name: str) -> None:
    path = Path(source).expanduser()
    alone = stands(path, Path.is_file)
    kwargs = {"weight_name": path.name} if alone else {}
    where = str(path.parent if alone else path) if stands(path) else source
    try:
        pipe.load_lora_weights(where, adapter_name=name, use_safetensors=True, **kwargs)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"LoRA adapter {shown(source, 200)} cannot be fused into this model: {reason}"
        ) from None
