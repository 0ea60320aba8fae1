"""Training state on disk: one safetensors file, written under a temporary name and renamed. No pickle."""

import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lab.toybox.optim import MuonAdam
from segmint.errors import TrainingError


def save(
    path: Path, *, step: int, modules: dict[str, nn.Module], optimiser: MuonAdam, spent: float = 0.0
) -> None:
    """Write step, weights and optimiser state so that training can go on from here."""
    tensors = {
        f"{name}/{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    tensors |= {
        f"optimiser/{index}/{key}": value
        for index, p in enumerate(_parameters(optimiser))
        for key, value in optimiser.state[p].items()
    }
    partial = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()
    }
    save_file(whole, partial, {"step": str(step), "spent": repr(spent)})
    os.replace(partial, path)


def load(path: Path, *, modules: dict[str, nn.Module], optimiser: MuonAdam) -> tuple[int, float]:
    """Put a saved state back.

    Returns:
        Steps taken and budget spent; zeros, with nothing changed, where there is no file yet.

    Raises:
        TrainingError: The file was written by a model of another shape.
    """
    if not path.exists():
        return 0, 0.0
    with safe_open(path, "pt") as file:
        step, spent = int(file.metadata()["step"]), float(file.metadata().get("spent", 0))
        tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    try:
        for name, module in modules.items():
            prefix = f"{name}/"
            module.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    except RuntimeError as error:
        raise TrainingError(
            f"{path}: the checkpoint belongs to a model of another shape; remove it"
        ) from error
    for index, p in enumerate(_parameters(optimiser)):
        prefix = f"optimiser/{index}/"
        state = {k[len(prefix) :]: v.to(p.device) for k, v in tensors.items() if k.startswith(prefix)}
        optimiser.state[p] = {k: v.cpu() if k == "count" else v for k, v in state.items()}
    return step, spent


def _parameters(optimiser: MuonAdam) -> list[torch.nn.Parameter]:
    return [p for group in optimiser.param_groups for p in group["params"]]
