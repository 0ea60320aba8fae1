"""Every number of the toybox training, with the reasons."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class VaePlan:
    """The autoencoder and its training."""

    channels: tuple[int, ...] = (32, 48, 64)
    layers: int = 1
    latent_channels: int = 4
    norm_groups: int = 16
    sample_px: int = 128
    crop_px: int = 64
    batch_size: int = 16
    """Crops a step, over all processes."""
    steps: int = 4000
    rate: float = 2e-3
    warmup_steps: int = 50
    decay_from: float = 0.5
    """Share of the steps after which the rate falls to 0, in a straight line."""
    whole_from: float = 0.75
    """Share of the steps after which every other step trains on whole scenes, fewer at a time: the group
    norms see other statistics there than in crops."""
    edge_weight: float = 0.5
    kl_weight: float = 3e-4
    bf16: bool = True
    seed: int = 1
    log_every: int = 50
    save_every: int = 500

    def factor(self, step: int) -> float:
        """Learning rate of a step as a share of the full rate."""
        return min(1.0, (step + 1) / self.warmup_steps) * decay(step / self.steps, start=self.decay_from)


def decay(progress: float, *, start: float) -> float:
    """1 up to `start`, then a straight line to 0 at progress 1."""
    return min(1.0, max(0.0, (1 - progress) / (1 - start)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One part of the UNet's curriculum."""

    until: float
    """Progress (0 to 1) at which the phase ends."""
    close_ups: float
    """Share of the steps that train on close-ups instead of whole scenes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnetPlan:
    """The UNet, the text encoder and their training.

    Shapes are learnt on cheap close-ups, arrangement on whole scenes. The rate falls to 0 on whole
    scenes; without that, things double.
    """

    channels: tuple[int, ...] = (64, 96, 160)
    heads: tuple[int, ...] = (4, 6, 8)
    layers: int = 1
    norm_groups: int = 16
    text_width: int = 128
    text_layers: int = 0
    """No transformer layer: each token says only its own word, so that its attention is its own."""
    batch_size: int = 32
    """Latents a step, over all processes."""
    rate: float = 1e-3
    plain_rate: float = 1e-3
    """Rate of vectors, embeddings and the outermost layers, which train with Adam."""
    warmup_steps: int = 40
    phases: tuple[Phase, ...] = (
        Phase(until=0.06, close_ups=0.0),
        Phase(until=0.54, close_ups=7 / 8),
        Phase(until=0.68, close_ups=2 / 3),
        Phase(until=1.0, close_ups=0.0),
    )
    decay_from: float = 0.68
    """Progress after which the rate falls to 0, in a straight line."""
    budget: float = 2600.0
    """Length of the training in whole-scene steps; a close-up step counts `close_up_cost`."""
    close_up_cost: float = 0.27
    minutes: float | None = None
    """Length of the training in minutes instead."""
    processor_time: bool = False
    """Whether these are minutes of this process's processor time."""
    caption_dropout: float = 0.1
    snr_cap: float = 5.0
    """Loss weight (min(SNR, cap) + 1) / (SNR + 1) of the velocity."""
    ema: float = 0.997
    bf16: bool = True
    seed: int = 2
    log_every: int = 25
    validate_every: int = 200
    save_every_s: float = 200.0
    export_every_s: float = 480.0

    def factor(self, step: int, progress: float) -> float:
        """Learning rate of a step as a share of the full rate."""
        return min(1.0, (step + 1) / self.warmup_steps) * decay(progress, start=self.decay_from)

    def close_up_share(self, progress: float) -> float:
        """Share of close-ups at a point of the training."""
        return next((phase.close_ups for phase in self.phases if progress < phase.until), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OraclePlan:
    """The oracle's training. Only here do masks enter, and only to judge."""

    scenes: int = 6000
    first_seed: int = 1_000_000
    """First training seed: scenes that the generator never saw."""
    val_scenes: int = 300
    recoded: int = 1500
    """How many of the scenes are also sent through the autoencoder."""
    recoded_share: float = 0.35
    """Share of the batches that are such scenes."""
    batch_size: int = 16
    steps: int = 2500
    rate: float = 2e-3
    decay_from: float = 0.3
    bf16: bool = True
    seed: int = 3
    log_every: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole training: how much is rendered, the autoencoder, the UNet, the judge."""

    scenes: int = 14_000
    close_ups: int = 40_000
    val_scenes: int = 512
    vae: VaePlan = field(default_factory=VaePlan)
    unet: UnetPlan = field(default_factory=UnetPlan)
    oracle: OraclePlan = field(default_factory=OraclePlan)
