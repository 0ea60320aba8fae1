"""Every method by name. All have one signature, so that changing the method is changing a word."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from segmint.artifacts import AttentionSummary, Trace
from segmint.masks.competition import segmint
from segmint.masks.dataset_diffusion import dataset_diffusion
from segmint.masks.evidence import ClassQuery
from segmint.masks.pcc import pcc
from segmint.masks.settings import MaskSettings
from segmint.masks.thresholding import threshold_maps


@runtime_checkable
class Method(Protocol):
    """From one image's attention to its mask."""

    def __call__(
        self,
        attention: AttentionSummary,
        image: UInt8[np.ndarray, "image_h image_w 3"],
        classes: Sequence[ClassQuery],
        settings: MaskSettings,
    ) -> Trace:
        """The mask, and the stages that led to it where the method has them."""
        ...


METHODS: Mapping[str, Method] = {
    "pcc": pcc,
    "pcc-published": pcc,
    "ovam": threshold_maps,
    "daam": threshold_maps,
    "dataset-diffusion": dataset_diffusion,
    "segmint": segmint,
}
"""Method names with their functions; `settings.PROFILES` holds the settings of each."""
