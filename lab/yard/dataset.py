"""Training data in chunks on disk: renders, captions and places of close-ups; then latents. Never a mask."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from transformers import CLIPTokenizer

from lab.toybox.dataset import encode
from lab.yard import tokenizer
from segmint.toybox.yard import captions, world
from segmint.toybox.yard.world import Scene, Split

CAPTIONS_EACH = 4
"""Wordings kept for every picture."""
SETS: dict[str, tuple[bool, Split]] = {
    "val_scenes": (False, "val"),
    "scenes": (False, "train"),
    "close_ups": (True, "train"),
}
"""Rendered sets: whether of close-ups, and from which split."""
_CHUNK = 250


def render_all(folder: Path, name: str, *, count: int, workers: int) -> None:
    """Render the chunks of a set that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = [start for start in range(0, count, _CHUNK) if not _chunk(folder, name, start).exists()]
    work = partial(_render_chunk, folder, name, count)
    if workers == 1:
        for start in starts:
            work(start)
            print(f"rendered {name} {min(start + _CHUNK, count)}/{count}", flush=True)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(work, starts))


def images(folder: Path, name: str, *, count: int) -> np.ndarray:
    """The first `count` pictures of a set."""
    parts = [load_file(_chunk(folder, name, start))["images"] for start in range(0, count, _CHUNK)]
    return np.concatenate(parts)[:count]


def encode_all(
    rendered: Path, target: Path, model: AutoencoderKL, words: CLIPTokenizer, *, bf16: bool
) -> None:
    """Write latents and token ids of every rendered chunk, unless they are there already."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(rendered.glob("*.safetensors")):
        if (target / path.name).exists():
            continue
        with safe_open(path, "np") as file:
            pictures, windows = file.get_tensor("images"), file.get_tensor("windows")
            texts: list[str] = json.loads(file.metadata()["captions"])
        latents = encode(model, pictures, device=torch.device("cpu"), bf16=bf16).astype(np.float16)
        tokens = tokenizer.ids(words, texts).reshape(len(pictures), CAPTIONS_EACH, -1)
        write(target / path.name, {"latents": latents, "tokens": tokens, "windows": windows})
        print(f"encoded {path.stem}", flush=True)


def latents(folder: Path, name: str) -> dict[str, np.ndarray]:
    """All encoded chunks of a set as one: latents, tokens, windows."""
    parts = [load_file(path) for path in sorted(folder.glob(f"{name}-*.safetensors"))]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _render_chunk(folder: Path, name: str, count: int, start: int) -> None:
    close_up, split = SETS[name]
    draw: Callable[..., Scene] = world.render_close_up if close_up else world.render
    scenes = [draw(seed, split=split) for seed in range(start, min(start + _CHUNK, count))]
    texts = [text for seed, scene in enumerate(scenes, start) for text in _wordings(scene, seed)]
    arrays = {
        "images": np.stack([scene.image for scene in scenes]),
        "windows": np.asarray([(scene.window.row, scene.window.col) for scene in scenes], np.int16),
    }
    write(_chunk(folder, name, start), arrays, {"captions": json.dumps(texts)})


def _wordings(scene: Scene, seed: int) -> Iterator[str]:
    yield scene.caption
    rng = np.random.default_rng([23, seed])
    for _ in range(CAPTIONS_EACH - 1):
        yield captions.write(scene.told(), ground=scene.ground, backdrop=scene.backdrop, rng=rng)


def _chunk(folder: Path, name: str, start: int) -> Path:
    return folder / f"{name}-{start:06d}.safetensors"


def write(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file under another name, then rename it.

    Arrays are put in order first: safetensors stores memory as it lies, and a convolution's latents lie with
    their channels last.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    partial_path = path.with_suffix(f".{os.getpid()}.partial")
    save_file(whole, partial_path, metadata)
    os.replace(partial_path, path)
