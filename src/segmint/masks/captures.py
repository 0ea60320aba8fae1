"""Which attention each method reads, for whoever asks a backbone to capture it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from segmint.masks.settings import MaskSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The captures that a method reads; fields are the keywords of `backbone.base.capture_request`."""

    features: bool = False
    """Self-attention outputs of each head."""
    class_maps: bool = False
    """Token maps of the class phrases."""
    prompt_maps: bool = False
    """Token maps of the generating prompt."""
    fine_maps: bool = False
    """Class maps of the decoder's two finest grids, each by itself."""
    dataset_diffusion: bool = False
    """Coarse class maps and the self-attention affinity."""


def needs(settings: MaskSettings) -> Needs:
    """What the method of these settings reads."""
    return NEEDS[settings.method](settings)


def _of_pcc(settings: MaskSettings) -> Needs:
    on_prompt = settings.evidence.text == "prompt"
    return Needs(features=True, class_maps=not on_prompt, prompt_maps=on_prompt)


def _of_thresholding(settings: MaskSettings) -> Needs:
    on_prompt = settings.thresholding.text == "prompt"
    return Needs(class_maps=not on_prompt, prompt_maps=on_prompt)


NEEDS: Mapping[str, Callable[[MaskSettings], Needs]] = {
    "pcc": _of_pcc,
    "pcc-published": _of_pcc,
    "ovam": _of_thresholding,
    "daam": _of_thresholding,
    "dataset-diffusion": lambda settings: Needs(dataset_diffusion=True),
    "segmint": lambda settings: Needs(features=True, fine_maps=True),
}
"""By method name."""
