"""Courses: whole experiments, from prompts to the table, each one file and one command, `segmint recipe`.

A course is a list of segmint's own commands, each of which goes on where it was interrupted; so does the
course. What it will cost is worked out before it starts: the memory from a pass over the network without
numbers (torch's meta device), the disk from the sizes of what is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from segmint import training
from segmint.errors import ConfigError
from segmint.settings import Settings
from segmint.training.fit.model import build, loss
from segmint.training.settings import TrainSettings

BYTES_PER_FLOAT = 4
CHECKPOINT_COPIES = 5
"""Weights, their running mean and AdamW's two moments in the last checkpoint; weights in the best one."""
WORKING_COPIES = 5
"""Weights, gradients, AdamW's two moments and the running mean in memory."""
BYTES_PER_PIXEL = {"jpg": 0.75, "png": 1.6, "mask": 0.03, "features": 5.0}
"""Rules of thumb for bytes on disk by pixel of an image: photographs at JPEG quality 95 4:4:4 and as PNG,
palette masks with their agreement maps, half-precision features of Stable Diffusion 2.1 (1.3 MB for 512²)."""


class Step(Settings):
    """One command of a course, with what it makes."""

    title: str
    run: tuple[str, ...]
    """Words after `segmint`. {out}, {data}, {backbone}, {device} are filled in; {prompts} and {download} by
    words or by none."""
    items: int = 0
    """Images minted."""
    denoising_steps: int = 0
    """For each of them."""
    side_px: int = 512
    image_format: str = "jpg"
    features: bool = False
    train: Mapping[str, Any] | None = None
    """Training settings, to work out memory and disk; also given to the command, as a file."""
    classes: int = 20


class Course(Settings):
    """A course as its file has it."""

    title: str
    source: str
    """Where its numbers come from."""
    needs: str
    """Hardware and network, in words."""
    data_bytes: int = 0
    """Size of what has to be downloaded."""
    default_data: str = ""
    """The dataset to judge on, if none is named."""
    prompts: str = ""
    """The file of prompts that it needs, and where to get it; empty: prompts planned from templates do."""
    step: tuple[Step, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A step ready to run, and what it costs."""

    title: str
    words: tuple[str, ...]
    settings: TrainSettings | None
    settings_file: Path | None
    items: int
    denoising_steps: int
    iterations: int
    disk_bytes: int
    memory_bytes: int
    """Of a training, on its device; 0 for other steps."""


def names() -> tuple[str, ...]:
    """Names of the courses that ship with segmint."""
    return tuple(
        sorted(each.name.removesuffix(".toml") for each in _folder().iterdir() if each.name.endswith(".toml"))
    )


def load_course(name: str) -> Course:
    """A shipped course by its name, or one of your own by the path of its file.

    Raises:
        ConfigError: there is none, or it is not well-formed.
    """
    if name in names():
        with as_file(_folder() / f"{name}.toml") as shipped:
            return Course.load(shipped)
    if Path(name).suffix != ".toml":
        raise ConfigError(f"no recipe {name!r}; there are {', '.join(names())}, or give a .toml file")
    return Course.load(Path(name))


def plan(
    course: Course,
    out: Path,
    *,
    data: str | None = None,
    prompts: Path | None = None,
    backbone: str = "imagenet",
    device: str = "auto",
) -> tuple[Planned, ...]:
    """Every step with its command and its cost.

    Args:
        course: from `load_course`.
        out: folder of everything that the course makes.
        data: the dataset to judge on, instead of the course's.
        prompts: prompts to mint from, instead of planned ones.
        backbone: backbone weights of every training.
        device: where to mint and train.
    """
    lists = {
        "{prompts}": ("--prompts", str(prompts)) if prompts else (),
        "{download}": () if data else ("--download",),
    }
    fill = {"out": str(out), "data": data or course.default_data, "backbone": backbone, "device": device}
    return tuple(_planned(step, out, number, fill, lists) for number, step in enumerate(course.step, start=1))


def require_prompts(course: Course, prompts: Path | None, *, templates: bool) -> None:
    """Refuse a course without the prompts that it needs, unless templates were asked for.

    Raises:
        ConfigError: names the file and where it is.
    """
    if course.prompts and not (prompts or templates):
        raise ConfigError(
            f"this recipe mints from {course.prompts}; give it by --prompts, or ask for --template-prompts"
        )
    if prompts and templates:
        raise ConfigError("--prompts and --template-prompts exclude each other; give one")


def training_memory(settings: TrainSettings, *, num_labels: int) -> int:
    """Bytes that a training needs on its device, for one device.

    Weights, gradients and optimiser, and every tensor that the backward pass waits for, found by a forward
    pass on torch's meta device. Workspaces of convolutions come on top: count on a quarter more.
    """
    schedule, side_px = settings.schedule, settings.augment.crop_px
    portion = max(schedule.batch_size // schedule.accumulate, 2)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()  # views of one storage are counted once
        alive.append(tensor)
        return tensor

    alive: list[Tensor] = []
    with torch.device("meta"):
        network = settings.network
        model = build(network.architecture, num_labels=num_labels, auxiliary=network.auxiliary).train()
        weights = sum(parameter.numel() for parameter in model.parameters()) * BYTES_PER_FLOAT
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            outputs = model(torch.zeros(portion, 3, side_px, side_px))
            labels = torch.zeros(portion, side_px, side_px, dtype=torch.uint8)
            loss(outputs, labels, auxiliary_weight=network.auxiliary_weight)
    half = schedule.precision in ("fp16", "bf16")
    return WORKING_COPIES * weights + sum(kept.values()) // (2 if half else 1)


def checkpoint_bytes(settings: TrainSettings, *, num_labels: int) -> int:
    """Bytes of the last and the best checkpoint, and of one being written."""
    with torch.device("meta"):
        network = settings.network
        model = build(network.architecture, num_labels=num_labels, auxiliary=network.auxiliary)
    weights = sum(parameter.numel() for parameter in model.parameters()) * BYTES_PER_FLOAT
    return weights * (2 * CHECKPOINT_COPIES - 1)


def _planned(
    step: Step, out: Path, number: int, fill: Mapping[str, str], lists: Mapping[str, Sequence[str]]
) -> Planned:
    words: list[str] = []
    for word in step.run:
        words += lists[word] if word in lists else [_filled(word, fill)]
    disk = step.items * step.side_px**2 * (BYTES_PER_PIXEL[step.image_format] + BYTES_PER_PIXEL["mask"])
    disk += step.items * step.side_px**2 * BYTES_PER_PIXEL["features"] * step.features
    settings, path, memory, iterations = None, None, 0, 0
    if step.train is not None:
        settings = TrainSettings.parse(step.train, source=f"step {number} of the course")
        path = out / f"train-{number}.toml"
        words += ["--settings", str(path)]
        memory = training_memory(settings, num_labels=step.classes + 1)
        disk += checkpoint_bytes(settings, num_labels=step.classes + 1)
        iterations = settings.schedule.iterations
    return Planned(
        title=step.title,
        words=tuple(words),
        settings=settings,
        settings_file=path,
        items=step.items,
        denoising_steps=step.denoising_steps * step.items,
        iterations=iterations,
        disk_bytes=round(disk),
        memory_bytes=memory,
    )


def _filled(word: str, fill: Mapping[str, str]) -> str:
    for name, value in fill.items():
        word = word.replace(f"{{{name}}}", value)
    return word


def _folder() -> Any:
    return files(training) / "courses"
