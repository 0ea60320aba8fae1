"""A deterministic stand-in for a model: coloured shapes with attention that agrees with them, in
milliseconds.

For tests of the rooms above. It draws each class of an item as a disc or a rectangle in a colour of the
class's own, and derives features and token maps from the picture's colours, so `observe` works on its own
pictures and any mask method gets sensible input. It can be told to fail.
"""

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from segmint.artifacts import (
    Affinity,
    AnyImage,
    DenoisingEvidence,
    Generation,
    Grid,
    HeadFeatures,
    Image,
    PromptSpec,
    TokenMaps,
)
from segmint.attention import CaptureRequest, FeatureRequest, MapRequest, group_key
from segmint.backbone.base import Callback, ModelInfo, Outcome, image_size
from segmint.backbone.settings import ObserveSettings, SamplingSettings
from segmint.errors import ConfigError, GenerationError, PromptError

PIXELS_PER_CELL = 4
HEADS = 2
CHANNELS = 8
LAYERS = (
    ("decoder.0.self", 2),
    ("decoder.1.self", 1),
)
"""Self-attention layers and their downscaling against the largest grid."""

FAKE_INFO = ModelInfo(
    id="fake",
    revision=None,
    licence="Apache-2.0",
    family="fake",
    height_px=64,
    width_px=64,
    size_multiple_px=8,
    prediction_type="none",
    default_steps=4,
    default_guidance=7.5,
    prompt_tokens=16,
    scheduler="none",
    dtype="float32",
    device="cpu",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeBackbone:
    """A backbone without a model.

    `fail_items` and `fail_seeds` name items that come back as a GenerationError (by id, or by seed, so that a
    retry with another seed succeeds); `crash_items` raise RuntimeError out of the whole batch; `delay_s` is
    slept for each item.
    """

    info: ModelInfo = FAKE_INFO
    fail_items: frozenset[str] = frozenset()
    fail_seeds: frozenset[int] = frozenset()
    crash_items: frozenset[str] = frozenset()
    delay_s: float = 0.0

    def check(self, specs: Sequence[PromptSpec], sampling: SamplingSettings, capture: CaptureRequest) -> None:
        """As `Backbone.check`; a word is a token here."""
        _ = capture
        self._size(sampling)
        for spec in specs:
            for phrase in (phrase for phrases in spec.phrases for phrase in phrases):
                if not 0 < len(phrase.split()) <= self.info.prompt_tokens - 2:
                    raise PromptError(f"item {spec.item_id}: phrase {phrase!r} has no token or too many")

    def generate(
        self,
        specs: Sequence[PromptSpec],
        sampling: SamplingSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """As `Backbone.generate`."""
        self.check(specs, sampling, capture)
        steps = sampling.steps or self.info.default_steps
        guidance = self.info.default_guidance if sampling.guidance is None else sampling.guidance
        height, width = self._size(sampling)
        outcomes = [
            self._attend(
                draw(spec, height, width), spec, capture, halves=2 if guidance > 1 else 1, calls=steps
            )
            for spec in specs
        ]
        for step in range(steps if callback else 0):
            callback(step + 1, steps)  # type: ignore[misc]
        return outcomes

    def observe(
        self,
        images: Sequence[AnyImage],
        specs: Sequence[PromptSpec],
        observation: ObserveSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """As `Backbone.observe`."""
        if len(images) != len(specs):
            raise ConfigError(f"{len(images)} images were given for {len(specs)} items; expected as many")
        for image in images:
            self._size(SamplingSettings(height_px=image.shape[0], width_px=image.shape[1]))
        passes = len(observation.timesteps) * observation.noise_draws
        halves = 2 if observation.guidance else 1
        whole = replace(capture, features=capture.features and replace(capture.features, calls=passes))
        outcomes = [
            self._attend(image, spec, whole, halves=halves, calls=passes)
            for image, spec in zip(images, specs, strict=True)
        ]
        if callback:
            callback(passes, passes)
        return outcomes

    def _size(self, sampling: SamplingSettings) -> Grid:
        return image_size(self.info, sampling.height_px, sampling.width_px)

    def _attend(
        self, image: Image, spec: PromptSpec, capture: CaptureRequest, *, halves: int, calls: int
    ) -> Outcome:
        if self.delay_s:
            time.sleep(self.delay_s)
        if spec.item_id in self.crash_items:
            raise RuntimeError(f"item {spec.item_id}: told to crash")
        if spec.item_id in self.fail_items or spec.seed in self.fail_seeds:
            return GenerationError(f"item {spec.item_id} (seed {spec.seed}): told to fail")
        likeness = _likeness(image, spec)
        maps: dict[str, TokenMaps] = {}
        for wanted in capture.maps:
            maps |= _maps(likeness, spec, wanted, calls)
        heads = _heads(likeness, spec, capture.features, halves, calls) if capture.features else ()
        for weighed in capture.agreements:
            wanted = MapRequest(name=weighed.name, text="prompt")
            maps |= _maps(likeness / 2, spec, wanted, calls=1)
        affinity = _affinity(_near(likeness, capture.affinity.side)) if capture.affinity else None
        truncated = len(spec.prompt.split()) > self.info.prompt_tokens - 2
        return Generation(
            spec=spec,
            image=image,
            heads=heads,
            maps=maps,
            affinity=affinity,
            denoising=_denoising(likeness, spec) if capture.denoising and spec.classes else None,
            refining=_affinity(likeness) if capture.agreements else None,
            prompt_truncated=truncated,
            seconds={"sampling": self.delay_s, "capture": 0.0},
        )


def draw(spec: PromptSpec, height_px: int, width_px: int) -> Image:
    """The item's picture: one disc or rectangle a class, side by side in class order, on a speckled grey
    ground.
    """
    random = np.random.default_rng(spec.seed)
    image = np.full((height_px, width_px, 3), 96, np.uint8)
    rows, columns = np.mgrid[:height_px, :width_px]
    share = width_px / max(1, len(spec.classes))
    for place, name in enumerate(spec.classes):
        radius = min(share, height_px) * random.uniform(0.28, 0.42)
        centre_x = (place + 0.5) * share
        centre_y = random.uniform(radius, max(radius, height_px - radius))
        away = np.stack([np.abs(rows - centre_y), np.abs(columns - centre_x)])
        inside = np.hypot(*away) < radius if place % 2 == 0 else away.max(0) < radius * 0.8
        image[inside] = class_colour(name)
    speckle = random.integers(-6, 7, image.shape)
    drawn: Image = np.clip(image.astype(np.int16) + speckle, 0, 255).astype(np.uint8)
    return drawn


def class_colour(name: str) -> tuple[int, int, int]:
    """The colour in which a class is drawn: bright, far from the ground's grey, fixed by the name."""
    hue = zlib.crc32(name.encode()) % 360 / 60
    red, green, blue = (round(255 * min(1.0, max(0.0, abs((hue + turn) % 6 - 3) - 1))) for turn in (0, 4, 2))
    return red, green, blue


def _likeness(image: Image, spec: PromptSpec) -> Float32[np.ndarray, "label grid_h grid_w"]:
    """How much each cell's colour looks like the ground (row 0) and each class; sums to 1 over labels."""
    height, width = (side // PIXELS_PER_CELL for side in image.shape[:2])
    blocks = image[: height * PIXELS_PER_CELL, : width * PIXELS_PER_CELL].reshape(
        height, PIXELS_PER_CELL, width, PIXELS_PER_CELL, 3
    )
    cells = blocks.mean((1, 3))
    colours = np.array([(96, 96, 96), *(class_colour(name) for name in spec.classes)], float)
    distance = np.linalg.norm(cells[None] - colours[:, None, None], axis=-1)
    weight = np.exp(-distance / 24)
    likeness: Float32[np.ndarray, "label grid_h grid_w"] = (weight / weight.sum(0)).astype(np.float32)
    return likeness


def _denoising(likeness: np.ndarray, spec: PromptSpec) -> DenoisingEvidence:
    """Gains where the picture looks like a class; texts change what is not ground."""
    return DenoisingEvidence(
        classes=spec.classes,
        gains=(likeness[1:] - 0.5).astype(np.float32),
        change=(1 - likeness[0]).astype(np.float32),
    )


def _shrink(likeness: np.ndarray, factor: int) -> np.ndarray:
    labels, height, width = likeness.shape
    height, width = max(1, height // factor), max(1, width // factor)
    blocks = likeness[:, : height * factor, : width * factor]
    blocks = blocks.reshape(labels, height, blocks.shape[1] // height, width, blocks.shape[2] // width)
    small: np.ndarray = blocks.mean((2, 4))
    return small


def _near(likeness: np.ndarray, side: int) -> np.ndarray:
    """At the grid, of those that halve the largest, that is nearest to a side."""
    halvings = round(np.log2(max(1, min(likeness.shape[1:]) / side)))
    return _shrink(likeness, 2**halvings)


def _heads(
    likeness: np.ndarray, spec: PromptSpec, wanted: FeatureRequest, halves: int, calls: int
) -> tuple[HeadFeatures, ...]:
    count = halves if wanted.half == "both" else 1
    random = np.random.default_rng([spec.seed, 1])
    kept = min(calls, wanted.calls) if wanted.merge == "each" else 1
    suffixes = [f"@-{back}" for back in range(kept, 0, -1)] if kept > 1 else [""]
    heads = []
    for layer, factor in LAYERS:
        small = _shrink(likeness, factor)
        codes = np.random.default_rng(7).normal(size=(HEADS, len(likeness), CHANNELS))
        clean = np.einsum("lyx,hlc->hyxc", small, codes).reshape(HEADS, -1, CHANNELS)
        for suffix in suffixes:
            noisy = clean[None] + 0.02 * random.normal(size=(count, *clean.shape))
            heads.append(
                HeadFeatures(layer=layer + suffix, grid=small.shape[1:], values=noisy.astype(np.float32))
            )
    return tuple(heads)


def _maps(likeness: np.ndarray, spec: PromptSpec, wanted: MapRequest, calls: int) -> dict[str, TokenMaps]:
    small = _near(likeness, wanted.side) if wanted.side else _shrink(likeness, wanted.downscale or 1)
    phrases = tuple(dict.fromkeys(phrase for group in spec.phrases for phrase in group))
    owner = {phrase: row for row, group in enumerate(spec.phrases, start=1) for phrase in group}
    text = {"classes": " ".join(phrases), "prompt": spec.prompt, "given": wanted.given}[wanted.text]
    words = text.split()
    rows = {phrase: _find(phrase.split(), words) for phrase in phrases}
    if wanted.strict and not all(rows.values()):
        raise PromptError(f"item {spec.item_id}: a phrase of {phrases} not found in the text {text!r}")
    values = np.full((len(words) + 2, *small.shape[1:]), 0.01, np.float32)
    values[0] += small[0]
    for phrase, places in rows.items():
        values[list(places)] += small[owner[phrase]]
    whole = TokenMaps(
        tokens=("<SoT>", *words, "<EoT>"),
        phrases=phrases,
        phrase_tokens=tuple(rows[p] for p in phrases),
        values=values * calls,
    )
    return {key: replace(whole, values=values * weight) for key, weight in _groups(wanted, calls).items()}


def _groups(wanted: MapRequest, calls: int) -> dict[str, float]:
    layers = [name.replace("self", "cross") for name, _ in LAYERS] if "layer" in wanted.group_by else [None]
    steps = list(range(calls)) if "step" in wanted.group_by else [None]
    heads = list(range(HEADS)) if "head" in wanted.group_by else [None]
    keys = [
        group_key(wanted.name, layer=la, step=st, head=he) for la in layers for st in steps for he in heads
    ]
    return dict.fromkeys(keys, calls / len(keys))


def _find(phrase: list[str], words: list[str]) -> tuple[int, ...]:
    span = len(phrase)
    starts = [at for at in range(len(words) - span + 1) if words[at : at + span] == phrase]
    return tuple(sorted({1 + start + offset for start in starts for offset in range(span)}))


def _affinity(likeness: np.ndarray) -> Affinity:
    grid = likeness.shape[1:]
    flat = likeness.reshape(len(likeness), -1)
    near = np.exp(8 * (flat.T @ flat))
    return Affinity(grid=grid, values=(near / near.sum(1, keepdims=True)).astype(np.float32))
