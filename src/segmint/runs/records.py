"""What a run writes down: one record an item, one header a run."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1


class FileRecord(BaseModel):
    """One file of an item, so that `segmint verify` can tell whether it is whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Relative to the run folder, with forward slashes."""
    bytes: int
    sha256: str


class ItemRecord(BaseModel):
    """An item's sidecar, `items/ID.json`. All but `timings_s` follows from recipe and item alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    segmint_version: str
    id: str
    index: int
    status: Literal["done", "failed"] = "done"
    error: str | None = None
    """Why a failed item failed."""
    attempts: int = 1
    """How many seeds were tried; the first is the plan's."""
    prompt: str
    negative_prompt: str = ""
    prompt_truncated: bool = False
    """The prompt was longer than the text encoder reads; the model saw only its beginning."""
    classes: tuple[str, ...]
    label_ids: tuple[int, ...]
    phrases: tuple[tuple[str, ...], ...]
    seed: int
    """The seed that made the image (the plan's, unless a retry was asked for)."""
    model: str
    revision: str | None = None
    model_licence: str | None = None
    method: str
    width_px: int | None = None
    height_px: int | None = None
    source: str | None = None
    """Original file of a labelled photograph; None for a minted image."""
    files: dict[str, FileRecord] = Field(default_factory=dict)
    """By role: `image`, `mask`, `agreement`, `features`."""
    areas: dict[str, float] = Field(default_factory=dict)
    """Share of all pixels, by label name (with "background", without the uncertain ones); only labels that appear."""
    uncertain_fraction: float | None = None
    """Share of all pixels that are 255."""
    agreement: float | None = None
    """Mean share of ballots behind each pixel's label, in [0, 1]."""
    timings_s: dict[str, float] = Field(default_factory=dict)
    """Seconds by stage (`sampling`, `capture`, `masks`, `writing`), this item's share of its batch."""


class ClassRecord(BaseModel):
    """One vocabulary entry as the run's header keeps it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    label_id: int
    phrases: tuple[str, ...]
    colour: tuple[int, int, int]


class RunHeader(BaseModel):
    """`run.json`: what made this run. With it a run explains itself without the package that wrote it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    segmint_version: str
    digest: str
    """SHA-256 of the recipe (see `Recipe.digest`)."""
    kind: Literal["generate", "label", "relabel"] = "generate"
    created: str
    """UTC time, ISO 8601."""
    model: str
    revision: str | None = None
    model_licence: str | None = None
    vocabulary: str
    classes: tuple[ClassRecord, ...]
    parent: str | None = None
    """The run this one was derived from, if any."""
