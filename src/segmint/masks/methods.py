"""Every method in one row: its name, the settings it brings, what it needs captured, its function.

All functions have one signature, so that changing the method is changing a word. A row's own function is
loaded when first called, so that looking a method up costs no array library.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pydoc import locate
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from segmint.attention import (
    CONCEPT_MAPS,
    EVERYWHERE,
    EXPERT_MAPS,
    AffinityRequest,
    AgreementRequest,
    CaptureRequest,
    DenoisingRequest,
    MapRequest,
    Reading,
)
from segmint.errors import ConfigError

if TYPE_CHECKING:
    from segmint.artifacts import AttentionSummary, Image, Trace
    from segmint.masks.evidence import ClassQuery
    from segmint.masks.settings import MaskSettings


@runtime_checkable
class MaskFunction(Protocol):
    """From one image's attention to its mask."""

    def __call__(
        self,
        attention: "AttentionSummary",
        image: "Image",
        classes: "Sequence[ClassQuery]",
        settings: "MaskSettings",
    ) -> "Trace":
        """The mask, and the stages that led to it where the method has them."""
        ...


Captures = Callable[["MaskSettings", Reading], CaptureRequest]
"""What a method needs captured, given its settings and how the recipe wants attention read."""


def class_maps(reading: Reading) -> MapRequest:
    """Maps of the class phrases alone, as the recipe reads them (OVAM)."""
    return MapRequest(half=reading.half, layers=reading.map_layers)


def prompt_maps(reading: Reading) -> MapRequest:
    """Maps of the generating prompt's own tokens (DAAM), by its authors' layers and resizing."""
    return MapRequest(
        name="prompt",
        text="prompt",
        half="conditional",
        parts=("encoder", "bottom", "decoder"),
        layers=reading.map_layers,
        least_side=9,
        enlarge="bicubic",
    )


def pcc_captures(settings: "MaskSettings", reading: Reading) -> CaptureRequest:
    """Self-attention features, and the maps of the text that holds the classes."""
    maps = prompt_maps if settings.evidence.text == "prompt" else class_maps
    return CaptureRequest(features=reading.features, maps=(maps(reading),))


def threshold_captures(settings: "MaskSettings", reading: Reading) -> CaptureRequest:
    """The maps of the text that holds the classes, and nothing else."""
    maps = prompt_maps if settings.thresholding.text == "prompt" else class_maps
    return CaptureRequest(features=None, maps=(maps(reading),))


def ovam_captures(settings: "MaskSettings", reading: Reading) -> CaptureRequest:
    """The maps of the class phrases, by cross-attention; or what else the settings name."""
    if settings.thresholding.text == "prompt":
        return threshold_captures(settings, reading)
    return CaptureRequest(features=None, maps=(replace(class_maps(reading), only="cross"),))


def concept_captures(settings: "MaskSettings", reading: Reading) -> CaptureRequest:
    """How the image's outputs agree with those of class phrases that are sent along."""
    concepts = MapRequest(name=CONCEPT_MAPS, half="conditional", layers=reading.map_layers, only="joint")
    return CaptureRequest(features=None, maps=(concepts,))


def expert_captures(settings: "MaskSettings", reading: Reading) -> CaptureRequest:
    """The image's attention to the prompt's own words in one block."""
    words = replace(prompt_maps(reading), name=EXPERT_MAPS, expert=True, only="joint", enlarge="bilinear")
    return CaptureRequest(features=None, maps=(words,))


def agreement_captures(settings: "MaskSettings", reading: Reading) -> CaptureRequest:
    """The prompt's maps, weighed by heads and layers, and the refining layers' self-attention."""
    return CaptureRequest(features=None, maps=(), agreements=(agreement(settings),))


def agreement(settings: "MaskSettings") -> AgreementRequest:
    """How GoCA's maps are weighed."""
    return AgreementRequest(reference=settings.goca.reference, heads=settings.goca.heads)


def diffusion_captures(settings: "MaskSettings", reading: Reading) -> CaptureRequest:
    """Class maps of the conditional half at 16×16, shared with the padding, and the affinity at 32×32."""
    coarse = MapRequest(
        name=settings.dataset_diffusion.text, half="conditional", parts=EVERYWHERE, side=16, padded=True
    )
    return CaptureRequest(features=None, maps=(coarse,), affinity=AffinityRequest(side=32))


