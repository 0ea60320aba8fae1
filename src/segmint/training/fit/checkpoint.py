"""Checkpoints: safetensors files whose header holds what is not a tensor, as JSON.

A file is written under a temporary name, flushed to the disk and renamed: whatever happens, the last whole
one stays.

    last.safetensors          all to go on with: weights, running mean, optimiser, random states, counters
    best.safetensors          the weights of the best validation, under torchvision's own names
    best.safetensors.sha256   its checksum, in the form of `sha256sum --check`
"""

import errno
import hashlib
import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from segmint.atomic import put, put_text
from segmint.errors import StorageError, TrainingError
from segmint.limits import limits
from segmint.textfile import read_plain
from segmint.vocabulary import MAX_CLASSES

LAST = "last.safetensors"
BEST = "best.safetensors"
SCHEMA_VERSION = 1
_KEY = "segmint"
"""Key of our JSON in the header of a safetensors file."""
_DIGEST = "sha256"
"""Key in that JSON of the checksum over all else in it and all tensors: the file itself tells whether it is
whole. In one key of the header, since the order of several is not fixed."""

Weights = Literal["raw", "ema"]
"""The trained weights themselves, or their running mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a checkpoint says about itself."""

    architecture: str
    classes: tuple[str, ...]
    iteration: int
    digest: str
    """SHA-256 of training settings and data (see `TrainSettings.digest`)."""
    settings: Mapping[str, Any]
    weights: Weights = "raw"
    """Of a best checkpoint: which weights it holds."""
    mean_iou: float | None = None
    """Of a best checkpoint: its score on the validation set."""
    progress: Mapping[str, Any] | None = None
    """Of a last checkpoint: what training needs besides tensors."""
    schema_version: int = SCHEMA_VERSION


def save(path: Path, tensors: Mapping[str, Tensor], facts: Facts) -> str:
    """Write a checkpoint, whole or not at all, with its facts beside it as JSON; returns its SHA-256.

    Raises:
        StorageError: the disk is full or refuses; the file that was there before is untouched.
    """
    ready = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    text = json.dumps(asdict(facts), sort_keys=True)
    needed = sum(value.nbytes for value in ready.values()) + 2 * len(text) + (1 << 16)
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        _check_space(path.parent, needed)
        data = serialise(ready, metadata={_KEY: _sealed(text, ready)})
        put(path, data, draft=draft)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"checkpoint {path} could not be written: {error}; the one before it is whole: "
            "make room and run the same command again with --resume"
        ) from None
    put_text(path.with_suffix(".json"), json.dumps(asdict(facts), sort_keys=True, indent=2) + "\n")
    return hashlib.sha256(data).hexdigest()


def read_facts(path: Path) -> Facts:
    """What a checkpoint says about itself, once all of the file is found to be as it was written.

    Raises:
        TrainingError: it is missing, damaged, or none of ours.
    """
    with _opened(path) as file:
        text = (file.metadata() or {}).get(_KEY, "")
    try:
        said = json.loads(text)
        digest = said.pop(_DIGEST, None)
        facts = _facts(said)
    except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
        raise TrainingError(f"{path} is a safetensors file but no checkpoint of `segmint train`") from None
    _check_whole(path, json.dumps(said, sort_keys=True), digest)
    if facts.schema_version != SCHEMA_VERSION:
        raise TrainingError(
            f"{path} has checkpoint version {facts.schema_version}; this segmint reads {SCHEMA_VERSION}"
        )
    return facts


def read_tensors(path: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names, on the CPU."""
    with _opened(path) as file:
        try:
            return {
                name.removeprefix(prefix): file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118 - no dictionary, and not iterable
                if name.startswith(prefix)
            }
        except (SafetensorError, OSError, RuntimeError) as error:
            raise TrainingError(f"checkpoint {path} cannot be read: {error}") from None


def _facts(data: Any) -> Facts:
    facts = Facts(**{**data, "classes": tuple(data["classes"])})
    texts = (facts.architecture, facts.digest, *facts.classes[: MAX_CLASSES + 1])
    if not 0 < len(facts.classes) <= MAX_CLASSES or not all(isinstance(each, str) for each in texts):
        raise ValueError("no class, or too many, or no names")
    if type(facts.iteration) is not int or not isinstance(facts.settings, dict):
        raise ValueError("no iteration or settings")
    return facts


def _check_whole(path: Path, text: str, digest: str | None) -> None:
    beside = path.with_name(f"{path.name}.sha256")
    if digest is not None:
        whole = _digest(text, read_tensors(path)) == digest
    else:  # of an earlier version
        whole = (
            not beside.is_file() or read_plain(beside, limits().record_bytes)[:64] == sha256(path).encode()
        )
    if not whole:
        raise TrainingError(
            f"checkpoint {path} is not as it was written (its checksum differs); take another copy, or train "
            "again"
        )


def _sealed(text: str, tensors: Mapping[str, Tensor]) -> str:
    return json.dumps({**json.loads(text), _DIGEST: _digest(text, tensors)}, sort_keys=True)


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) over the facts and every tensor with its name, type and shape."""
    found = hashlib.sha256(text.encode())
    for name, value in sorted(tensors.items()):
        found.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def random_states() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The states of the global generators of torch (tensors), numpy and Python (JSON)."""
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    return tensors, {
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, cached],
        "python": [version, list(internal), gauss],
    }


def restore_random_states(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    """Set the global generators to stored states."""
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    kind, keys, position, has_gauss, cached = plain["numpy"]
    np.random.set_state((kind, np.asarray(keys, np.uint32), position, has_gauss, cached))
    version, internal, gauss = plain["python"]
    random.setstate((version, tuple(internal), gauss))


def pack_optimiser(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's `state_dict` as named tensors and plain values."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for index, values in state["state"].items():
        for name, value in values.items():
            target: dict[str, Any] = tensors if isinstance(value, Tensor) else plain
            target[f"{index}.{name}"] = value
    return tensors, plain


def unpack_optimiser(
    tensors: Mapping[str, Tensor], plain: Mapping[str, Any], groups: list[dict[str, Any]]
) -> dict[str, Any]:
    """The `state_dict` that `pack_optimiser` took apart, with the groups of a fresh optimiser."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **plain}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": groups}


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"it needs {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free")


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise TrainingError(f"there is no checkpoint {path}")
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"checkpoint {path} cannot be read: {error}") from None
