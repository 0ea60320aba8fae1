"""Time of minting beside plain diffusers generation, by turns: same prompts, seeds, batches, steps, dtype."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from segmint.artifacts import Generation, Image, PromptSpec
from segmint.attention import NOTHING
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.jobs.engines.local import do_all
from segmint.jobs.engines.pool import MaskPool
from segmint.jobs.work import Batch, Seen, Work, give_up
from segmint.listening import Silent
from segmint.pipeline import finish
from segmint.recipe import Recipe
from segmint.runs.files.local import LocalFiles
from segmint.runs.store import Draft

CLASSES = ("boat", "tree", "star", "car", "house", "fish", "balloon", "mushroom")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """Seconds an image (CPU time on the CPU, wall time on a GPU), medians over the turns, and their ratios to
    plain diffusers, each taken within one turn.
    """

    model: str
    device: str
    dtype: str
    batch: int
    batches: int
    """In a turn. The masks of one are made while the next is drawn."""
    steps: int
    turns: int
    method: str
    plain_s: float
    drawn_s: float
    """Drawn by segmint without capture."""
    minted_s: float
    """Drawn with capture, and masks made; not written."""
    drawn_ratio: float
    minted_ratio: float
    minted_ratio_low: float
    minted_ratio_high: float
    equal_images: bool
    """Whether minting gave the very pixels of plain diffusers, in every turn."""


def measure(
    backbone: DiffusersBackbone,
    recipe: Recipe,
    *,
    turns: int,
    batch: int,
    batches: int = 1,
    seen: Callable[[int, int], None] = lambda done, total: None,
) -> Overhead:
    """Plain diffusers, our drawing without capture, and minting, by turns, after one that only warms up.

    Args:
        backbone: the model.
        recipe: its sections `sampling`, `capture` and `masks` count.
        turns: how often each is measured.
        batch: images drawn together.
        batches: of one turn.
        seen: told after each turn, of how many.
    """
    on_cuda = backbone.info.device.startswith("cuda")
    clock = time.process_time if backbone.info.device == "cpu" else time.perf_counter
    ways: dict[str, Callable[..., list[Image]]] = {"plain": _plain, "drawn": _drawn, "minted": _minted}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    equal = True
    for turn in range(turns + 1):
        specs = [_spec(turn * batch * batches + place) for place in range(batch * batches)]
        parts = [specs[at : at + batch] for at in range(0, len(specs), batch)]
        images: dict[str, list[Image]] = {}
        for name in list(ways) if turn % 2 else list(ways)[::-1]:
            start = clock()
            images[name] = ways[name](backbone, parts, recipe)
            if on_cuda:
                torch.cuda.synchronize()
            spent[name].append((clock() - start) / len(specs))
        equal &= all(map(np.array_equal, images["plain"], images["minted"]))
        seen(turn + 1, turns + 1)
    measured = {name: seconds[1:] for name, seconds in spent.items()}
    ratios = {
        name: [one / plain for one, plain in zip(seconds, measured["plain"], strict=True)]
        for name, seconds in measured.items()
    }
    return Overhead(
        model=backbone.info.id,
        device=backbone.info.device,
        dtype=backbone.info.dtype,
        batch=batch,
        batches=batches,
        steps=recipe.sampling.steps or backbone.info.default_steps,
        turns=turns,
        method=recipe.masks.method,
        plain_s=median(measured["plain"]),
        drawn_s=median(measured["drawn"]),
        minted_s=median(measured["minted"]),
        drawn_ratio=median(ratios["drawn"]),
        minted_ratio=median(ratios["minted"]),
        minted_ratio_low=min(ratios["minted"]),
        minted_ratio_high=max(ratios["minted"]),
        equal_images=equal,
    )


def _plain(backbone: DiffusersBackbone, parts: Sequence[Sequence[PromptSpec]], recipe: Recipe) -> list[Image]:
    info, images = backbone.info, []
    for specs in parts:
        found: Any = backbone.pipe(
            [spec.prompt for spec in specs],
            num_inference_steps=recipe.sampling.steps or info.default_steps,
            guidance_scale=info.default_guidance,
            generator=[torch.Generator("cpu").manual_seed(spec.seed) for spec in specs],
            output_type="np",
        )
        images += [(pixels * 255).round().astype(np.uint8) for pixels in found.images]
    return images


def _drawn(backbone: DiffusersBackbone, parts: Sequence[Sequence[PromptSpec]], recipe: Recipe) -> list[Image]:
    outcomes = [each for specs in parts for each in backbone.generate(specs, recipe.sampling, NOTHING)]
    return [each.image for each in outcomes if not isinstance(each, Exception)]


def _minted(
    backbone: DiffusersBackbone, parts: Sequence[Sequence[PromptSpec]], recipe: Recipe
) -> list[Image]:
    """By the engine of `segmint generate`, all but the writing."""
    batches = tuple(
        Batch(specs=tuple(specs), wanted=frozenset(each.item_id for each in specs)) for specs in parts
    )
    work = Work(files=LocalFiles(Path()), recipe=recipe, batches=batches)
    images: list[Image] = []

    def masks(seen: Seen) -> Draft:
        if isinstance(seen.outcome, Generation):
            images.append(finish(seen.outcome, recipe).image)
        return give_up(seen.spec, "not written", work, backbone.info, attempts=1)

    with MaskPool(masks, lambda _: [], workers=1) as pool:
        do_all(work, backbone, Silent(), pool)
    return images


def _spec(index: int) -> PromptSpec:
    classes = tuple(dict.fromkeys((CLASSES[index % 8], CLASSES[index * 3 % 8])))
    return PromptSpec(
        item_id=f"{index:06d}",
        index=index,
        prompt=f"a {' and a '.join(classes)} on grass",
        classes=classes,
        label_ids=tuple(range(1, 1 + len(classes))),
        phrases=tuple((name,) for name in classes),
        seed=2024 + index,
    )
