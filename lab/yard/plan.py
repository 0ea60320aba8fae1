"""Every number of the training on the yard, with the reasons."""

from dataclasses import dataclass, field
from typing import Literal

from lab.toybox.plan import OraclePlan, Phase, UnetPlan, VaePlan, decay

Kind = Literal["transformer", "unet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerPlan:
    """The transformer, its text encoders and their training.

    Shapes are learnt on cheap close-ups, at their own places in the full view; arrangement on whole scenes.
    """

    layers: int = 6
    heads: int = 4
    head_width: int = 64
    """Few large heads: on a CPU element-wise work costs more than matrix products."""
    patch: int = 2
    text_widths: tuple[int, int] = (96, 32)
    text_layers: tuple[int, int] = (3, 2)
    """The pipeline reads the last layer but one, so each encoder has one layer that nobody uses."""
    pooled_width: int = 8
    """Of each encoder's pooled vector, which is always zero: it would carry the caption past the words."""
    embedding_std: float = 0.15
    merges: int = 210
    """Byte pairs of the tokenizer. Frequent words become one token, others stay two to five."""
    batch_close_up: int = 64
    batch_scene: int = 32
    rate: float = 7e-3
    """Of matrices, with Muon."""
    plain_rate: float = 2e-3
    """Of all else, with Adam."""
    warmup_steps: int = 40
    phases: tuple[Phase, ...] = (
        Phase(until=0.55, close_ups=7 / 8),
        Phase(until=0.66, close_ups=0.6),
        Phase(until=1.0, close_ups=0.0),
    )
    decay_from: float = 0.62
    """Progress after which the rates fall to 0, in a straight line."""
    minutes: float = 400.0
    """Length of the training in minutes of processor time, all runs together; docs/yard.md says why."""
    caption_dropout: float = 0.1
    empty_padding: float = 0.75
    """Share of samples whose end and padding rows are those of the empty caption, so that the words' own
    rows must be read: with causal text encoders, what follows a caption knows all of it."""
    time_mean: float = 0.3
    time_std: float = 1.0
    """Of the logit of the noise level. Source: Esser et al. 2024, 3.1."""
    ema: float = 0.998
    compiled: bool = False
    """Compile the blocks: the same losses but for rounding. A fresh compilation takes minutes."""
    seed: int = 12
    log_every: int = 25
    validate_every: int = 200
    save_every_s: float = 300.0
    export_every_s: float = 3600.0

    def factor(self, step: int, progress: float) -> float:
        """Learning rate of a step as a share of the full rate."""
        return min(1.0, (step + 1) / self.warmup_steps) * decay(progress, start=self.decay_from)

    def close_up_share(self, progress: float) -> float:
        """Share of close-ups at a point of the training."""
        return next((phase.close_ups for phase in self.phases if progress < phase.until), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole training: how much is rendered, the autoencoder, the transformer or the UNet, the judge."""

    scenes: int = 12_000
    close_ups: int = 24_000
    val_scenes: int = 500
    vae_scenes: int = 2_500
    """Scenes that are rendered first, on which the autoencoder is trained."""
    vae: VaePlan = field(
        default_factory=lambda: VaePlan(channels=(32, 48, 56), norm_groups=8, steps=4000, save_every=100)
    )
    """A little narrower than the first world's: both models together must weigh less than 30 MB."""
    transformer: TransformerPlan = field(default_factory=TransformerPlan)
    unet: UnetPlan = field(
        default_factory=lambda: UnetPlan(minutes=TransformerPlan().minutes, processor_time=True)
    )
    """The first world's model, unchanged, for as long: what differs from it is due to the world."""
    oracle: OraclePlan = field(default_factory=lambda: OraclePlan(scenes=4500, recoded=1200, steps=2800))
