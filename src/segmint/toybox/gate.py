"""The gate of a world's model: do pictures show what the prompt says, and does attention look there?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from segmint.artifacts import Generation, PromptSpec
from segmint.attention import CLASS_MAPS, NOTHING, CaptureRequest, MapRequest
from segmint.backbone.base import Backbone
from segmint.backbone.settings import ObserveSettings, SamplingSettings
from segmint.errors import GenerationError
from segmint.plan.classes import preset_vocabulary
from segmint.plan.prompts import planning
from segmint.plan.prompts.templates import load_templates
from segmint.plan.settings import PromptSettings
from segmint.scores import area_under_curve, confusion, score
from segmint.toybox import oracle
from segmint.toybox.worlds import WORLDS, Scene, World, WorldName
from segmint.vocabulary import ClassEntry

PRESENT_FRACTION = 0.01
"""A class is in a picture if the oracle finds it on at least this share of the pixels."""
FIGURES = ("presence", "unnamed", "oracle_miou", "class_auc", "background_auc")
"""What a `Report` tells of a model and its judge."""
BOUNDS: dict[WorldName, dict[str, tuple[str, float]]] = {
    "toybox": {
        "presence": (">=", 0.90),
        "unnamed": ("<=", 0.10),
        "oracle_miou": (">=", 0.95),
        "class_auc": (">=", 0.92),
        "background_auc": (">=", 0.85),
    },
    "yard": {"presence": (">=", 0.85), "unnamed": ("<=", 0.10)},
}
"""What the gate asks. Where attention looks in the yard is told only: no model is chosen by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """How much is judged, and how."""

    world: WorldName = "toybox"
    samples: int = 256
    """Generated pictures."""
    renders: int = 200
    """Held-out renders whose attention is observed."""
    split: Literal["train", "val"] = "val"
    """Whose renders. The gate is run often, so it reads no split that is kept for a last look."""
    steps: int | None = None
    guidance: float | None = None
    seed: int = 7000
    batch_size: int = 16
    timesteps: tuple[int, ...] = ObserveSettings().timesteps
    """Noise levels at which renders are observed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures of the gate, all shares or areas in [0, 1]."""

    samples: int
    presence: float
    """Of all class words in the prompts, the share whose class is in the picture."""
    unnamed: float
    """Share of the pictures that show a class that the prompt does not name."""
    presence_by_class: dict[str, float]
    oracle_miou: float
    """Of the judge itself, on held-out renders."""
    renders: int
    class_auc: float
    """Area under the ROC curve of a class word's map for the class's pixels, mean over words and renders."""
    class_auc_by_class: dict[str, float]
    background_auc: float
    """The same of the start token's map for the background."""
    steps: int
    guidance: float
    world: WorldName = "toybox"

    def failures(self) -> list[str]:
        """The figures that miss their bound."""
        values = asdict(self)
        wrong = {">=": lambda value, bound: value < bound, "<=": lambda value, bound: value > bound}
        return [
            name
            for name, (relation, bound) in BOUNDS[self.world].items()
            if wrong[relation](values[name], bound)
        ]

    def as_json(self) -> dict[str, Any]:
        """The figures, the bounds, and whether all hold."""
        bounds = {name: f"{relation} {bound}" for name, (relation, bound) in BOUNDS[self.world].items()}
        return {**asdict(self), "bounds": bounds, "passed": not self.failures()}


def run_gate(backbone: Backbone, settings: GateSettings) -> tuple[Report, list[Generation]]:
    """Judge a world's model.

    Args:
        backbone: The loaded model.
        settings: What is judged, and how.

    Returns:
        The report, and the generated pictures in the order of their seeds.

    Raises:
        GenerationError: The model gave a broken picture.
        ModelError: The oracle's weights are missing.
    """
    specs = plan_samples(settings)
    drawn = sample(backbone, specs, settings)
    world = WORLDS[settings.world]
    found = oracle.judge(np.stack([item.image for item in drawn]), world.name)
    presence, unnamed, by_class = agreement(world, specs, found)
    scenes = [world.render(seed, split=settings.split) for seed in range(settings.renders)]
    truth = np.stack([scene.mask for scene in scenes])
    judged = oracle.judge(np.stack([scene.image for scene in scenes]), world.name)
    labels = ("background", *world.classes)
    scores = score(confusion(truth, judged, count=len(labels)), label_names=labels)
    areas = observe(backbone, scenes, settings)
    return Report(
        samples=len(drawn),
        presence=presence,
        unnamed=unnamed,
        presence_by_class=by_class,
        oracle_miou=scores.mean_iou or 0.0,
        renders=len(scenes),
        class_auc=float(np.mean([area for name, area in areas if name])),
        class_auc_by_class={
            name: round(float(np.mean([area for each, area in areas if each == name])), 4)
            for name in world.classes
            if any(each == name for each, _ in areas)
        },
        background_auc=float(np.mean([area for name, area in areas if not name])),
        steps=settings.steps or backbone.info.default_steps,
        guidance=backbone.info.default_guidance if settings.guidance is None else settings.guidance,
        world=world.name,
    ), drawn


