"""Training of the UNet and the text encoder on latents of rendered pictures."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.numpy import load_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from lab.toybox import checkpoints, export, tokenizer, unet
from lab.toybox.optim import MuonAdam
from lab.toybox.plan import UnetPlan
from lab.toybox.workers import Worker
from segmint.errors import TrainingError

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
        self._plan, self._spent = plan, spent
        self._now = time.process_time if plan.processor_time else time.monotonic
        self._last = self._now()

    def tick(self, *, close_up: bool) -> None:
        now = self._now()
        minutes, self._last = (now - self._last) / 60, now
        self._spent += minutes if self._plan.minutes else self._plan.close_up_cost if close_up else 1.0

    @property
    def spent(self) -> float:
        return self._spent

    @property
    def progress(self) -> float:
        return self._spent / (self._plan.minutes or self._plan.budget)


@dataclass(slots=True, kw_only=True)
class _Training:
    """What one process holds while it trains."""

    worker: Worker
    plan: UnetPlan
    work: Path
    words: CLIPTokenizer
    models: _Models
    optimiser: MuonAdam
    data: dict[str, dict[str, np.ndarray]]
    alphas: Tensor
    clock: _Clock
    step: int
    losses: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    logged_s: float = field(default_factory=time.monotonic)
    saved_s: float = field(default_factory=time.monotonic)
    exported_s: float = field(default_factory=time.monotonic)


def train(worker: Worker, plan: UnetPlan, work: Path, words: CLIPTokenizer | None = None) -> None:
    """Train to the end of the plan, from the last checkpoint if any; snapshots go to `work/pipeline`.

    Args:
        worker: One of those that train together.
        plan: Sizes, rates and lengths.
        work: Folder with latents and autoencoder.
        words: Another world's tokenizer.
    """
    training = _begin(worker, plan, work, words or tokenizer.build())
    progress = worker.share(training.clock.progress)
    while progress < 1:
        _advance(training, progress)
        progress = worker.share(training.clock.progress)
        if worker.leads:
            _log(training, progress)
            _keep(training, done=progress >= 1)


def _begin(worker: Worker, plan: UnetPlan, work: Path, words: CLIPTokenizer) -> _Training:
    torch.manual_seed(plan.seed)
    data = {name: load_file(work / f"{name}.safetensors") for name in ("close_ups", "scenes", "val_scenes")}
    models = _build(plan, words, data["scenes"]["latents"].shape[1:], worker.device)
    optimiser = MuonAdam(
        models.trained(),
        rate=plan.rate,
        plain=unet.outermost(models.unet, models.text),
        plain_rate=plan.plain_rate,
        rank=worker.rank,
        count=worker.count,
        exchange=worker.add_up,
    )
    step, spent = checkpoints.load(work / "unet.safetensors", modules=models.named(), optimiser=optimiser)
    return _Training(
        worker=worker,
        plan=plan,
        work=work,
        words=words,
        models=models,
        optimiser=optimiser,
        data=data,
        alphas=unet.scheduler().alphas_cumprod.to(worker.device),
        clock=_Clock(plan, spent=spent),
        step=step,
    )


def _advance(training: _Training, progress: float) -> None:
    """Take one step, on close-ups or on whole scenes, the same in all processes."""
    plan, models = training.plan, training.models
    training.optimiser.set_factor(plan.factor(training.step, progress))
    close_up = bool(np.random.default_rng([11, training.step]).random() < plan.close_up_share(progress))
    loss = _loss(training, training.data["close_ups" if close_up else "scenes"])
    training.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    training.worker.average_gradients(models.trained())
    training.optimiser.step()
    # Early on the average follows closely, or it would remember the random start.
    models.follow(min(plan.ema, (training.step + 1) / (training.step + 10)))
    training.losses[close_up].append(float(loss.detach()))
    training.step += 1
    training.clock.tick(close_up=close_up)


def _keep(training: _Training, *, done: bool) -> None:
    """Write a checkpoint and a snapshot when their time has come."""
    plan, models, now = training.plan, training.models, time.monotonic()
    if done or now - training.saved_s > plan.save_every_s:
        checkpoints.save(
            training.work / "unet.safetensors",
            step=training.step,
            spent=training.clock.spent,
            modules=models.named(),
            optimiser=training.optimiser,
        )
        training.saved_s = now
    if done or now - training.exported_s > plan.export_every_s:
        autoencoder = AutoencoderKL.from_pretrained(training.work / "vae")
        export.save(
            training.work / "pipeline", autoencoder, models.ema_unet, models.ema_text, words=training.words
        )
        training.exported_s = now


def _build(plan: UnetPlan, words: CLIPTokenizer, shape: tuple[int, ...], device: torch.device) -> _Models:
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


def _loss(training: _Training, data: dict[str, np.ndarray]) -> Tensor:
    """The loss of one batch; the step and the rank decide everything random in it."""
    plan, worker, alphas = training.plan, training.worker, training.alphas
    rng = np.random.default_rng([5, training.step, worker.rank])
    size = max(1, plan.batch_size // worker.count)
    picks = rng.integers(len(data["latents"]), size=size)
    latents = torch.from_numpy(data["latents"][picks].astype(np.float32)).to(worker.device)
    tokens = data["tokens"][picks, rng.integers(data["tokens"].shape[1], size=size)].astype(np.int64)
    tokens[rng.random(size) < plan.caption_dropout] = data["empty"]
    noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32)).to(worker.device)
    spread = (rng.permutation(size) + rng.random(size)) / size
    times = torch.from_numpy(spread * len(alphas)).long().to(worker.device)
    text = training.models.text(torch.from_numpy(tokens).to(worker.device)).last_hidden_state
    loss = unet.velocity_loss(training.models.unet, text, latents, noise, times, alphas=alphas, plan=plan)
    if not torch.isfinite(loss):
        raise TrainingError(
            f"toybox UNet: loss {float(loss.detach())} at step {training.step}; resume with a lower rate"
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


def _log(training: _Training, progress: float) -> None:
    plan, step = training.plan, training.step
    if step % plan.log_every == 0:
        now = time.monotonic()
        shown = " ".join(
            f"{'close' if close_up else 'full'} {np.mean(values):.4f} ({len(values)})"
            for close_up, values in training.losses.items()
            if values
        )
        step_s = (now - training.logged_s) / plan.log_every
        print(f"unet step {step} progress {progress:.3f} {shown} {step_s:.2f} s/step", flush=True)
        training.logged_s = now
        for values in training.losses.values():
            values.clear()
    if step % plan.validate_every == 0 or progress >= 1:
        own, shuffled = validate(training.models, training.data, training.alphas, plan)
        print(f"unet step {step} val loss {own:.4f} shuffled {shuffled:.4f}", flush=True)
