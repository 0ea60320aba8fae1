"""Settings of what a run writes: the recipe's section `output`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class OutputSettings(BaseModel):
    """What is written for each item."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_format: Literal["jpg", "png"] = "jpg"
    """`jpg` is JPEG at quality 95 without chroma subsampling; `png` is lossless."""
    keep_features: bool = False
    """Keep each item's attention summary (float16 npz), so that masks can be made again without
    generating."""
