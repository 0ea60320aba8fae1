"""Does data loading limit training? `python -m benchmarks.training [--device cuda --workers 8]`.

Three figures for each setting: images/s of the loader alone (read, decode, augment, collate), of training on
one batch that stays on the device, and of training fed by the loader. On a CPU everything runs in one process
on one thread, seconds are CPU seconds, and of DeepLabv3 only the loader is measured; on a GPU they are
seconds of the clock.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from segmint.training.data import LabelledSet, MatchedSet, Sample, match
from segmint.training.loading import AugmentedSamples, Batch, batches
from segmint.training.model import build, loss, normalise
from segmint.training.optim import make_optimiser
from segmint.training.sampling import Portions, ShuffledOrder, StepSampler
from segmint.training.settings import TrainSettings

CLASSES = tuple(f"class {number}" for number in range(1, 21))
SETTINGS = {
    "toynet, 128 px": ("toynet", 128, 16),
    "deeplabv3_mobilenet_v3_large, 512 px": ("deeplabv3_mobilenet_v3_large", 512, 8),
    "deeplabv3_resnet50, 512 px": ("deeplabv3_resnet50", 512, 8),
}
IMAGES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Images a second."""

    setting: str
    loader: float
    network: float | None = None
    fed: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--workers", type=int, default=0, help="loader processes; on a CPU 0, to count their time"
    )
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--only", choices=SETTINGS, help="one setting")
    parser.add_argument("--loader-only", action="store_true", help="leave the network out")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    chosen = [arguments.only] if arguments.only else list(SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(each, Path(folder), arguments) for each in chosen]
    show(results, arguments.device)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n")


def measure(setting: str, folder: Path, arguments: argparse.Namespace) -> Result:
    architecture, side_px, batch_size = SETTINGS[setting]
    device, workers, iterations = arguments.device, arguments.workers, arguments.iterations
    settings = TrainSettings().merged(
        {
            "network.architecture": architecture,
            "augment.crop_px": side_px,
            "schedule.batch_size": batch_size,
        }
    )
    data = write_images(folder / str(side_px), side_px)
    where = torch.device(device)
    clock = time.process_time if device == "cpu" else time.perf_counter

    def source() -> Iterator[Batch]:
        sampler = StepSampler(
            ShuffledOrder(IMAGES, seed=0), Portions(batch_size=batch_size), first=0, last=10**6
        )
        samples = AugmentedSamples(data, settings.augment, seed=0)
        return batches(samples, sampler, workers=workers, pin_memory=where.type == "cuda")

    feed, one = source(), next(source())
    loader = timed(lambda: next(feed), iterations * 4, batch_size, clock, where)
    if arguments.loader_only or (
        device == "cpu" and side_px > 128
    ):  # a step of DeepLabv3 takes minutes there
        return Result(setting=setting, loader=loader)
    step = stepper(settings, where)
    speed = {
        "network": timed(lambda: step(one), iterations, batch_size, clock, where),
        "fed": timed(lambda: step(next(feed)), iterations, batch_size, clock, where),
    }
    return Result(setting=setting, loader=loader, **speed)


def stepper(settings: TrainSettings, device: torch.device) -> Callable[[Batch], None]:
    """One update of the weights, with automatic bf16 on a GPU."""
    model = build(settings.network.architecture, num_labels=len(CLASSES) + 1, auxiliary=True).train()
    model = model.to(device, memory_format=torch.channels_last)
    optimiser = make_optimiser(model, settings.optimiser)

    def step(batch: Batch) -> None:
        images = normalise(batch.images.to(device, non_blocking=True))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs = model(images.contiguous(memory_format=torch.channels_last))
        value = loss(outputs, batch.labels.to(device, non_blocking=True), auxiliary_weight=0.4)
        value.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        value.item()

    return step


def timed(
    work: Callable[[], object], times: int, batch_size: int, clock: Callable[[], float], device: torch.device
) -> float:
    """Images a second, after a first call that does not count."""
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = clock()
    for _ in range(times):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return times * batch_size / (clock() - start)


def write_images(folder: Path, side_px: int) -> MatchedSet:
    """JPEG images with the detail of photographs (blurred noise at several scales), and blocky masks."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    samples = []
    for number in range(IMAGES):
        layers = [
            np.asarray(
                Image.fromarray(
                    rng.integers(0, 256, (side_px // cell, side_px // cell, 3), dtype=np.uint8)
                ).resize((side_px, side_px), Image.Resampling.BICUBIC),
                np.float32,
            )
            for cell in (2, 8, 32)
        ]
        pixels = (0.1 * layers[0] + 0.3 * layers[1] + 0.6 * layers[2]).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=95, subsampling=0)
        labels = (
            rng.integers(0, len(CLASSES) + 1, (4, 4), dtype=np.uint8)
            .repeat(side_px // 4, 0)
            .repeat(side_px // 4, 1)
        )
        Image.fromarray(labels).save(folder / f"{number}.png")
        samples.append(
            Sample(item_id=str(number), image=folder / f"{number}.jpg", mask=folder / f"{number}.png")
        )
    found = LabelledSet(name="made", classes=dict(enumerate(CLASSES, start=1)), samples=tuple(samples))
    return match(found, CLASSES)


def show(results: list[Result], device: str) -> None:
    unit = "CPU second, one thread" if device == "cpu" else f"second, {device}"
    table = Table(title=f"images a {unit}")
    for heading in ("setting", "loader alone", "network alone", "training", "of network alone"):
        table.add_column(heading, justify="left" if heading == "setting" else "right")
    for each in results:
        cells = (
            (f"{each.network:.2f}", f"{each.fed:.2f}", f"{each.fed / each.network:.2f}")
            if each.network
            else ()
        )
        table.add_row(each.setting, f"{each.loader:.1f}", *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
