"""Training of the UNet and the text encoder on latents of rendered pictures."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.numpy import load_file
from torch import Tensor, nn
from transformers import CLIPTextModel

from segmint.errors import TrainingError
from segmint.toybox import checkpoints, export, tokenizer, unet
from segmint.toybox.optim import MuonAdam
from segmint.toybox.plan import UnetPlan
from segmint.toybox.workers import Worker

_VAL_LATENTS = 64
_VAL_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    unet: UNet2DConditionModel
    text: CLIPTextModel
    ema_unet: UNet2DConditionModel
    ema_text: CLIPTextModel

    def trained(self) -> list[nn.Parameter]:
        return [*self.unet.parameters(), *self.text.parameters()]

    def named(self) -> dict[str, nn.Module]:
        return {"unet": self.unet, "text": self.text, "ema_unet": self.ema_unet, "ema_text": self.ema_text}

    @torch.no_grad()
    def follow(self, share: float) -> None:
        """Move the averaged copies towards the trained weights."""
        averaged = [*self.ema_unet.parameters(), *self.ema_text.parameters()]
        torch._foreach_lerp_(averaged, list[Tensor](self.trained()), 1 - share)


class _Clock:
    """How far the training is: 0 at its start, 1 at its end, across interruptions."""

    def __init__(self, plan: UnetPlan, *, spent: float) -> None:
        self._plan, self._spent, self._last = plan, spent, time.monotonic()

    def tick(self, *, close_up: bool) -> None:
        now = time.monotonic()
        minutes, self._last = (now - self._last) / 60, now
        self._spent += minutes if self._plan.minutes else self._plan.close_up_cost if close_up else 1.0

    @property
    def spent(self) -> float:
        return self._spent

    @property
    def progress(self) -> float:
        return self._spent / (self._plan.minutes or self._plan.budget)


def train(worker: Worker, plan: UnetPlan, work: Path) -> None:
    """Train to the end of the plan, from the last checkpoint if any; snapshots go to `work/pipeline`."""
    torch.manual_seed(plan.seed)
    data = {name: load_file(work / f"{name}.safetensors") for name in ("close_ups", "scenes", "val_scenes")}
    models = _build(plan, data["scenes"]["latents"].shape[1:], worker.device)
    optimiser = MuonAdam(
        models.trained(),
        rate=plan.rate,
        plain=unet.outermost(models.unet, models.text),
        plain_rate=plan.plain_rate,
    )
    state = work / "unet.safetensors"
    step, spent = checkpoints.load(state, modules=models.named(), optimiser=optimiser)
    clock = _Clock(plan, spent=spent)
    alphas = unet.scheduler().alphas_cumprod.to(worker.device)
    losses: dict[bool, list[float]] = {False: [], True: []}
    started, first, saved, exported = time.monotonic(), step, time.monotonic(), time.monotonic()
    progress = worker.share(clock.progress)
    while progress < 1:
        optimiser.set_factor(plan.factor(step, progress))
        close_up = np.random.default_rng([11, step]).random() < plan.close_up_share(progress)
        loss = _step(
            models, data["close_ups" if close_up else "scenes"], alphas, plan, step=step, worker=worker
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        worker.average_gradients(models.trained())
        optimiser.step()
        models.follow(min(plan.ema, (step + 1) / (step + 10)))
        losses[close_up].append(float(loss.detach()))
        step += 1
        clock.tick(close_up=close_up)
        progress = worker.share(clock.progress)
        if not worker.leads:
            continue
        if step % plan.log_every == 0:
            _log(step, progress, losses, (time.monotonic() - started) / (step - first))
        if step % plan.validate_every == 0 or progress >= 1:
            print(
                "unet step {} val loss {:.4f} shuffled {:.4f}".format(
                    step, *validate(models, data, alphas, plan)
                ),
                flush=True,
            )
        if time.monotonic() - saved > plan.save_every_s or progress >= 1:
            checkpoints.save(state, step=step, spent=clock.spent, modules=models.named(), optimiser=optimiser)
            saved = time.monotonic()
        if time.monotonic() - exported > plan.export_every_s or progress >= 1:
            autoencoder = AutoencoderKL.from_pretrained(work / "vae")
            export.save(work / "pipeline", autoencoder, models.ema_unet, models.ema_text)
            print(f"unet step {step} exported", flush=True)
            exported = time.monotonic()


def _build(plan: UnetPlan, shape: tuple[int, ...], device: torch.device) -> _Models:
    words = tokenizer.build()

    def pair() -> tuple[UNet2DConditionModel, CLIPTextModel]:
        net = unet.build(plan, latent_channels=shape[0], side=shape[-1])
        net.set_attn_processor(unet.ShortAttention())
        return net.to(device, memory_format=torch.channels_last), unet.build_text_encoder(plan, words).to(
            device
        )

    (net, text), (ema_net, ema_text) = pair(), pair()
    ema_net.load_state_dict(net.state_dict())
    ema_text.load_state_dict(text.state_dict())
    return _Models(
        unet=net, text=text, ema_unet=ema_net.requires_grad_(False), ema_text=ema_text.requires_grad_(False)
    )


def _step(
    models: _Models, data: dict[str, np.ndarray], alphas: Tensor, plan: UnetPlan, *, step: int, worker: Worker
) -> Tensor:
    """The loss of one batch; the step and the rank decide everything random in it."""
    rng = np.random.default_rng([5, step, worker.rank])
    size = max(1, plan.batch_size // worker.count)
    picks = rng.integers(len(data["latents"]), size=size)
    latents = torch.from_numpy(data["latents"][picks].astype(np.float32)).to(worker.device)
    tokens = data["tokens"][picks, rng.integers(data["tokens"].shape[1], size=size)].astype(np.int64)
    tokens[rng.random(size) < plan.caption_dropout] = data["empty"]
    noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32)).to(worker.device)
    times = (
        torch.from_numpy((rng.permutation(size) + rng.random(size)) / size * len(alphas))
        .long()
        .to(worker.device)
    )
    text = models.text(torch.from_numpy(tokens).to(worker.device)).last_hidden_state
    loss = unet.velocity_loss(models.unet, text, latents, noise, times, alphas=alphas, plan=plan)
    if not torch.isfinite(loss):
        raise TrainingError(
            f"toybox UNet: the loss is {float(loss.detach())} at step {step}; resume with a lower rate"
        )
    return loss


@torch.no_grad()
def validate(
    models: _Models, data: dict[str, dict[str, np.ndarray]], alphas: Tensor, plan: UnetPlan
) -> tuple[float, float]:
    """Loss of the averaged model on held-out scenes: with their captions, and with each other's."""
    latents, tokens = data["val_scenes"]["latents"], data["val_scenes"]["tokens"][:, 0].astype(np.int64)
    rng, device = np.random.default_rng(9), alphas.device
    sums = [0.0, 0.0]
    starts = range(0, min(_VAL_LATENTS, len(latents)), _VAL_BATCH)
    for start in starts:
        batch = torch.from_numpy(latents[start : start + _VAL_BATCH].astype(np.float32)).to(device)
        noise = torch.from_numpy(rng.standard_normal(batch.shape, np.float32)).to(device)
        times = torch.from_numpy(np.linspace(5, len(alphas) - 5, len(batch)).astype(np.int64)).to(device)
        own = tokens[start : start + len(batch)]
        for index, ids in enumerate((own, np.roll(own, 1, axis=0))):
            text = models.ema_text(torch.from_numpy(ids).to(device)).last_hidden_state
            loss = unet.velocity_loss(models.ema_unet, text, batch, noise, times, alphas=alphas, plan=plan)
            sums[index] += float(loss) / len(starts)
    return cast(tuple[float, float], tuple(sums))


def _log(step: int, progress: float, losses: dict[bool, list[float]], step_s: float) -> None:
    shown = [
        f"{'close' if key else 'full'} {np.mean(values):.4f} ({len(values)})"
        for key, values in losses.items()
        if values
    ]
    print(f"unet step {step} progress {progress:.3f} {' '.join(shown)} {step_s:.2f} s/step", flush=True)
    for values in losses.values():
        values.clear()
