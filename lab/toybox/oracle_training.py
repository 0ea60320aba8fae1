"""Training of the oracle on renders with exact masks, disturbed in the ways that generated pictures are."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float, Int, UInt8
from safetensors.numpy import load_file as load_numpy
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from lab.toybox import checkpoints
from lab.toybox.optim import MuonAdam
from lab.toybox.plan import OraclePlan, decay
from segmint.scores import confusion, score
from segmint.toybox import oracle
from segmint.toybox.worlds import Split, World


def train(plan: OraclePlan, *, world: World, autoencoder: AutoencoderKL | None, target: Path) -> float:
    """Train an oracle, or go on with an interrupted training, and write its weights in half precision.

    Args:
        plan: Sizes and rates.
        world: What is rendered.
        autoencoder: Sends part of the pictures through latents and back, as sampling does; None: skip that.
        target: The safetensors file to write; renders and the state of the training are kept beside it.

    Returns:
        Mean IoU on held-out renders.
    """
    torch.manual_seed(plan.seed)
    kept = target.with_suffix(".data.safetensors")
    if not kept.is_file():
        _keep_data(kept, plan, world, autoencoder)
    labels = ("background", *world.classes)
    model = oracle.Oracle(len(labels))
    _fit(model, load_numpy(kept), plan, state=target.with_suffix(".state.safetensors"))
    _write(model, target)
    held_out, exact = rendered(world, plan.val_scenes, start=0, split="val")
    found = confusion(exact, oracle.predict(oracle.load(target), held_out), count=len(labels))
    scores = score(found, label_names=labels)
    print("oracle IoU", {name: round(iou or 0.0, 3) for name, iou in zip(labels, scores.iou, strict=True)})
    return scores.mean_iou or 0.0


def _fit(model: oracle.Oracle, data: dict[str, np.ndarray], plan: OraclePlan, *, state: Path) -> None:
    """Train to the end of the plan, from the kept state if any."""
    optimiser = MuonAdam(
        model.parameters(), rate=plan.rate, plain=[*model.downs[0].parameters(), *model.scores.parameters()]
    )
    first, _ = checkpoints.load(state, modules={"oracle": model}, optimiser=optimiser)
    total = 0.0
    for step, (batch, truth) in enumerate(_batches(data, plan, first=first), start=first):
        optimiser.set_factor(min(1.0, (step + 1) / 30) * decay(step / plan.steps, start=plan.decay_from))
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.bf16):
            scores = model(batch)
        loss = functional.cross_entropy(scores.float(), truth)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += float(loss.detach())
        if (step + 1) % plan.log_every == 0:
            print(f"oracle step {step + 1}/{plan.steps} loss {total / plan.log_every:.4f}", flush=True)
            total = 0.0
            checkpoints.save(state, step=step + 1, modules={"oracle": model}, optimiser=optimiser)


def _keep_data(path: Path, plan: OraclePlan, world: World, autoencoder: AutoencoderKL | None) -> None:
    images, masks = rendered(world, plan.scenes, start=plan.first_seed, split="train")
    recoded = images if autoencoder is None else through_latents(autoencoder, images[: plan.recoded])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    # safetensors stores memory as it lies, and decoded pictures lie with their channels first.
    data = {"images": images, "masks": masks, "recoded": np.ascontiguousarray(recoded)}
    save_numpy(data, partial)
    os.replace(partial, path)


def rendered(
    world: World, count: int, *, start: int, split: Split
) -> tuple[UInt8[np.ndarray, "picture row col 3"], UInt8[np.ndarray, "picture row col"]]:
    """Scenes and their masks."""
    scenes = [world.render(seed, split=split) for seed in range(start, start + count)]
    return np.stack([scene.image for scene in scenes]), np.stack([scene.mask for scene in scenes])


@torch.no_grad()
def through_latents(
    autoencoder: AutoencoderKL, images: UInt8[np.ndarray, "picture row col 3"]
) -> UInt8[np.ndarray, "picture row col 3"]:
    """Pictures encoded, disturbed a little and decoded."""
    generator, out = torch.Generator().manual_seed(4), []
    for start in range(0, len(images), 16):
        batch = torch.from_numpy(images[start : start + 16]).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = autoencoder.encode(batch).latent_dist.mean
        strength = 0.3 * torch.rand(len(latents), 1, 1, 1, generator=generator)
        latents = latents + latents.std() * strength * torch.randn(latents.shape, generator=generator)
        decoded = autoencoder.decode(latents).sample
        out.append(((decoded.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(out)


def _batches(
    data: dict[str, np.ndarray], plan: OraclePlan, *, first: int
) -> Iterator[tuple[Float[Tensor, "batch 3 row col"], Int[Tensor, "batch row col"]]]:
    for step in range(first, plan.steps):
        rng = np.random.default_rng([13, step])
        again = rng.random() < plan.recoded_share
        source = data["recoded" if again else "images"]
        picks = rng.integers(len(source), size=plan.batch_size)
        batch = torch.from_numpy(source[picks]).permute(0, 3, 1, 2).float() / 127.5 - 1
        yield disturbed(batch, torch.from_numpy(data["masks"][picks].astype(np.int64)), rng)


def disturbed(
    images: Float[Tensor, "batch 3 row col"], masks: Int[Tensor, "batch row col"], rng: np.random.Generator
) -> tuple[Float[Tensor, "batch 3 row col"], Int[Tensor, "batch row col"]]:
    """Warp pictures and masks alike; then jitter colours, blur, and add noise to some of the pictures."""
    count, _, side, _ = images.shape

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal(shape, np.float32))

    if rng.random() < 0.6:
        grid = functional.affine_grid(
            torch.eye(2, 3).repeat(count, 1, 1), [count, 1, side, side], align_corners=False
        )
        bend = functional.interpolate(
            normal(count, 2, 5, 5) * 0.06, size=(side, side), mode="bicubic", align_corners=True
        )
        grid = grid * torch.exp(normal(count, 1, 1, 1) * 0.12) + bend.permute(0, 2, 3, 1)
        images = functional.grid_sample(
            images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        moved = functional.grid_sample(
            masks[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
        )
        masks = moved[:, 0].long()
    images = images * torch.exp(normal(count, 3, 1, 1) * 0.08) + normal(count, 3, 1, 1) * 0.08
    if rng.random() < 0.3:
        images = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    if rng.random() < 0.5:
        images = images + normal(*images.shape) * float(rng.uniform(0, 0.1))
    return images.clamp(-1, 1), masks


def _write(model: oracle.Oracle, target: Path) -> None:
    partial = target.with_suffix(".partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.half().contiguous() for key, value in model.state_dict().items()}, partial)
    os.replace(partial, target)
    target.chmod(0o644)
