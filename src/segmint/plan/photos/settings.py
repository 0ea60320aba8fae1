"""Settings of how existing images are taken: the recipe's section `photos`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

CLASSES_FIELD = "{classes}"


class PhotoSettings(BaseModel):
    """What is said of an image that comes without a caption, and how finely its mask is drawn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    caption: str = "a photo of {classes}"
    """Prompt for an image without a caption of its own; `{classes}` becomes "a boat, a tree and a house"."""
    finest: Annotated[float, Field(ge=1.0, le=64.0)] = 4.0
    """Masks are refined on the image scaled to at most this many times the pixels of the model's own size (4:
    1024 × 1024 px for a model of 512 × 512), and at least once; from there labels go to the image's size."""
    absent: Literal["suppress", "keep"] = "suppress"
    """Whether classes that an image does not seem to show are left out (`masks/presence.py`). An image that
    brings classes of its own is believed."""
    sources_sha256: str | None = None
    """SHA-256 of the list of images, filled in when the run starts, so that a changed list is noticed."""

    @field_validator("caption")
    @classmethod
    def _check_caption(cls, text: str) -> str:
        rest = text.replace(CLASSES_FIELD, "")
        if "{" in rest or "}" in rest:
            raise ValueError("only {classes} can stand in a caption")
        return text
