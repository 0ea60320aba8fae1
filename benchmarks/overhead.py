"""Cost of capture and masks beside plain diffusers generation: `python -m benchmarks.overhead --model
toybox`.

Both draw the same prompts with the same seeds, batch, steps and dtype, by turns in one process, on one
thread.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from segmint.artifacts import PromptSpec
from segmint.backbone.base import NOTHING
from segmint.backbone.diffusion import DiffusersBackbone
from segmint.backbone.loading import describe, load
from segmint.backbone.settings import ModelSettings
from segmint.config import Recipe
from segmint.pipeline import mint

CLASSES = ("boat", "tree", "star", "car", "house", "fish", "balloon", "mushroom")
RANDOM = {"sd21-random": "build_sd21", "sdxl-random": "build_sdxl"}
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Seconds an image (CPU; wall time on an accelerator), medians over the turns, and ratios to plain
    diffusers.
    """

    model: str
    device: str
    dtype: str
    batch: int
    steps: int
    turns: int
    method: str
    plain_s: float
    drawn_s: float
    minted_s: float
    drawn_ratio: float
    minted_ratio: float
    minted_ratio_low: float
    minted_ratio_high: float
    equal_images: bool
    """Whether drawing with capture gave the very pixels of plain diffusers, in every turn."""


def measure(backbone: DiffusersBackbone, recipe: Recipe, *, turns: int, batch: int) -> Result:
    """Plain diffusers, our drawing without capture, and minting, by turns."""
    clock = time.perf_counter if backbone.info.device.startswith("cuda") else time.process_time
    spent: dict[str, list[float]] = {"plain": [], "drawn": [], "minted": []}
    equal = True
    for turn in range(-1, turns):  # turn -1 warms up
        specs = [_spec(turn * batch + place, recipe.sampling.seed) for place in range(batch)]
        work: dict[str, Callable[[], Any]] = {
            "plain": lambda specs=specs: _plain(backbone, specs, recipe),
            "drawn": lambda specs=specs: backbone.generate(specs, recipe.sampling, NOTHING),
            "minted": lambda specs=specs: mint(backbone, specs, recipe),
        }
        order = list(work) if turn % 2 else list(work)[::-1]
        images = {}
        for name in order:
            start = clock()
            images[name] = work[name]()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn >= 0:
                spent[name].append((clock() - start) / batch)
        for pixels, item in zip(images["plain"], images["minted"], strict=True):
            equal &= bool(((pixels * 255).round().astype("uint8") == item.image).all())
    ratios = {
        name: [one / plain for one, plain in zip(spent[name], spent["plain"], strict=True)] for name in spent
    }
    return Result(
        model=backbone.info.id,
        device=backbone.info.device,
        dtype=backbone.info.dtype,
        batch=batch,
        steps=recipe.sampling.steps or backbone.info.default_steps,
        turns=turns,
        method=recipe.masks.method,
        plain_s=median(spent["plain"]),
        drawn_s=median(spent["drawn"]),
        minted_s=median(spent["minted"]),
        drawn_ratio=median(ratios["drawn"]),
        minted_ratio=median(ratios["minted"]),
        minted_ratio_low=min(ratios["minted"]),
        minted_ratio_high=max(ratios["minted"]),
        equal_images=equal,
    )


def table(result: Result) -> Table:
    """The result for a terminal."""
    title = f"{result.model}, {result.device} {result.dtype}, {result.steps} steps, batches of {result.batch}"
    out = Table("", "s an image", "× plain", title=title)
    out.add_row("plain diffusers", f"{result.plain_s:.3f}", "1")
    out.add_row("segmint, images alone", f"{result.drawn_s:.3f}", f"{result.drawn_ratio:.3f}")
    spread = f"{result.minted_ratio_low:.3f}–{result.minted_ratio_high:.3f}"
    out.add_row(
        f"with masks ({result.method})", f"{result.minted_s:.3f}", f"{result.minted_ratio:.3f} ({spread})"
    )
    return out


def main() -> None:
    """Print the table, and write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", default="toybox", help=f"toybox, a folder, a hub id, or {', '.join(RANDOM)}"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=sorted(DTYPES))
    parser.add_argument("--method", default="pcc")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the model's)")
    parser.add_argument("--batch", type=int, default=4, help="images together (default 4)")
    parser.add_argument("--turns", type=int, default=5, help="measured turns (default 5)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe().merged({"sampling.steps": arguments.steps, "masks.method": arguments.method})
    with threadpool_limits(1):
        backbone = _backbone(arguments.model, arguments.device, arguments.dtype)
        result = measure(backbone, recipe, turns=arguments.turns, batch=arguments.batch)
    Console(width=100).print(table(result))
    print(json.dumps(asdict(result)))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")


def _backbone(model: str, device: str, dtype: str) -> DiffusersBackbone:
    if model not in RANDOM:
        return load(ModelSettings(id=model, dtype=dtype), device)  # type: ignore[arg-type]
    from benchmarks import random_models

    pipe = getattr(random_models, RANDOM[model])(DTYPES[dtype]).to(device)
    pipe.set_progress_bar_config(disable=True)
    info = describe(pipe, ModelSettings(id=model), Path(), torch.device(device))
    return DiffusersBackbone(pipe=pipe, info=info)


def _plain(backbone: DiffusersBackbone, specs: list[PromptSpec], recipe: Recipe) -> Any:
    return backbone.pipe(
        [spec.prompt for spec in specs],
        negative_prompt=None,
        num_inference_steps=recipe.sampling.steps or backbone.info.default_steps,
        guidance_scale=backbone.info.default_guidance,
        generator=[torch.Generator("cpu").manual_seed(spec.seed) for spec in specs],
        output_type="np",
    ).images


def _spec(index: int, seed: int) -> PromptSpec:
    classes = tuple(dict.fromkeys((CLASSES[index % 8], CLASSES[index * 3 % 8])))
    return PromptSpec(
        item_id=f"{index:06d}",
        index=max(index, 0),
        prompt=f"a {' and a '.join(classes)} on grass",
        classes=classes,
        label_ids=tuple(range(1, 1 + len(classes))),
        phrases=tuple((name,) for name in classes),
        seed=seed + index,
    )


if __name__ == "__main__":
    main()
