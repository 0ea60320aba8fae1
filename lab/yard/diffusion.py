"""Training of the transformer and the text encoders on latents of rendered pictures."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from transformers import CLIPTokenizer

from lab.toybox import checkpoints
from lab.toybox.optim import MuonAdam
from lab.toybox.workers import Worker
from lab.yard import dataset, export, tokenizer, transformer
from lab.yard.plan import TransformerPlan
from segmint.errors import TrainingError
from segmint.toybox.yard import world

_VAL_BATCH = 32
_VAL_LATENTS = 64
Data = dict[str, np.ndarray]


class Model(nn.Module):
    """The transformer and its text encoders as one."""

    def __init__(self, plan: TransformerPlan, words: CLIPTokenizer, shape: tuple[int, ...]) -> None:
        """Build both afresh for latents of (channel, row, col)."""
        super().__init__()
        self.net = transformer.build(plan, latent_channels=shape[0], side=shape[-1])
        self.net.set_attn_processor(transformer.ShortJointAttention())
        self.first, self.second = transformer.build_encoders(plan, words)

    @property
    def encoders(self) -> transformer.Encoders:
        """Both text encoders."""
        return self.first, self.second


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    """Three copies of the weights."""

    master: Model
    """What the optimiser changes, in single precision."""
    working: Model
    """What is run forwards and backwards, in half precision on a CPU."""
    average: Model
    """Moving average of the master; this is exported."""

    def refresh(self) -> None:
        """Copy the master's weights into the working copy."""
        pairs = zip(self.working.parameters(), self.master.parameters(), strict=True)
        with torch.no_grad():
            for working, master in pairs:
                working.copy_(master)

    def hand_over(self) -> None:
        """Give the working copy's gradients to the master."""
        for working, master in zip(self.working.parameters(), self.master.parameters(), strict=True):
            master.grad = None if working.grad is None else working.grad.to(master.dtype)
            working.grad = None

    @torch.no_grad()
    def follow(self, share: float) -> None:
        """Move the average towards the master."""
        torch._foreach_lerp_(
            list[Tensor](self.average.parameters()), list[Tensor](self.master.parameters()), 1 - share
        )

    def saved(self) -> dict[str, nn.Module]:
        return {"master": self.master, "average": self.average}


