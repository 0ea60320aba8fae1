"""A model folder's parts, looked over before anything is loaded, so that an error names the part at fault."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from segmint.backbone.unet import SUPPORTED
from segmint.errors import ModelError

SD_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
SDXL_PARTS = (*SD_PARTS, "text_encoder_2", "tokenizer_2")
_WEIGHTED = {"unet", "vae", "text_encoder", "text_encoder_2"}
_CONFIGS = {"tokenizer": "tokenizer_config.json", "scheduler": "scheduler_config.json"}


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: the file is missing or no JSON object; names `what` it belongs to.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{what} is missing its {path.name} (expected at {path})") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{what} has a corrupt {path.name} at {path}: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{what} has a corrupt {path.name} at {path}: expected a JSON object")
    return content


def is_sdxl(index: dict[str, Any]) -> bool:
    """Whether a `model_index.json` describes a pipeline with SDXL's two text encoders.

    Raises:
        ModelError: it describes no pipeline that segmint understands.
    """
    if not isinstance(index.get("unet"), list) or index["unet"][1] != "UNet2DConditionModel":
        found = index.get("_class_name", "no pipeline")
        raise ModelError(f"the model is a {found}, whose attention is not understood; supported: {SUPPORTED}")
    missing = [part for part in SD_PARTS if not _present(index, part)]
    if missing:
        raise ModelError(f"the model lists no {missing[0]} in its model_index.json; supported: {SUPPORTED}")
    return _present(index, "text_encoder_2")


def check_folder(folder: Path, name: str) -> dict[str, Any]:
    """The folder's `model_index.json`, once every part that it lists is found readable.

    Weights are opened as far as their header and size, which finds truncated files and Git LFS pointers.

    Raises:
        ModelError: a part is missing or corrupt (named), or the pipeline is not understood.
    """
    index = read_json(folder / "model_index.json", f"model {name}")
    for part in SDXL_PARTS if is_sdxl(index) else SD_PARTS:
        own = folder / part
        what = f"model {name}: part {part!r}"
        if not own.is_dir():
            raise ModelError(f"{what} is missing (expected the folder {own}); fetch the model again")
        if part in _WEIGHTED:
            read_json(own / "config.json", what)
            _check_weights(own, what)
        elif part in _CONFIGS:
            read_json(own / _CONFIGS[part], what)
    return index


def _check_weights(folder: Path, what: str) -> None:
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise ModelError(
            f"{what} has no .safetensors weights in {folder}; other formats are not loaded, as they can run "
            "code"
        )
    for path in [*found, *_listed(folder, what)]:
        try:
            with safe_open(path, framework="numpy") as weights:
                weights.keys()
        except (OSError, SafetensorError) as error:
            hint = "it is a Git LFS pointer: run `git lfs pull`" if _is_pointer(path) else "fetch it again"
            raise ModelError(f"{what} has corrupt weights in {path}: {error}; {hint}") from None


def _listed(folder: Path, what: str) -> Iterator[Path]:
    for index in folder.glob("*.safetensors.index.json"):
        yield from sorted({folder / name for name in read_json(index, what).get("weight_map", {}).values()})


def _is_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).startswith(b"version https://git-lfs")
    except OSError:
        return False


def _present(index: dict[str, Any], part: str) -> bool:
    entry = index.get(part)
    return isinstance(entry, list) and len(entry) == 2 and entry[1] is not None
