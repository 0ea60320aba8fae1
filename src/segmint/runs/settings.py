"""Settings of what a run writes: the recipe's section `output`."""

from typing import Literal

from segmint.settings import Settings


class OutputSettings(Settings):
    """What is written for each item."""

    image_format: Literal["jpg", "png"] = "jpg"
    """`jpg` is JPEG at quality 95 without chroma subsampling; `png` is lossless."""
    keep_features: bool = False
    """Keep each item's attention summary (float16 npz), so that masks can be made again without
    generating."""