@dataclass(slots=True, kw_only=True)
class _Training:
    """What a training holds."""

    plan: TransformerPlan
    work: Path
    device: torch.device
    words: CLIPTokenizer
    models: _Models
    optimiser: MuonAdam
    data: dict[str, Data]
    step: int
    spent: float
    """Minutes of processor time, all runs together."""
    losses: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    clock_s: float = field(default_factory=time.process_time)
    saved_s: float = field(default_factory=time.monotonic)
    exported_s: float = field(default_factory=time.monotonic)
    logged: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end."""
        return self.spent / self.plan.minutes

    def tick(self) -> None:
        """Count the processor time since the last call."""
        now = time.process_time()
        self.spent += (now - self.clock_s) / 60
        self.clock_s = now


def train(worker: Worker, plan: TransformerPlan, work: Path) -> None:
    """Train to the end of the plan, from the last checkpoint if any; snapshots go to `work/pipeline`."""
    training = begin(worker, plan, work)
    while training.progress < 1:
        _advance(training)
        training.tick()
        _log(training)
        _keep(training)


def begin(worker: Worker, plan: TransformerPlan, work: Path) -> _Training:
    """Build or load everything.

    Raises:
        TrainingError: The checkpoint is of another shape.
    """
    torch.manual_seed(plan.seed)
    data = {name: dataset.latents(work / "latents", name) for name in dataset.SETS}
    words = tokenizer.build(plan.merges)
    shape = data["scenes"]["latents"].shape[1:]
    master, working, average = (Model(plan, words, shape).to(worker.device) for _ in range(3))
    average.load_state_dict(master.state_dict())
    optimiser = MuonAdam(
        master.parameters(),
        rate=plan.rate,
        plain=transformer.outermost(master.net, master.encoders),
        plain_rate=plan.plain_rate,
    )
    models = _Models(master=master, working=working.to(torch.bfloat16), average=average.requires_grad_(False))
    if plan.compiled:
        for block in models.working.net.transformer_blocks:
            block.compile(dynamic=False)
    step, spent = checkpoints.load(
        work / "transformer.safetensors", modules=models.saved(), optimiser=optimiser
    )
    return _Training(
        plan=plan,
        work=work,
        device=worker.device,
        words=words,
        models=models,
        optimiser=optimiser,
        data=data,
        step=step,
        spent=spent,
    )


def _advance(training: _Training) -> None:
    """Take one step, on close-ups or on whole scenes."""
    plan, models, step = training.plan, training.models, training.step
    training.optimiser.set_factor(plan.factor(step, training.progress))
    close_up = bool(np.random.default_rng([11, step]).random() < plan.close_up_share(training.progress))
    models.refresh()
    loss = _loss(training, close_up=close_up)
    loss.backward()  # type: ignore[no-untyped-call]
    models.hand_over()
    training.optimiser.step()
    # Early on the average follows closely, or it would remember the random start.
    models.follow(min(plan.ema, (step + 1) / (step + 10)))
    training.losses[close_up].append(float(loss.detach()))
    training.step += 1


def _loss(training: _Training, *, close_up: bool) -> Tensor:
    """The loss of one batch; the step decides everything random in it."""
    plan, data = training.plan, training.data["close_ups" if close_up else "scenes"]
    size = plan.batch_close_up if close_up else plan.batch_scene
    rng = np.random.default_rng([5, training.step])
    picks = rng.integers(len(data["latents"]), size=size)
    tokens = data["tokens"][picks, rng.integers(data["tokens"].shape[1], size=size)].astype(np.int64)
    empty = tokenizer.ids(training.words, [""]).astype(np.int64)
    tokens[rng.random(size) < plan.caption_dropout] = empty
    latents = data["latents"][picks].astype(np.float32)
    spread = torch.from_numpy((rng.permutation(size) + rng.random(size)) / size)
    times = torch.sigmoid(plan.time_mean + plan.time_std * torch.special.ndtri(spread)).float()
    noise = rng.standard_normal(latents.shape, np.float32)
    text = _text(training, tokens, empty, swapped=rng.random(size) < plan.empty_padding)
    errors = transformer.velocity_errors(
        training.models.working.net,
        text,
        torch.from_numpy(latents).to(training.device),
        torch.from_numpy(noise).to(training.device),
        times=times.to(training.device),
        places=_places(training, data["windows"][picks]),
        dtype=torch.bfloat16,
    )
    loss = errors.mean()
    if not torch.isfinite(loss):
        raise TrainingError(
            f"yard transformer: loss {float(loss.detach())} at step {training.step}; resume with a lower rate"
        )
    return loss


def _text(training: _Training, tokens: np.ndarray, empty: np.ndarray, *, swapped: np.ndarray) -> Tensor:
    """Rows of captions; where swapped, what follows the words comes from the empty caption."""
    ids = torch.from_numpy(np.concatenate([tokens, empty])).to(training.device)
    rows = transformer.encode_text(training.models.working.encoders, ids)
    own, blank = rows[:-1], rows[-1:].expand_as(rows[:-1])
    end = int(training.words.eos_token_id)
    lengths = transformer.word_rows(ids[:-1], end)
    starts = torch.ones_like(lengths)
    mixed = transformer.spliced(own, blank, lengths, starts)
    return torch.where(torch.from_numpy(swapped).to(training.device)[:, None, None], mixed, own)


def _places(training: _Training, windows: np.ndarray) -> Tensor:
    """Places of windows, in patches."""
    patches = training.data["scenes"]["latents"].shape[-1] // training.plan.patch
    places = windows.astype(np.int64) * patches // world.SIDE_PX
    return torch.from_numpy(places).to(training.device)


@torch.no_grad()
def exchanges(training: _Training) -> dict[str, float]:
    """Denoising losses of the averaged model on held-out scenes, with parts of other captions exchanged.

    Returns:
        `own`: with their captions; `other`: another's; `words`: the words of another before the own
        padding; `padding`: own words before the padding of another; `blank`: own words before the
        padding of the empty caption; `none`: the empty caption.
    """
    data, model, device = training.data["val_scenes"], training.models.average, training.device
    rng = np.random.default_rng(9)
    sums: dict[str, list[float]] = {}
    for start in range(0, min(_VAL_LATENTS, len(data["latents"])), _VAL_BATCH):
        latents = torch.from_numpy(data["latents"][start : start + _VAL_BATCH].astype(np.float32)).to(device)
        noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32)).to(device)
        times = torch.linspace(0.02, 0.98, len(latents), device=device)
        ids = torch.from_numpy(data["tokens"][start : start + len(latents), 0].astype(np.int64)).to(device)
        places = torch.zeros(len(latents), 2, dtype=torch.int64, device=device)
        for name, text in _exchanged(training, model, ids).items():
            errors = transformer.velocity_errors(model.net, text, latents, noise, times=times, places=places)
            sums.setdefault(name, []).append(float(errors.mean()))
    return {name: float(np.mean(values)) for name, values in sums.items()}


def _exchanged(training: _Training, model: Model, ids: Tensor) -> dict[str, Tensor]:
    empty = torch.from_numpy(tokenizer.ids(training.words, [""]).astype(np.int64)).to(ids.device)
    own, blank = transformer.encode_text(model.encoders, ids), transformer.encode_text(model.encoders, empty)
    blank = blank.expand_as(own)
    other, length = own.roll(1, 0), transformer.word_rows(ids, int(training.words.eos_token_id))
    other_length, one = length.roll(1, 0), torch.ones_like(length)
    return {
        "own": own,
        "other": other,
        "words": transformer.spliced(other, own, other_length, length),
        "padding": transformer.spliced(own, other, length, other_length),
        "blank": transformer.spliced(own, blank, length, one),
        "none": blank,
    }


def _log(training: _Training) -> None:
    plan, step = training.plan, training.step
    if step % plan.log_every == 0:
        shown = " ".join(
            f"{'close' if close_up else 'full'} {np.mean(values):.4f} ({len(values)})"
            for close_up, values in training.losses.items()
            if values
        )
        now = (time.monotonic(), time.process_time())
        wall_s, cpu_s = ((new - old) / plan.log_every for new, old in zip(now, training.logged, strict=True))
        print(
            f"transformer step {step} progress {training.progress:.4f} {shown} "
            f"{cpu_s:.2f} cpu-s/step {wall_s:.2f} s/step",
            flush=True,
        )
        training.logged = now
        training.losses = {False: [], True: []}
    if step % plan.validate_every == 0 or training.progress >= 1:
        shown = " ".join(f"{name} {value:.4f}" for name, value in exchanges(training).items())
        print(f"transformer step {step} val {shown}", flush=True)


def _keep(training: _Training) -> None:
    """Write a checkpoint and a snapshot when their time has come."""
    plan, models, now, done = training.plan, training.models, time.monotonic(), training.progress >= 1
    if done or now - training.saved_s > plan.save_every_s:
        checkpoints.save(
            training.work / "transformer.safetensors",
            step=training.step,
            spent=training.spent,
            modules=models.saved(),
            optimiser=training.optimiser,
        )
        training.saved_s = now
    if done or now - training.exported_s > plan.export_every_s:
        write_pipeline(training)
        training.exported_s = now


def write_pipeline(training: _Training) -> None:
    """Export the averaged model as it is now."""
    export.save(
        training.work / "pipeline",
        AutoencoderKL.from_pretrained(training.work / "vae"),
        training.models.average.net,
        training.models.average.encoders,
        words=training.words,
        plan=training.plan,
    )
