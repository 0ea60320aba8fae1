"""A network's weights from a GGUF file, in as few bits as the file has them."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from segmint.errors import MissingDependency, ModelError
from segmint.textfile import stands

_MAGIC = b"GGUF"


def load_gguf(file: str, folder: Path, name: str, entry: Any, dtype: torch.dtype) -> Any:
    """A network of diffusers with the file's weights, by its own converters of the names in it.

    Args:
        file: the GGUF file.
        folder: of the model, whose part tells the network's settings.
        name: of the part.
        entry: its line in `model_index.json`: library and class.
        dtype: of the activations.

    Raises:
        MissingDependency: the package that reads such files is not installed.
        ModelError: the file is none or not this network's, or diffusers reads none of such networks.
    """
    path = Path(file).expanduser()
    _check_file(path)
    if find_spec("gguf") is None:
        raise MissingDependency(
            "--gguf needs the package `gguf`; install it with `pip install 'segmint[quantize]'`"
        )
    from diffusers import GGUFQuantizationConfig

    network = getattr(import_module("diffusers"), str(entry[1]))
    if not hasattr(network, "from_single_file"):
        raise ModelError(
            f"diffusers reads no GGUF file of a {entry[1]}; leave --gguf out and quantise with --quantize"
        )
    try:
        part = network.from_single_file(
            str(path),
            config=str(folder),
            subfolder=name,
            quantization_config=GGUFQuantizationConfig(compute_dtype=dtype),
            torch_dtype=dtype,
            local_files_only=True,
        )
    except (LookupError, ValueError, RuntimeError, TypeError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"GGUF file {path} cannot be read as this model's {name}, a {entry[1]} ({reason}); give one that "
            "was made from it, or fetch it again"
        ) from error
    lacking = [key for key, tensor in part.state_dict().items() if tensor.is_meta]
    if lacking:
        raise ModelError(
            f"GGUF file {path} lacks {lacking[0]} and {len(lacking) - 1} more tensors of {name!r}"
        )
    _restore_beside(part)
    return part


def _restore_beside(network: torch.nn.Module) -> None:
    """Make numbers of what is packed and no linear layer's, such as tokens for padding: only those unpack."""
    for module in network.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if hasattr(weight, "quant_type") and not isinstance(module, torch.nn.Linear):
                setattr(module, name, torch.nn.Parameter(unpacked(weight), requires_grad=False))


def _check_file(path: Path) -> None:
    if not stands(path, Path.is_file):
        raise ModelError(f"GGUF file {path} is not there; --gguf takes a file on this machine")
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ModelError(f"{path} is no GGUF file; expected one that begins with {_MAGIC.decode()}")


def unpacked(weight: Any) -> torch.Tensor:
    """A packed weight as numbers."""
    found: torch.Tensor = import_module("diffusers.quantizers.gguf.utils").dequantize_gguf_tensor(weight)
    return found
