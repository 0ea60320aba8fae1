"""Running models larger than the accelerator: parts that wait on the CPU, and weights of fewer bits."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import torch
from accelerate import cpu_offload_with_hook

from segmint.errors import MissingDependency

Offload = Literal["none", "text", "model", "sequential"]
Quantize = Literal["none", "int8", "nf4", "fp8"]

_NEEDS = {"int8": "torchao", "fp8": "torchao", "nf4": "bitsandbytes"}
"""Package that stores weights so; int8 and fp8 run on a CPU too."""
_SMALL = ("vae", "safety_checker", "image_encoder")
"""Parts that stay as they are: little is gained, and pictures suffer."""


def bring(pipe: Any, device: torch.device, offload: Offload) -> Callable[[], None] | None:
    """Bring a pipeline to a device, whole, a part at a time, or a layer at a time.

    Parts that wait come when they are called and leave when the next one does, so that text encoders make
    room for the network; layers come and leave one by one, which is slow.

    Returns:
        What sends the text encoders away once all texts are encoded, with "text"; they come back by
        themselves. None elsewhere.
    """
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    elif offload == "text":
        return _bring_but_texts(pipe, device)
    else:
        pipe.to(device)
    return None


def _bring_but_texts(pipe: Any, device: torch.device) -> Callable[[], None]:
    leaving = []
    for name, part in pipe.components.items():
        if isinstance(part, torch.nn.Module):
            if name.startswith("text_encoder"):
                leaving.append(cpu_offload_with_hook(part, device)[1])
            else:
                part.to(device)

    def leave() -> None:
        for hook in leaving:
            hook.offload()

    return leave


def stored_as(name: str, library: str, quantize: Quantize, dtype: torch.dtype) -> Any | None:
    """How a part's weights are stored, as its library takes it; None for parts that stay as they are.

    Args:
        name: of the part.
        library: `diffusers` or `transformers`.
        quantize: bits.
        dtype: of the activations.

    Raises:
        MissingDependency: the package that stores weights so is not installed.
    """
    if quantize == "none" or name in _SMALL:
        return None
    package = _NEEDS[quantize]
    if find_spec(package) is None:
        raise MissingDependency(
            f"--quantize {quantize} needs the package `{package}`; install it with "
            "`pip install 'segmint[quantize]'`"
        )
    return _configs(library)[quantize](dtype)


def _configs(library: str) -> dict[str, Callable[[torch.dtype], Any]]:
    if library == "diffusers":
        from diffusers import BitsAndBytesConfig, TorchAoConfig
    else:
        from transformers import BitsAndBytesConfig, TorchAoConfig

    def torchao(_: torch.dtype, kind: str) -> Any:
        ways = import_module("torchao.quantization")
        return TorchAoConfig(getattr(ways, kind)())

    return {
        "int8": lambda dtype: torchao(dtype, "Int8WeightOnlyConfig"),
        "fp8": lambda dtype: torchao(dtype, "Float8WeightOnlyConfig"),
        "nf4": lambda dtype: BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        ),
    }
