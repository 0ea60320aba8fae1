"""A model's weights, part by part, held against what each part expects.

Libraries fill a tensor that a file lacks with random numbers, or leave it without any; here it is refused,
and so is a tensor that the part does not know, or one of another shape.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from safetensors import safe_open
from transformers import PreTrainedModel

from segmint.errors import ModelError

_BASES: Mapping[str, type] = {"diffusers": ModelMixin, "transformers": PreTrainedModel}
_DTYPE = {"diffusers": "torch_dtype", "transformers": "dtype"}
_COMPILED = "_orig_mod."
"""What `torch.compile` puts before the name of every tensor."""
_OF_WHOLE_CLIP = ("vision_model.", "visual_projection.", "text_projection.", "logit_scale")
"""Tensors beside the text encoder in a file of the whole CLIP model; it needs none of them."""
_BUFFER = "position_ids"
"""Older files store this count from 0 on, which a text encoder makes itself."""
_COUNTS = (_BUFFER, "num_batches_tracked")
"""Tensors of whole numbers."""
_NAMED = 3
"""Tensors that a message names."""


def load_part(
    folder: Path,
    name: str,
    entry: Any,
    *,
    dtype: torch.dtype,
    variant: str | None,
    stored: Any | None = None,
) -> Any:
    """One weighted part of a model, every tensor of it from its file.

    Args:
        folder: of the model.
        name: of the part.
        entry: its line in `model_index.json`: library and class.
        dtype: of the weights.
        variant: of the files, for parts that come in it.
        stored: how its library is to quantise it; None leaves it as it is.

    Raises:
        ModelError: the class is unknown, or the weights do not fit; the message names part, file and tensor.
    """
    own, (library, found) = folder / name, _class(name, entry)
    of_variant = sorted(own.glob(f"*.{variant}*.safetensors")) if variant else []
    arguments: dict[str, Any] = {_DTYPE[library]: dtype}
    if of_variant:
        arguments["variant"] = variant
    if stored is not None:
        arguments["quantization_config"] = stored
    part, told = found.from_pretrained(
        own,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # told by name below
        use_safetensors=True,
        local_files_only=True,
        **arguments,
    )
    paths = of_variant or sorted(each for each in own.glob("*.safetensors") if each.name.count(".") == 1)
    paths = paths or sorted(own.glob("*.safetensors"))
    _check(f"part {name!r}", paths, told)
    if getattr(part.config, "quantization_config", None) is None:
        _check_numbers(f"part {name!r}", paths)
    return part


def _class(name: str, entry: Any) -> tuple[str, Any]:
    library, class_name = entry
    base = _BASES.get(str(library))
    found = getattr(import_module(library), str(class_name), None) if base else None
    if base is None or not (isinstance(found, type) and issubclass(found, base)):
        raise ModelError(
            f"part {name!r} is a {class_name} of {library}; expected a model of diffusers or transformers"
        )
    return str(library), found


def _check(what: str, paths: list[Path], told: Mapping[str, Any]) -> None:
    missing = sorted(told["missing_keys"])
    foreign = sorted(key for key in told["unexpected_keys"] if not _is_beside(key))
    odd = sorted(told["mismatched_keys"], key=str)
    if any(_COMPILED in key for key in foreign):
        raise ModelError(
            f"{what}: the tensors of {paths[0]} are named {_COMPILED}…, as torch.compile leaves them; save "
            "the network that was compiled, not its wrapper"
        )
    if missing:
        others = f" (it has {_few(foreign)} instead)" if foreign else ""
        raise ModelError(f"{what}: {_said(paths)} lacks {_few(missing)}{others}; fetch the model again")
    if odd:
        key, found, expected = odd[0]
        raise ModelError(
            f"{what}: {_said(_holders(paths, key))} has {key} of shape {_shape(found)}, its config.json asks "
            f"for {_shape(expected)}"
        )
    if foreign:
        raise ModelError(
            f"{what}: {_said(_holders(paths, foreign[0]))} has {_few(foreign)}, which its config.json does "
            "not know; the two are not of one model"
        )
    if told.get("error_msgs"):
        raise ModelError(f"{what}: {_said(paths)} does not fit: {str(told['error_msgs'][0]).splitlines()[0]}")


def _check_numbers(what: str, paths: list[Path]) -> None:
    """Refuse whole numbers in place of weights: what was quantised means nothing without its scales."""
    for path in paths:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - no dictionary, and not iterable
                kind = str(file.get_slice(key).get_dtype())
                if "F" not in kind and key.rpartition(".")[2] not in _COUNTS:
                    raise ModelError(
                        f"{what}: {path} has {key} in whole numbers ({kind}), and its config.json says "
                        "nothing of how it was quantised; give weights in floating point"
                    )


def _is_beside(key: str) -> bool:
    return key.startswith(_OF_WHOLE_CLIP) or key.rpartition(".")[2] == _BUFFER


def _holders(paths: list[Path], key: str) -> list[Path]:
    """The file that holds a tensor; all where none is called so."""
    for path in paths:
        with safe_open(path, framework="pt") as file:
            if key in file.keys():  # noqa: SIM118 - no dictionary, and not iterable
                return [path]
    return paths


def _said(paths: list[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} … {paths[-1].name}"


def _few(keys: Iterable[str]) -> str:
    names = list(keys)
    more = f" and {len(names) - _NAMED} more tensors" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _shape(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape)) or "a single number"
