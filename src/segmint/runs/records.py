"""What a run writes down: one record an item, one header a run, one a later mask set.

All are JSON for people and carry a checksum of themselves, so that a flipped byte in them is found as in
any other file.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segmint.errors import DamagedError, RunError
from segmint.settings import Flag, Settings, in_words
from segmint.textfile import parse_json, shown
from segmint.vocabulary import ClassEntry

SCHEMA_VERSION = 1
"""Layout of records and headers. A run of another version is refused by name, never guessed at."""
Kind = Literal["generate", "label", "relabel", "merge"]
"""What a run holds: minted images, existing images, another run's images with other masks, or the items of
several runs."""


CORRECTED = "corrected"
"""The method of a mask that a person changed elsewhere."""


class OutputSettings(Settings):
    """What is written for each item."""

    panel = "Output"

    image_format: Annotated[Literal["jpg", "png"], Flag("--image-format")] = "jpg"
    """`jpg` is JPEG at quality 95 without chroma subsampling; `png` is lossless."""
    keep_features: Annotated[bool, Flag("--keep-features")] = False
    """Keep each item's attention summary (float16 npz), so that masks can be made again without
    generating."""


class FileRecord(BaseModel):
    """One file of an item, so that `segmint verify` can tell whether it is whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Relative to the run folder, with forward slashes."""
    bytes: int
    sha256: str


class ItemRecord(BaseModel):
    """An item's sidecar, `items/ID.json`. All but `timings_s` and `checksum` follows from recipe and item
    alone."""

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
    """Share of all pixels, by label name (with "background", without the uncertain ones); only labels that
    appear."""
    uncertain_fraction: float | None = None
    """Share of all pixels that are 255."""
    agreement: float | None = None
    """Mean share of ballots behind each pixel's label, in [0, 1]."""
    presence: dict[str, float] = Field(default_factory=dict)
    """By class asked for: the share of the competition that it holds where it is strongest, in [0, 1]; empty
    where the method does not ask which classes there are."""
    absent: tuple[str, ...] = ()
    """Classes asked for that the image does not seem to show; they have no pixel."""
    helped: dict[str, float] = Field(default_factory=dict, exclude_if=lambda each: not each)
    """By class asked for: the share of the model's error about the image that its text takes away, below 0
    where it adds to it; left out where the model was not asked."""
    touching: tuple[tuple[int, int], ...] = Field(default=(), exclude_if=lambda each: not each)
    """A pixel (row, column) in each thing that touches another of its class; left out where none does."""
    separability: float | None = Field(default=None, exclude_if=lambda each: each is None)
    """How well foreground and background are parted (`masks.foreground`), in [0, 1]; left out where the
    method does not ask what stands out."""
    specks: int | None = Field(default=None, exclude_if=lambda each: each is None)
    """Regions too small to be meant that were given to what surrounds them; left out where nobody looked."""
    timings_s: dict[str, float] = Field(default_factory=dict)
    """Seconds by stage (`sampling`, `capture`, `masks`, `writing`), this item's share of its batch."""
    checksum: str = ""
    """SHA-256 of the rest of the record, as it is written; filled by `encode_record`."""


class Addition(BaseModel):
    """Items that a run got later, by a recipe of their own: `recipes/added-N.toml`, N from 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    """SHA-256 of that recipe."""
    created: str
    """UTC time, ISO 8601."""
    items: int
    """How many; they follow those that were there before in the plan."""


class RunHeader(BaseModel):
    """`run.json`: what made this run. With it a run explains itself without the package that wrote it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    segmint_version: str
    digest: str
    """SHA-256 of the recipe (see `Recipe.digest`)."""
    kind: Kind = "generate"
    created: str
    """UTC time, ISO 8601."""
    model: str
    revision: str | None = None
    model_licence: str | None = None
    vocabulary: str
    classes: tuple[ClassEntry, ...]
    parent: str | None = None
    """The run this one was derived from, if any."""
    items: int = 0
    """How many items are planned."""
    additions: tuple[Addition, ...] = Field(default=(), exclude_if=lambda each: not each)
    """What was added to the run, in order; left out where nothing was."""
    files: dict[str, FileRecord] = Field(default_factory=dict)
    """By role: `recipe`, `plan`, `labels`, and `recipe-N`, `plan-N` of additions."""
    checksum: str = ""
    """SHA-256 of the rest of the header, as it is written; filled by `encode_record`."""