def plan_samples(settings: GateSettings) -> list[PromptSpec]:
    """Prompts as `segmint generate` plans them: one to three classes each, every class equally often."""
    prompts = PromptSettings(templates=settings.world)
    templates = load_templates(settings.world)
    vocabulary = preset_vocabulary(settings.world)
    return planning.plan(vocabulary, prompts, count=settings.samples, seed=settings.seed, templates=templates)


def sample(backbone: Backbone, specs: Sequence[PromptSpec], settings: GateSettings) -> list[Generation]:
    """Draw all prompts, in batches."""
    sampling = SamplingSettings(
        steps=settings.steps, guidance=settings.guidance, batch_size=settings.batch_size
    )
    out: list[Generation] = []
    for start in range(0, len(specs), settings.batch_size):
        for outcome in backbone.generate(specs[start : start + settings.batch_size], sampling, NOTHING):
            if isinstance(outcome, GenerationError):
                raise outcome
            out.append(outcome)
    return out


def agreement(
    world: World, specs: Sequence[PromptSpec], found: UInt8[np.ndarray, "picture row col"]
) -> tuple[float, float, dict[str, float]]:
    """How well pictures hold what their prompts name.

    Args:
        world: Whose classes are meant.
        specs: One a picture.
        found: The oracle's class ids.

    Returns:
        Share of named classes that are present, of pictures with an unnamed class; presence by name.
    """
    ids = np.arange(1, len(world.classes) + 1)
    present = (found[:, None] == ids[None, :, None, None]).mean(axis=(2, 3)) >= PRESENT_FRACTION
    named = np.array([[name in spec.classes for name in world.classes] for spec in specs])
    by_class = {
        name: round(float(present[named[:, index], index].mean()), 4)
        for index, name in enumerate(world.classes)
        if named[:, index].any()
    }
    return float(present[named].mean()), float((present & ~named).any(axis=1).mean()), by_class


def observe(backbone: Backbone, scenes: Sequence[Scene], settings: GateSettings) -> list[tuple[str, float]]:
    """Areas under the ROC curve of attention maps on renders: (class, or "" for the background; area)."""
    entries = {entry.name: entry for entry in preset_vocabulary(settings.world).entries}
    specs = [
        planning.make_spec(
            scene.caption,
            [entries[name] for name in scene.classes],
            item_id=f"{i:06d}",
            index=i,
            seed=settings.seed + i,
        )
        for i, scene in enumerate(scenes)
    ]
    wanted = CaptureRequest(features=None, maps=(MapRequest(),))
    look = ObserveSettings(timesteps=settings.timesteps, batch_size=settings.batch_size)
    areas: list[tuple[str, float]] = []
    for start in range(0, len(scenes), settings.batch_size):
        part = slice(start, start + settings.batch_size)
        outcomes = backbone.observe([scene.image for scene in scenes[part]], specs[part], look, wanted)
        for scene, outcome in zip(scenes[part], outcomes, strict=True):
            if isinstance(outcome, GenerationError):
                raise outcome
            areas.extend(_areas(scene, outcome, [entries[name] for name in scene.classes]))
    return areas


def _areas(scene: Scene, outcome: Generation, classes: Sequence[ClassEntry]) -> list[tuple[str, float]]:
    """A class that has several phrases is where the mean of their maps is high."""
    maps = outcome.maps[CLASS_MAPS]
    tokens = dict(zip(maps.phrases, maps.phrase_tokens, strict=True))
    out = [("", area_under_curve(_to_pixels(maps.values[0], scene), scene.mask == 0))]
    for entry in classes:
        own = [maps.values[list(tokens[phrase])].max(axis=0) for phrase in entry.phrases]
        scores = _to_pixels(np.mean(own, axis=0), scene)
        out.append((entry.name, area_under_curve(scores, scene.mask == entry.label_id)))
    return [(name, area) for name, area in out if area is not None]


def _to_pixels(values: Float32[np.ndarray, "grid_h grid_w"], scene: Scene) -> Float32[np.ndarray, "row col"]:
    """A map at the size of the picture, bilinear."""
    height, width = scene.mask.shape
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))
