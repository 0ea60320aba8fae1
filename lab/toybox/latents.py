"""From the trained autoencoder to standardised latents on disk."""

import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from diffusers import AutoencoderKL
from safetensors.numpy import save_file

from lab.toybox import checkpoints, dataset, export, vae
from lab.toybox.optim import MuonAdam
from lab.toybox.plan import VaePlan
from lab.toybox.workers import Worker

NAMES = ("scenes", "close_ups", "val_scenes")


def encode_all(worker: Worker, plan: VaePlan, work: Path) -> None:
    """Write `NAME.safetensors` (latents, tokens) for every rendered set, and the standardised `vae/`."""
    if all((work / f"{name}.safetensors").exists() for name in NAMES):
        return
    model = trained_vae(plan, work).to(worker.device).eval()
    for name in NAMES:
        images = np.load(work / f"{name}.npy", mmap_mode="r")
        part = dataset.encode(
            model, images[worker.rank :: worker.count], device=worker.device, bf16=plan.bf16
        )
        np.save(work / f"{name}.part{worker.rank}.npy", part)
        if worker.leads:
            print(f"encoded {name}: {len(images)} pictures", flush=True)
    if worker.count > 1:
        dist.barrier()
    if worker.leads:
        _merge(model, work, parts=worker.count)
    if worker.count > 1:
        dist.barrier()


def trained_vae(plan: VaePlan, work: Path) -> AutoencoderKL:
    """The autoencoder of the last checkpoint."""
    model = vae.build(plan)
    optimiser = MuonAdam(model.parameters(), rate=plan.rate, plain=vae.outermost(model))
    checkpoints.load(work / "vae.safetensors", modules={"vae": model}, optimiser=optimiser)
    return model


def _merge(model: AutoencoderKL, work: Path, *, parts: int) -> None:
    raw = {
        name: _interleaved([np.load(work / f"{name}.part{rank}.npy") for rank in range(parts)])
        for name in NAMES
    }
    axes = (0, 2, 3)
    mean, std = raw["scenes"].mean(axes), raw["scenes"].std(axes)
    print(f"latent means {mean.round(2)}, deviations {std.round(2)}", flush=True)
    export.standardise(model.cpu(), torch.from_numpy(mean), torch.from_numpy(std))
    model.save_pretrained(work / "vae")
    for name in NAMES:
        latents = (raw[name] - mean[:, None, None]) / std[:, None, None]
        tokens = np.load(work / f"{name}.tokens.npy")
        partial = work / f"{name}.partial"
        empty = dataset.token_ids([""])[0]
        save_file({"latents": latents.astype(np.float16), "tokens": tokens, "empty": empty}, partial)
        os.replace(partial, work / f"{name}.safetensors")
        for rank in range(parts):
            (work / f"{name}.part{rank}.npy").unlink()


def _interleaved(parts: list[np.ndarray]) -> np.ndarray:
    """Undo `images[rank::count]`."""
    whole = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), np.float32)
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = part
    return whole
