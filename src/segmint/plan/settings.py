"""Settings of what is drawn and labelled: the recipe's sections `vocabulary`, `prompts` and `photos`."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from segmint.plan.classes import classes_from_data, parse_classes, preset_vocabulary
from segmint.settings import Flag, Settings
from segmint.vocabulary import ClassEntry, Vocabulary

CLASSES_FIELD = "{classes}"
"""Where a caption names the classes."""
_NUMBER = re.compile(r"[0-9]*\.?[0-9]+")
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def parse_weights(text: Any) -> Any:
    """Weights from text such as `star=3, boat=0.5`; anything but text as it is.

    Raises:
        ValueError: a part is no NAME=NUMBER, or a name comes twice.
    """
    if not isinstance(text, str):
        return text
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        clean = " ".join(name.split())
        if not clean or clean in found or not _NUMBER.fullmatch(number.strip()):
            raise ValueError(f'expected each class once, as in "star=3, boat=0.5", found {part!r}')
        found[clean] = float(number)
    return found


class VocabularySettings(Settings):
    """The classes. `name = "voc"` alone fetches a preset, and `classes` may be text as `--classes` takes it,
    or a list or table as a classes file has it (docs/prompts.md). A kept recipe spells the classes out.
    """

    name: str = "toybox"
    """A preset (`voc`, `coco`, `toybox`, `yard`), or what to call a list of your own."""
    classes: tuple[ClassEntry, ...]
    """The classes by ascending id; left out, they are those of the preset that `name` names."""
    _vocabulary: Vocabulary = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = data.get("classes")
        if isinstance(given, list | tuple) and all(
            isinstance(each, ClassEntry) or (isinstance(each, dict) and "label_id" in each) for each in given
        ):
            return {"name": "custom", **data}
        if given is None:
            vocabulary = preset_vocabulary(str(data.get("name", "toybox")))
        elif isinstance(given, str):
            vocabulary = parse_classes(given)
        else:
            vocabulary = classes_from_data({"classes": given}, name="custom")
        return {"name": vocabulary.name, **data, "classes": vocabulary.entries}

    @model_validator(mode="after")
    def _check(self) -> "VocabularySettings":
        self._vocabulary = Vocabulary.of_entries(self.classes, name=self.name)
        return self

    @classmethod
    def from_vocabulary(cls, vocabulary: Vocabulary) -> "VocabularySettings":
        """Settings that rebuild `vocabulary`."""
        return cls(name=vocabulary.name, classes=vocabulary.entries)

    def to_vocabulary(self) -> Vocabulary:
        """The vocabulary that these settings spell out."""
        return self._vocabulary


class PromptSettings(Settings):
    """Where prompts come from: planned from the classes by templates, or read from a file."""

    panel = "What to draw"

    source: Literal["planned", "file"] = "planned"
    """`planned` writes prompts from the classes; `file` reads them."""
    templates: Annotated[str, Flag("--templates", metavar="SET")] = "auto"
    """Wording of planned prompts: `photo`, `plain`, `toybox`, `yard`, or a template file of your own.
    `auto` follows the model: `toybox` and `yard` for the models of these names, else `photo`."""
    templates_sha256: str | None = None
    """Planned: SHA-256 of the template file, so that a change is noticed; filled in when the run starts."""
    class_counts: tuple[Weight, Weight, Weight] = (0.5, 0.35, 0.15)
    """Planned: weights of images with one, two and three classes."""
    weights: Annotated[
        dict[str, Weight] | None,
        BeforeValidator(parse_weights),
        Field(exclude_if=lambda each: each is None),
        Flag("--weights", metavar="NAME=NUMBER,…"),
    ] = None
    """Planned: how often a class is drawn, "star=3, boat=0.5". A class that is not named has weight 1, one of
    weight 0 is never drawn."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Planned: decides which classes meet and how they are worded; None takes `sampling.seed`."""
    append_class_names: bool = False
    """Add "; " and the class phrases to every prompt, as Dataset Diffusion does."""
    file: str | None = None
    """File: its name, without folders."""
    file_sha256: str | None = None
    """File: SHA-256 of its bytes; filled in when the run starts."""
    format: Literal["auto", "jsonl", "json", "csv", "text"] = "auto"
    """File: how it is written; `auto` looks at its suffix and content."""
    images_per_prompt: Annotated[int, Field(ge=1, le=10_000), Flag("--images-per-prompt")] = 1
    """File: how many images each prompt gets, each with its own seed."""

    @model_validator(mode="after")
    def _check(self) -> "PromptSettings":
        if sum(self.class_counts) <= 0:
            raise ValueError("class_counts are all zero; give one, two or three classes an image some weight")
        if self.weights and self.source == "file":
            raise ValueError("weights are of planned prompts; prompts of a file are taken as they come")
        return self


class PhotoSettings(Settings):
    """What is said of an image that comes without a caption, and how finely its mask is drawn."""

    panel = "Looking"

    caption: Annotated[str, Flag("--caption", metavar="TEXT")] = "a photo of {classes}"
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
