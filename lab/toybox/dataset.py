"""Training data as arrays on disk: rendered pictures, token ids of their captions, latents. Never a mask."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float32, Int16, UInt8

from lab.toybox import tokenizer
from segmint.toybox import captions, world
from segmint.toybox.world import Scene, Split

CAPTIONS_EACH = 4
"""Wordings kept for every picture."""
_CHUNK = 250
_ENCODE_BATCH = 16


def render_all(folder: Path, name: str, *, count: int, close_up: bool, split: Split, workers: int) -> None:
    """Render `count` pictures to `NAME.npy` (RGB) and `NAME.tokens.npy`, unless they are there already."""
    if (folder / f"{name}.tokens.npy").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, count, _CHUNK)
    work = partial(_render_chunk, count=count, close_up=close_up, split=split)
    if workers == 1:
        parts = [work(start) for start in starts]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(work, starts))
    texts = [text for _, chunk in parts for text in chunk]
    _write(folder / f"{name}.npy", np.concatenate([images for images, _ in parts]))
    _write(folder / f"{name}.tokens.npy", token_ids(texts).reshape(count, CAPTIONS_EACH, -1))


def token_ids(texts: list[str]) -> Int16[np.ndarray, "text token"]:
    """Token ids, padded to the model's length."""
    encoded = tokenizer.build()(texts, padding="max_length", truncation=True, max_length=tokenizer.MAX_TOKENS)
    return np.asarray(encoded["input_ids"], np.int16)


@torch.no_grad()
def encode(
    model: AutoencoderKL, images: UInt8[np.ndarray, "picture row col 3"], *, device: torch.device, bf16: bool
) -> Float32[np.ndarray, "picture 4 grid_h grid_w"]:
    """The means of the latents of many pictures."""
    out = []
    for start in range(0, len(images), _ENCODE_BATCH):
        batch = torch.from_numpy(np.array(images[start : start + _ENCODE_BATCH])).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            posterior = model.encode(batch.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist
        out.append(posterior.mean.float().cpu().numpy())
    return np.concatenate(out)


def _render_chunk(
    start: int, *, count: int, close_up: bool, split: Split
) -> tuple[UInt8[np.ndarray, "picture row col 3"], list[str]]:
    draw: Callable[..., Scene] = world.render_close_up if close_up else world.render
    images, texts = [], []
    for seed in range(start, min(start + _CHUNK, count)):
        scene = draw(seed, split=split)
        images.append(scene.image)
        texts.extend(_wordings(scene, seed))
    return np.stack(images), texts


def _wordings(scene: Scene, seed: int) -> list[str]:
    rng = np.random.default_rng([3, seed])
    things = list(zip(scene.classes, scene.colours, strict=True))
    more = [captions.write(things, ground=scene.ground, rng=rng) for _ in range(CAPTIONS_EACH - 1)]
    return [scene.caption, *more]


def _write(path: Path, array: np.ndarray) -> None:
    partial_path = path.with_suffix(".partial.npy")
    np.save(partial_path, array)
    os.replace(partial_path, path)
