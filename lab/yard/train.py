"""The whole training, stage by stage, each going on from what it finds."""

import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from lab.toybox import diffusion as unet_training
from lab.toybox import export as plain_export
from lab.toybox import latents, vae, workers
from lab.toybox.dataset import encode
from lab.yard import dataset, diffusion, tokenizer
from lab.yard.plan import Kind, Plan
from segmint.errors import TrainingError

STAGES = ("render", "vae", "encode", "train", "export")
LARGEST = 30_000_000
"""Bytes of a pipeline that may come with the package."""
_MEASURED = 500
"""Scenes whose latents decide the scale of all."""


def run(
    plan: Plan,
    work: Path,
    *,
    processes: int,
    device: str,
    stages: tuple[str, ...] = STAGES,
    kind: Kind = "transformer",
) -> Path:
    """Train a model of the yard.

    Args:
        plan: Sizes, rates and lengths.
        work: Folder for renders, latents, checkpoints and snapshots; about 1.5 GB with the default plan.
        processes: One-thread processes that render; all else takes one.
        device: `cpu` or `cuda`.
        stages: Which of `STAGES` to run, in their order.
        kind: The yard's model, or the first world's UNet on the same renders, autoencoder and latents.

    Returns:
        The pipeline folder: `work/pipeline`, or `work/unet/pipeline`.

    Raises:
        TrainingError: An unknown stage, or a loss that is not finite.
    """
    if unknown := sorted(set(stages) - set(STAGES)):
        raise TrainingError(f"yard training has no stage {unknown[0]!r}; there are {', '.join(STAGES)}")
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if "render" in stages:
        dataset.render_all(work / "rendered", "scenes", count=plan.vae_scenes, workers=processes)
    if "vae" in stages and not (work / "vae").is_dir():
        _train_vae(plan, work, device)
    if "render" in stages:
        counts = {"val_scenes": plan.val_scenes, "scenes": plan.scenes, "close_ups": plan.close_ups}
        for name, count in counts.items():
            dataset.render_all(work / "rendered", name, count=count, workers=processes)
    if "encode" in stages:
        words = tokenizer.build(plan.transformer.merges)
        model = AutoencoderKL.from_pretrained(work / "vae")
        dataset.encode_all(work / "rendered", work / "latents", model, words, bf16=plan.vae.bf16)
    if kind == "unet":
        if "train" in stages:
            _train_unet(plan, work, device)
        return work / "unet" / "pipeline"
    if "train" in stages:
        workers.launch(diffusion.train, (plan.transformer, work), count=1, device=device)
    if "export" in stages:
        write_pipeline(plan, work)
    return work / "pipeline"


def write_pipeline(plan: Plan, work: Path) -> Path:
    """Write `work/pipeline` from the last checkpoint.

    Raises:
        TrainingError: There is none, or the pipeline is too large to ship.
    """
    if not (work / "transformer.safetensors").is_file():
        raise TrainingError(f"{work} holds no transformer.safetensors: nothing to export; train first")
    worker = workers.Worker(rank=0, count=1, device=torch.device("cpu"))
    diffusion.write_pipeline(diffusion.begin(worker, plan.transformer, work))
    size = sum(path.stat().st_size for path in (work / "pipeline").rglob("*") if path.is_file())
    if size > LARGEST:
        raise TrainingError(
            f"{work / 'pipeline'} has {size / 1e6:.1f} MB; expected {LARGEST / 1e6:g} at most"
        )
    return work / "pipeline"


def _train_unet(plan: Plan, work: Path, device: str) -> None:
    """Train the first world's UNet and text encoder on the yard's latents and tokens."""
    folder, words = work / "unet", tokenizer.build(plan.transformer.merges)
    if not (folder / "vae").is_dir():
        folder.mkdir(exist_ok=True)
        empty = tokenizer.ids(words, [""])[0]
        for name in dataset.SETS:
            kept = dataset.latents(work / "latents", name)
            arrays = {"latents": kept["latents"], "tokens": kept["tokens"], "empty": empty}
            dataset.write(folder / f"{name}.safetensors", arrays)
        shutil.copytree(work / "vae", folder / "vae")
    workers.launch(unet_training.train, (plan.unet, folder, words), count=1, device=device)


def _train_vae(plan: Plan, work: Path, device: str) -> None:
    """Train the autoencoder on the first scenes, then scale its latents to mean 0 and deviation 1."""
    folder = work / "autoencoder"
    folder.mkdir(exist_ok=True)
    scenes = dataset.images(work / "rendered", "scenes", count=plan.vae_scenes)
    np.save(folder / "scenes.npy", scenes)
    workers.launch(vae.train, (plan.vae, folder), count=1, device=device)
    model = latents.trained_vae(plan.vae, folder).eval()
    raw = encode(model, scenes[:_MEASURED], device=torch.device("cpu"), bf16=plan.vae.bf16)
    mean, std = raw.mean((0, 2, 3)), raw.std((0, 2, 3))
    print(f"latent means {mean.round(2)}, deviations {std.round(2)}", flush=True)
    plain_export.standardise(model, torch.from_numpy(mean), torch.from_numpy(std))
    model.register_to_config(shift_factor=0.0)
    model.save_pretrained(work / "vae.partial")
    (work / "vae.partial").rename(work / "vae")
