"""The toybox autoencoder: 128 × 128 pixels to 32 × 32 latents of four channels."""

import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from torch import Tensor

from lab.toybox import checkpoints
from lab.toybox.optim import MuonAdam
from lab.toybox.plan import VaePlan
from lab.toybox.workers import Worker


def build(plan: VaePlan) -> AutoencoderKL:
    """A fresh autoencoder."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(plan.channels),
        up_block_types=("UpDecoderBlock2D",) * len(plan.channels),
        block_out_channels=plan.channels,
        layers_per_block=plan.layers,
        latent_channels=plan.latent_channels,
        norm_num_groups=plan.norm_groups,
        mid_block_add_attention=False,
        sample_size=plan.sample_px,
    )


def loss_of(
    model: AutoencoderKL, images: Float[Tensor, "batch 3 row col"], plan: VaePlan, *, bf16: bool
) -> tuple[Tensor, Tensor]:
    """Training loss, and the mean squared error for the log. L1, L1 of the gradients, and a little KL."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        posterior = model.encode(images).latent_dist
        output = model.decode(posterior.sample()).sample
    output, mean, logvar = output.float(), posterior.mean.float(), posterior.logvar.float()
    edges = sum((torch.diff(output, dim=axis) - torch.diff(images, dim=axis)).abs().mean() for axis in (2, 3))
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    loss = (output - images).abs().mean() + plan.edge_weight * edges + plan.kl_weight * kl
    return loss, ((output - images) ** 2).mean()


def crops(
    scenes: np.ndarray, plan: VaePlan, *, step: int, worker: Worker
) -> Float[Tensor, "batch 3 row col"]:
    """A batch of random crops, mirrored half of the time, in [-1, 1]; the step and the rank decide which."""
    rng = np.random.default_rng([7, step, worker.rank])
    whole = step >= plan.whole_from * plan.steps and step % 2 == 0
    side = scenes.shape[1] if whole else plan.crop_px
    size = max(1, plan.batch_size * plan.crop_px**2 // side**2 // worker.count)
    places = rng.integers(0, scenes.shape[1] - side + 1, (size, 2))
    picked = [
        scenes[i, r : r + side, c : c + side]
        for i, (r, c) in zip(rng.integers(len(scenes), size=size), places, strict=True)
    ]
    flipped = [p[:, ::-1] if rng.random() < 0.5 else p for p in picked]
    batch = torch.from_numpy(np.ascontiguousarray(np.stack(flipped))).to(worker.device)
    return batch.permute(0, 3, 1, 2).float() / 127.5 - 1


def train(worker: Worker, plan: VaePlan, work: Path) -> None:
    """Train to the end of the plan, from the last checkpoint if there is one."""
    torch.manual_seed(plan.seed)
    scenes = np.load(work / "scenes.npy", mmap_mode="r")
    model = build(plan).to(worker.device)
    optimiser = MuonAdam(model.parameters(), rate=plan.rate, plain=outermost(model))
    state = work / "vae.safetensors"
    first, _ = checkpoints.load(state, modules={"vae": model}, optimiser=optimiser)
    torch.manual_seed(plan.seed + 1000 * worker.rank + first)
    started, errors = time.monotonic(), []
    for step in range(first, plan.steps):
        optimiser.set_factor(plan.factor(step))
        loss, error = loss_of(model, crops(scenes, plan, step=step, worker=worker), plan, bf16=plan.bf16)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        worker.average_gradients(model.parameters())
        optimiser.step()
        errors.append(float(error.detach()))
        done = step + 1
        if worker.leads and (done % plan.log_every == 0 or done == plan.steps):
            decibel = 10 * np.log10(4 / np.mean(errors))
            rate = (done - first) / (time.monotonic() - started)
            print(
                f"vae step {done}/{plan.steps} loss {float(loss.detach()):.4f} "
                f"psnr {decibel:.2f} dB {rate:.2f} steps/s",
                flush=True,
            )
            errors = []
        if worker.leads and (done % plan.save_every == 0 or done == plan.steps):
            checkpoints.save(state, step=done, modules={"vae": model}, optimiser=optimiser)


def outermost(model: AutoencoderKL) -> list[torch.nn.Parameter]:
    """First and last layers, which touch pixels or latents: these train with Adam."""
    ends = (model.encoder.conv_in, model.encoder.conv_out, model.decoder.conv_in, model.decoder.conv_out)
    return [p for layer in (*ends, model.quant_conv, model.post_quant_conv) for p in layer.parameters()]
