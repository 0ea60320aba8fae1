"""A model that draws in a time of one's choice and hands over attention of a real model's sizes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lab.cost.synthetic_scene import SHAPES, scene
from segmint.artifacts import AnyImage, Generation, PromptSpec, TokenMaps
from segmint.attention import CaptureRequest
from segmint.backbone.base import Callback, ModelInfo, Outcome
from segmint.backbone.fake import FAKE_INFO
from segmint.backbone.settings import ObserveSettings, SamplingSettings

CLASSES = "bird, dog"
"""What its scenes show."""


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A backbone that sleeps `drawing_s` for each image, as a GPU lets the CPU sleep.

    `shape`: of `synthetic_scene.SHAPES`. Every image is the same scene.
    """

    shape: str = "sd21"
    drawing_s: float = 0.4
    info: ModelInfo = FAKE_INFO

    @cached_property
    def seen(self) -> Generation:
        """The scene, as the default method captures it."""
        raw = scene(SHAPES[self.shape], 0)
        half = replace(raw.maps, values=raw.maps.values[:, ::2, ::2].copy())
        maps: dict[str, TokenMaps] = {"classes": raw.maps, "classes@fine": raw.maps, "classes@half": half}
        blank = PromptSpec(item_id="", index=0, prompt="", classes=(), label_ids=(), phrases=(), seed=0)
        return Generation(spec=blank, image=raw.image, heads=raw.heads, maps=maps)

    def check(self, specs: Sequence[PromptSpec], sampling: SamplingSettings, capture: CaptureRequest) -> None:
        """Nothing to refuse."""

    def generate(
        self,
        specs: Sequence[PromptSpec],
        sampling: SamplingSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """The scene for each, after a while."""
        seen = self.seen
        time.sleep(self.drawing_s * len(specs))
        return [replace(seen, spec=spec) for spec in specs]

    def observe(
        self,
        images: Sequence[AnyImage],
        specs: Sequence[PromptSpec],
        observation: ObserveSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """Not what it is for."""
        raise NotImplementedError


def stand_in(device: str = "cpu", *, shape: str, drawing_s: float) -> StandIn:
    """The stand-in with its scene made; a `functools.partial` of this travels to other processes."""
    model = StandIn(shape=shape, drawing_s=drawing_s)
    _ = (device, model.seen)
    return model
