"""Does data loading limit training? Images a second of the loader alone, of training on one batch that stays
on the device, and of training fed by the loader.

On a CPU everything runs in one process on one thread, seconds are CPU seconds, and of DeepLabv3 only the
loader is measured: a step of it takes minutes there. On a GPU they are seconds of the clock.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from segmint.training.data.datasets import LabelledSet, MatchedSet, Sample, match
from segmint.training.data.loading import (
    AugmentedSamples,
    Batch,
    Portions,
    ShuffledOrder,
    StepSampler,
    batches,
)
from segmint.training.fit.model import build, loss, normalise
from segmint.training.fit.optim import make_optimiser
from segmint.training.settings import TrainSettings

CLASSES = tuple(f"class {number}" for number in range(1, 21))
IMAGES = 64
LOADED = 4
"""Batches that the loader alone is measured on, for each that the network is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One network at the size at which it is trained."""

    architecture: str
    side_px: int
    batch_size: int


CASES: Mapping[str, Case] = {
    "toynet": Case(architecture="toynet", side_px=128, batch_size=16),
    "deeplabv3_mobilenet_v3_large": Case(
        architecture="deeplabv3_mobilenet_v3_large", side_px=512, batch_size=8
    ),
    "deeplabv3_resnet50": Case(architecture="deeplabv3_resnet50", side_px=512, batch_size=8),
    "deeplabv3_resnet101": Case(architecture="deeplabv3_resnet101", side_px=512, batch_size=8),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Images a second; None where the network was not measured."""

    architecture: str
    side_px: int
    batch_size: int
    device: str
    workers: int
    loader: float
    network: float | None = None
    fed: float | None = None


def measure(case: Case, folder: Path, *, device: str, workers: int, iterations: int) -> Throughput:
    """All three figures of one case.

    Args:
        case: what is trained.
        folder: for the images that are loaded.
        device: `cpu`, `cuda`, …
        workers: loader processes; 0 on a CPU, so that their time is counted.
        iterations: updates that are measured.
    """
    settings = TrainSettings().merged(
        {
            "network.architecture": case.architecture,
            "augment.crop_px": case.side_px,
            "schedule.batch_size": case.batch_size,
        }
    )
    data, where = _write_images(folder / str(case.side_px), case.side_px), torch.device(device)
    timer = _Timer(batch_size=case.batch_size, device=where)

    def source() -> Iterator[Batch]:
        sampler = StepSampler(
            ShuffledOrder(IMAGES, seed=0), Portions(batch_size=case.batch_size), first=0, last=10**6
        )
        samples = AugmentedSamples(data, settings.augment, seed=0)
        return batches(samples, sampler, workers=workers, pin_memory=where.type == "cuda")

    feed, one = source(), next(source())
    loader = timer.images_a_second(lambda: next(feed), LOADED * iterations)
    network = fed = None
    if where.type != "cpu" or case.architecture == "toynet":
        step = _stepper(settings, where)
        network = timer.images_a_second(lambda: step(one), iterations)
        fed = timer.images_a_second(lambda: step(next(feed)), iterations)
    return Throughput(
        architecture=case.architecture,
        side_px=case.side_px,
        batch_size=case.batch_size,
        device=device,
        workers=workers,
        loader=loader,
        network=network,
        fed=fed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timer:
    batch_size: int
    device: torch.device

    def images_a_second(self, work: Callable[[], object], times: int) -> float:
        """Of `work`, which does one batch, after a first call that does not count."""
        work()
        start = self._now()
        for _ in range(times):
            work()
        return times * self.batch_size / (self._now() - start)

    def _now(self) -> float:
        if self.device.type == "cpu":
            return time.process_time()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def _stepper(settings: TrainSettings, device: torch.device) -> Callable[[Batch], None]:
    """One update of the weights, with automatic bf16 on a GPU."""
    model = build(settings.network.architecture, num_labels=len(CLASSES) + 1, auxiliary=True).train()
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = make_optimiser(model, settings.optimiser)

    def step(batch: Batch) -> None:
        images = normalise(batch.images.to(device, non_blocking=True))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs = model(images.contiguous(memory_format=torch.channels_last))
        value = loss(outputs, batch.labels.to(device, non_blocking=True), auxiliary_weight=0.4)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        value.item()

    return step


def _write_images(folder: Path, side_px: int) -> MatchedSet:
    """JPEG images with the detail of photographs (blurred noise at several scales), and blocky masks."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    samples = []
    for number in range(IMAGES):
        noise = [_blurred(rng, side_px, cell) for cell in (2, 8, 32)]
        pixels = (0.1 * noise[0] + 0.3 * noise[1] + 0.6 * noise[2]).astype(np.uint8)
        labels = rng.integers(0, len(CLASSES) + 1, (4, 4), dtype=np.uint8)
        image, mask = folder / f"{number}.jpg", folder / f"{number}.png"
        Image.fromarray(pixels).save(image, quality=95, subsampling=0)
        Image.fromarray(labels.repeat(side_px // 4, 0).repeat(side_px // 4, 1)).save(mask)
        samples.append(Sample(item_id=str(number), image=image, mask=mask))
    found = LabelledSet(name="made", classes=dict(enumerate(CLASSES, start=1)), samples=tuple(samples))
    return match(found, CLASSES)


def _blurred(rng: np.random.Generator, side_px: int, cell_px: int) -> np.ndarray:
    small = rng.integers(0, 256, (side_px // cell_px, side_px // cell_px, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((side_px, side_px), Image.Resampling.BICUBIC), np.float32)
