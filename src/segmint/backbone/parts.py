"""A model folder's parts, looked over before anything is loaded, so that an error names the part at fault."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from segmint.backbone.families import family_of
from segmint.backbone.family import parts_of, weighted
from segmint.errors import ModelError
from segmint.limits import limits
from segmint.textfile import read_plain, shown

MOST_LAYERS = 1000
"""Of a network, or of one of its blocks; the deepest known has less than a hundred."""


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        ModelError: the file is missing or no JSON object; names `what` it belongs to.
    """
    try:
        content = json.loads(read_plain(path, limits().record_bytes))
    except FileNotFoundError:
        raise ModelError(f"{what} is missing its {path.name} (expected at {path})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{what} has a corrupt {path.name} at {path}: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{what} has a corrupt {path.name} at {path}: expected a JSON object")
    return content


def check_folder(folder: Path, name: str, *, weightless: bool = False) -> dict[str, Any]:
    """The folder's `model_index.json`, once every part that it lists is found readable.

    Weights are opened as far as their header and size, which finds truncated files and Git LFS pointers.
    `weightless`: the network's come from elsewhere.

    Raises:
        ModelError: a part is missing or corrupt (named), or the pipeline is not understood.
    """
    index = read_json(folder / "model_index.json", f"model {name}")
    family = family_of(index)
    for part in parts_of(family, index):
        own = folder / part
        what = f"model {name}: part {part!r}"
        if not own.is_dir():
            raise ModelError(f"{what} is missing (expected the folder {own}); fetch the model again")
        for path in sorted(own.iterdir()):
            if not (path.is_file() or path.is_dir()):
                raise ModelError(f"{what} holds {path.name}, which is no plain file; fetch the model again")
        if weighted(part):
            _check_depth(read_json(own / "config.json", what), own / "config.json", what)
            if not (weightless and part == family.network):
                _check_weights(own, what)
        else:
            told = read_json(own / f"{part.partition('_')[0]}_config.json", what)
            _check_noise(index[part][1], str(told.get("_class_name", index[part][1])), what)
    return index


def _check_noise(listed: object, told: str, what: str) -> None:
    """A scheduler of flow matching reads another's settings without a word, and takes none of them."""
    if ("FlowMatch" in str(listed)) != ("FlowMatch" in told):
        raise ModelError(
            f"{what} is a {listed} in model_index.json and a {told} in its own file; the two are not of one "
            "model: fetch it again"
        )


def _check_depth(config: dict[str, Any], path: Path, what: str) -> None:
    """Refuse networks of any number of layers: each is built before its weights are missed."""
    for key, value in config.items():
        many = value if isinstance(value, list) else [value]
        if "layers" in key and any(isinstance(each, int | float) and each > MOST_LAYERS for each in many):
            raise ModelError(
                f"{what} has {shown(value)} {key} in {path}; expected {MOST_LAYERS} at most: fetch the model "
                "again"
            )


def _check_weights(folder: Path, what: str) -> None:
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise ModelError(
            f"{what} has no .safetensors weights in {folder}; other formats are not loaded, as they can run "
            "code"
        )
    shards: set[Path] = set()
    for index in folder.glob("*.safetensors.index.json"):
        names = read_json(index, what).get("weight_map")
        if not isinstance(names, dict) or not all(_is_shard(name) for name in names.values()):
            raise ModelError(
                f"{what} has a corrupt {index.name} at {index}: expected a weight_map from tensors to files "
                "of this folder"
            )
        shards |= {folder / name for name in names.values()}
    for path in [*found, *sorted(shards)]:
        try:
            with safe_open(path, framework="numpy") as weights:
                weights.keys()
        except (OSError, ValueError, SafetensorError) as error:
            hint = "it is a Git LFS pointer: run `git lfs pull`" if _is_pointer(path) else "fetch it again"
            raise ModelError(f"{what} has corrupt weights in {path}: {error}; {hint}") from None


def _is_shard(name: object) -> bool:
    plain = isinstance(name, str) and name.isprintable() and Path(name).name == name
    return plain and str(name).endswith(".safetensors")


def _is_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).startswith(b"version https://git-lfs")
    except OSError:
        return False