class MaskSetRecord(BaseModel):
    """`masks/NAME/masks.json`: what made a later mask set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    segmint_version: str
    settings: dict[str, Any]
    """As the recipe's section `masks`."""
    checksum: str = ""
    """SHA-256 of the rest, as it is written; filled by `encode_record`."""


AnyRecord = ItemRecord | RunHeader | MaskSetRecord
Record = TypeVar("Record", ItemRecord, RunHeader, MaskSetRecord)


def encode_record(record: AnyRecord) -> bytes:
    """The record as JSON, its checksum at the end; equal records give equal bytes."""
    fields = record.model_dump(mode="json", exclude={"checksum"})
    fields["checksum"] = hashlib.sha256(_json(fields)).hexdigest()
    return _json(fields)


def decode_record(data: bytes, kind: type[Record], *, source: str) -> Record:
    """A record from JSON.

    Args:
        data: what a file held.
        kind: one of the classes above.
        source: the file, for messages.

    Raises:
        DamagedError: the file is no JSON, or has missing or unknown fields.
        RunError: it is of another schema version.
    """
    try:
        fields = parse_json(data.decode(), constants=True)
    except ValueError as error:
        raise DamagedError(f"{source} is damaged: {error}") from None
    _check_schema(fields, source)
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise DamagedError(f"{source} is damaged: {in_words(error, kind)}") from None


def check_paths(files: Mapping[str, FileRecord], known: Mapping[str, Sequence[str]], source: str) -> None:
    """Refuse a record whose files lie elsewhere than the layout has them: it names files of anybody's.

    Args:
        files: of the record.
        known: where each may lie, by role.
        source: the record's file, for messages.

    Raises:
        DamagedError: names the role, what was expected and what found.
    """
    for role, file in files.items():
        if file.path not in known.get(role, ()):
            wanted = " or ".join(known.get(role, ())) or f"one of {', '.join(known)}"
            raise DamagedError(
                f"{source} is damaged: its {shown(role)} is said to be {shown(file.path)}, expected {wanted}"
            )


def is_intact(record: AnyRecord, data: bytes) -> bool:
    """Whether a file holds exactly what was once written for this record."""
    return encode_record(record) == data


def _check_schema(fields: Any, source: str) -> None:
    found = fields.get("schema_version") if isinstance(fields, dict) else None
    if found == SCHEMA_VERSION:
        return
    if not isinstance(found, int) or not _sums_up(fields):
        raise DamagedError(f"{source} is damaged: it has no schema_version that can be trusted")
    wrote, advice = (
        ("a newer", "install a newer segmint")
        if found > SCHEMA_VERSION
        else ("an older", "use that version, or mint anew")
    )
    raise RunError(
        f"{source} was written by {wrote} version of segmint ({fields.get('segmint_version', 'unknown')}, "
        f"schema {found}); this one reads schema {SCHEMA_VERSION}: {advice}"
    )


def _sums_up(fields: dict[str, Any]) -> bool:
    """Whether a record of any version fits its own checksum, where it has one."""
    rest = {key: value for key, value in fields.items() if key != "checksum"}
    return fields.get("checksum") in (None, hashlib.sha256(_json(rest)).hexdigest())


def _json(fields: dict[str, Any]) -> bytes:
    return (json.dumps(fields, ensure_ascii=False, indent=1) + "\n").encode()
