"""The seam between the method and the model: what can be asked of a backbone, and what it answers.

A backbone draws images (`generate`) or looks at existing ones (`observe`) and hands over, with each image,
the attention that was asked for in a `CaptureRequest`. Nothing here imports torch, so that every other room
can talk about captures without loading a model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from segmint.artifacts import AnyImage, Generation, PromptSpec
from segmint.backbone.settings import CaptureSettings, Half, ObserveSettings, SamplingSettings
from segmint.errors import ConfigError, GenerationError

Outcome = Generation | GenerationError
"""What becomes of one item: its generation, or the reason why there is none. One bad item never ends its
batch.
"""

Callback = Callable[[int, int], None]
"""Called after each denoising step (or pass) with the steps done and the steps in all."""

GroupBy = Literal["layer", "step", "head"]

CLASS_MAPS = "classes"
"""Name under which `Generation.maps` holds the maps of the class phrases (OVAM)."""
PROMPT_MAPS = "prompt"
"""Name of the maps of the generating prompt's own tokens (DAAM)."""
FINE_MAPS = "classes@fine"
"""Name of the class maps of the decoder's layers at the largest grid (segmint)."""
HALF_MAPS = "classes@half"
"""Name of the class maps of the decoder's layers at half of the largest grid (segmint)."""
QUARTER_MAPS = "classes@1/4"
"""Name of the class maps restricted to layers at a quarter of the largest grid (Dataset Diffusion)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Facts about a loaded model, as a run's records keep them.

    `size_multiple_px`: image sides are multiples of this. `prompt_tokens`: length of the text encoder with
    its start and end tokens; longer prompts are truncated by the model. `licence` is None where neither the
    model nor we know it.
    """

    id: str
    revision: str | None
    licence: str | None
    family: str
    height_px: int
    width_px: int
    size_multiple_px: int
    prediction_type: str
    default_steps: int
    default_guidance: float
    prompt_tokens: int
    scheduler: str
    dtype: str
    device: str
    loras: tuple[str, ...] = ()
    safety_checker: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest:
    """One set of cross-attention maps to accumulate while the model runs (method.md step 5).

    `name`: its key in `Generation.maps`.
    `text`: "classes" holds the image against a separate text of the class phrases alone, softmax over
    [SoT … EoT] (OVAM); "prompt" reads the attention by which the image is made, softmax over the padded
    prompt (DAAM), in which the class phrases are looked up token by token; "given" holds the image against
    the text
    `given`, in which they are looked up too, softmax over [SoT … EoT].
    `strict`: a phrase that such a text lacks is an error; else it has no rows.
    `half`: whose queries; without guidance the conditional half is all there is, and is taken.
    `layers`: shell patterns of module names in the UNet; by default all up and down blocks with attention.
    `downscale`: only layers at this fraction of the largest grid (4: a quarter of its side, the nearest there
    is), and the maps stay at that grid; None takes every grid and resizes to the largest.
    `group_by`: keep maps apart by layer, by UNet call ("step"), by head, or by several of them, under the
    keys of `group_key`; memory then grows with the number of groups.
    """

    name: str = CLASS_MAPS
    text: Literal["classes", "prompt", "given"] = "classes"
    given: str = ""
    strict: bool = False
    half: Half = "unconditional"
    layers: tuple[str, ...] = ("down_blocks.*", "up_blocks.*")
    downscale: int | None = None
    group_by: tuple[GroupBy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinityRequest:
    """Self-attention probabilities to average over heads, layers and steps at one grid (Dataset Diffusion).

    `downscale`: the grid's side as a fraction of the largest grid (2: 32×32 at SD 2.1's 64×64).
    """

    downscale: int = 2
    half: Half = "conditional"
    layers: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRequest:
    """Per-head self-attention outputs to keep from the end of sampling (method.md step 2).

    `layers`: shell patterns of module names; the default is every up-block self-attention layer.
    `calls`: how many of the last UNet calls; `merge` says whether several calls (or an observation's several
    passes) are averaged, or handed over one by one, oldest first, as layers named `LAYER@-2`, `LAYER@-1`.
    """

    half: Half = "both"
    layers: tuple[str, ...] = ("up_blocks.*",)
    calls: int = 1
    merge: Literal["mean", "each"] = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequest:
    """Which attention to hand over with each image. The default is what PCC needs; `NOTHING` just draws."""

    features: FeatureRequest | None = FeatureRequest()
    maps: tuple[MapRequest, ...] = (MapRequest(),)
    affinity: AffinityRequest | None = None


NOTHING = CaptureRequest(features=None, maps=())


def capture_request(
    settings: CaptureSettings,
    *,
    features: bool = True,
    class_maps: bool = True,
    prompt_maps: bool = False,
    fine_maps: bool = False,
    dataset_diffusion: bool = False,
) -> CaptureRequest:
    """The capture that a recipe's settings and a method's needs come to.

    Args:
        settings: the recipe's section `capture`.
        features: self-attention features (PCC).
        class_maps: class-phrase maps under the name "classes" (PCC, OVAM).
        prompt_maps: maps of the prompt's own tokens, conditional half, under "prompt" (DAAM).
        fine_maps: class maps of the decoder's largest grid and of half of it, under "classes@fine" and
            "classes@half" (segmint).
        dataset_diffusion: class maps of the conditional half at a quarter of the largest grid under
            "classes@1/4", and the self-attention affinity at half of it.
    """
    maps: list[MapRequest] = []
    if class_maps:
        maps.append(MapRequest(half=settings.half, layers=settings.map_layers))
    if prompt_maps:
        maps.append(
            MapRequest(name=PROMPT_MAPS, text="prompt", half="conditional", layers=settings.map_layers)
        )
    if fine_maps:
        maps.append(MapRequest(name=FINE_MAPS, half=settings.half, layers=("up_blocks.*",), downscale=1))
        maps.append(MapRequest(name=HALF_MAPS, half=settings.half, layers=("up_blocks.*",), downscale=2))
    if dataset_diffusion:
        maps.append(MapRequest(name=QUARTER_MAPS, half="conditional", layers=("*",), downscale=4))
    wanted = FeatureRequest(
        half=settings.feature_halves,
        layers=settings.feature_layers,
        calls=settings.feature_calls,
        merge=settings.feature_merge,
    )
    return CaptureRequest(
        features=wanted if features else None,
        maps=tuple(maps),
        affinity=AffinityRequest() if dataset_diffusion else None,
    )


def group_key(
    name: str, *, layer: str | None = None, step: int | None = None, head: int | None = None
) -> str:
    """Key in `Generation.maps` of one group of a grouped request, such as `prompt/layer=up_blocks.1…/step=3`.

    Args:
        name: the request's name.
        layer: module name of the attention layer, where grouped by layer.
        step: number of the UNet call from 0, where grouped by step.
        head: number of the head from 0, where grouped by head.
    """
    parts = {"layer": layer, "step": step, "head": head}
    return "/".join([name, *(f"{what}={value}" for what, value in parts.items() if value is not None)])


def image_size(info: ModelInfo, height_px: int | None, width_px: int | None) -> tuple[int, int]:
    """(height, width) in pixels that the model can draw; None takes the model's own.

    Raises:
        ConfigError: a side is no multiple of what the model needs; the message names the nearest size.
    """
    height, width = height_px or info.height_px, width_px or info.width_px
    multiple = info.size_multiple_px
    if height % multiple or width % multiple:
        near = [max(multiple, round(side / multiple) * multiple) for side in (height, width)]
        raise ConfigError(
            f"model {info.id} cannot take images of {height}×{width} px (height × width): both sides must be "
            f"multiples of {multiple}; the nearest size is {near[0]}×{near[1]}"
        )
    return height, width


@runtime_checkable
class Backbone(Protocol):
    """A text-to-image model whose attention can be read."""

    @property
    def info(self) -> ModelInfo:
        """Facts about the model."""
        ...

    def check(self, specs: Sequence[PromptSpec], sampling: SamplingSettings, capture: CaptureRequest) -> None:
        """Refuse what cannot be drawn, before anything is: cheap, and names the first item at fault.

        Raises:
            ConfigError: an image size that the model cannot take (the message names the nearest it can).
            PromptError: a phrase with no token, one longer than the text encoder reads, or one that the text
                of a strict request lacks.
        """
        ...

    def generate(
        self,
        specs: Sequence[PromptSpec],
        sampling: SamplingSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """One batch of images with the attention that made them, in the order of `specs`.

        Each item's noise comes from its own seed on the CPU, whatever the batch. Capturing does not change a
        pixel.

        Raises:
            ConfigError, PromptError: as `check`.
            DeviceError: the device is out of memory.
        """
        ...

    def observe(
        self,
        images: Sequence[AnyImage],
        specs: Sequence[PromptSpec],
        observation: ObserveSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """The attention of existing images, as if they had been generated from `specs`.

        Each image is encoded, noised to each of the observation's timesteps (noise from the item's seed) and
        passed once through the network with the item's prompt. Maps are summed over the passes; features are
        merged as the capture says, over all passes.

        Args:
            images: RGB; each side a multiple of `info.size_multiple_px`. Sizes may differ.
            specs: as many as images.
            observation: timesteps, noise draws and guidance.
            capture: what to hand over; a feature request's `calls` is ignored.
            callback: called after each pass.

        Raises:
            ConfigError, PromptError: as `check`, or numbers of images and specs that differ.
        """
        ...
