"""The toybox as a benchmark: renders with exact masks, and prompts whose pictures the oracle judges."""

from collections.abc import Iterator

from segmint.artifacts import Image, Mask, PromptSpec
from segmint.benchmark.samples import Sample
from segmint.errors import ConfigError
from segmint.plan import presets
from segmint.plan.prompts import planning
from segmint.plan.prompts.templates import load_templates
from segmint.plan.settings import PromptSettings
from segmint.toybox import oracle, world
from segmint.toybox.world import Split

SEED_STRIDE = 10_000
"""Seed s of the benchmark owns scenes and noise s · SEED_STRIDE to (s + 1) · SEED_STRIDE − 1 of its split."""
PROMPT_SEEDS = {"val": 1_000_000_000, "test": 2_000_000_000}
"""Where the noise of generated images begins; no two splits share an image."""
MOST_SEEDS = world.SEEDS_PER_SPLIT // SEED_STRIDE


def samples(split: Split, *, seed: int, count: int) -> Iterator[Sample]:
    """Rendered scenes with exact masks; the classes of each are those that it shows.

    Raises:
        ConfigError: the seed or the count is out of range.
    """
    first = first_seed(seed, count)
    for number in range(first, first + count):
        scene = world.render(number, split=split)
        yield Sample(item_id=f"{split}-{number}", image=scene.image, truth=scene.mask, classes=scene.classes)


def specs(split: Split, *, seed: int, count: int) -> list[PromptSpec]:
    """Planned prompts of one to three classes, as `segmint generate` plans them.

    Raises:
        ConfigError: the seed or the count is out of range.
    """
    return planning.plan(
        presets.vocabulary("toybox"),
        PromptSettings(templates="toybox"),
        count=count,
        seed=PROMPT_SEEDS[split] + first_seed(seed, count),
        templates=load_templates("toybox"),
    )


def judge(image: Image) -> Mask:
    """The oracle segmenter's mask of a picture: what stands for the truth where no renderer knows it.

    Raises:
        ModelError: the oracle's weights are missing.
    """
    found: Mask = oracle.judge(image[None])[0]
    return found


def first_seed(seed: int, count: int) -> int:
    """The first of the scenes that a benchmark seed owns.

    Raises:
        ConfigError: the seed or the count is out of range.
    """
    if not 0 <= seed < MOST_SEEDS:
        raise ConfigError(f"--seeds holds {seed}; expected numbers from 0 to {MOST_SEEDS - 1}")
    if not 1 <= count <= SEED_STRIDE:
        raise ConfigError(f"--count is {count}; expected 1 to {SEED_STRIDE} images a seed")
    return seed * SEED_STRIDE