def competition_captures(settings: "MaskSettings", reading: Reading) -> CaptureRequest:
    """Features, the class maps of the decoder's two finest grids, each by itself, what guidance changes, and
    denoising evidence.
    """
    fine, half = (
        MapRequest(name=name, half=reading.half, parts=("decoder",), downscale=downscale)
        for name, downscale in (("classes@fine", 1), ("classes@half", 2))
    )
    rules = settings.denoising
    asked = DenoisingRequest(
        levels=rules.levels_doubted if reading.doubted else rules.levels,
        draws=rules.draws,
        phrasing=rules.phrasing,
        most=rules.most,
        at_once=rules.at_once,
    )
    return CaptureRequest(
        features=reading.features,
        maps=(fine, half),
        denoising=asked if rules.use else None,
        guidance=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to make masks."""

    function: MaskFunction | str
    """Or where it is, as `package.module.name`."""
    captures: Captures
    profile: Mapping[str, Any] = field(default_factory=dict)
    """The values in which its settings depart from the defaults of the recipe's section `masks`."""
    judges: bool = False
    """Whether it asks by itself which of the classes there are (`masks/presence.py`)."""

    def __call__(
        self,
        attention: "AttentionSummary",
        image: "Image",
        classes: "Sequence[ClassQuery]",
        settings: "MaskSettings",
    ) -> "Trace":
        """The mask that the function makes."""
        found = locate(self.function) if isinstance(self.function, str) else self.function
        return cast("MaskFunction", found)(attention, image, classes, settings)


PUBLISHED: Mapping[str, Any] = {
    "clusters": {"connectivity": 8},
    "evidence": {"through_image": True},
    "vote": {"share": 0.56},
    "refine": {"connectivity": 8, "rule": "ratio", "merge_below_px": 10, "smooth": True, "jpeg_quality": 75},
}
"""Where the published code departs from the report (method.md, table rows 1–8)."""

METHODS: dict[str, Method] = {
    "pcc": Method(function="segmint.masks.pcc.pcc", captures=pcc_captures),
    "pcc-published": Method(function="segmint.masks.pcc.pcc", captures=pcc_captures, profile=PUBLISHED),
    "ovam": Method(function="segmint.masks.rivals.threshold_maps", captures=ovam_captures),
    "daam": Method(
        function="segmint.masks.rivals.threshold_maps",
        captures=threshold_captures,
        profile={"thresholding": {"text": "prompt", "tokens": "mean", "enlarge": "bicubic"}},
    ),
    "dataset-diffusion": Method(
        function="segmint.masks.rivals.dataset_diffusion", captures=diffusion_captures
    ),
    "concept-attention": Method(
        function="segmint.masks.transformer_rivals.concept_attention", captures=concept_captures
    ),
    "goca": Method(function="segmint.masks.goca.goca", captures=agreement_captures),
    "goca-published": Method(
        function="segmint.masks.goca.goca",
        captures=agreement_captures,
        profile={"goca": {"reference": "published"}},
    ),
    "seg4diff": Method(function="segmint.masks.transformer_rivals.seg4diff", captures=expert_captures),
    "segmint": Method(
        function="segmint.masks.competition.segmint", captures=competition_captures, judges=True
    ),
}
"""Rows by name."""


def method_named(name: str) -> Method:
    """The method's row.

    Raises:
        ConfigError: no method has this name; the message names the nearest and lists those that exist.
    """
    if name not in METHODS:
        near = get_close_matches(name, METHODS, n=1)
        meant = f", did you mean {near[0]!r}?" if near else ";"
        raise ConfigError(f"unknown method {name!r}{meant} known are {', '.join(METHODS)}")
    return METHODS[name]


def register_method(
    name: str,
    function: MaskFunction,
    *,
    captures: Captures = pcc_captures,
    profile: Mapping[str, Any] | None = None,
) -> None:
    """Make a function of your own a mask method of this process, to be named as `masks.method`.

    Args:
        name: what recipes and records call it; the name of an earlier one of yours puts this in its place.
        function: takes (attention, image, classes, settings) and gives a `Trace`; see docs/method.md.
        captures: from mask settings and reading to what is to be captured; by default what PCC reads: the
            features of the decoder's self-attention, and the maps of the class phrases, "classes".
        profile: values of the recipe's section `masks` that it brings, such as `{"vote": {"share": 0.6}}`.

    Raises:
        ConfigError: the name is one of segmint's own methods, or the profile is not understood.
    """
    from segmint.masks.settings import MaskSettings

    if name in METHODS and isinstance(METHODS[name].function, str):
        raise ConfigError(f"method {name!r} is segmint's own; choose another name")
    MaskSettings.parse(profile or {}, source=f"profile of method {name!r}")
    METHODS[name] = Method(function=function, captures=captures, profile=profile or {})
