"""Settings of what is drawn and labelled: the recipe's sections `vocabulary` and `prompts`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from segmint.plan import presets
from segmint.plan.classes import classes_from_data, parse_classes
from segmint.vocabulary import ClassEntry, Vocabulary

Channel = Annotated[int, Field(ge=0, le=255)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ClassSettings(BaseModel):
    """One class, in full."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """What the class is called in files and tables."""
    label_id: Annotated[int, Field(ge=1, le=254)]
    """The class's value in masks."""
    phrases: tuple[str, ...]
    """Words that stand for the class in attention, and in planned prompts, where any of them may be used."""
    colour: tuple[Channel, Channel, Channel]
    """Red, green and blue (0–255) in palette masks and pictures."""


class VocabularySettings(BaseModel):
    """The classes. `name = "voc"` alone fetches a preset, and `classes` may be text as `--classes` takes it,
    or a list or table as a classes file has it (docs/prompts.md). A kept recipe spells the classes out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = "toybox"
    """A preset (`voc`, `coco`, `toybox`), or what to call a list of your own."""
    classes: tuple[ClassSettings, ...]
    """The classes by ascending id; left out, they are those of the preset that `name` names."""

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = data.get("classes")
        if isinstance(given, list | tuple) and all(_is_full(each) for each in given):
            return {"name": "custom", **data}
        if given is None:
            vocabulary = presets.vocabulary(str(data.get("name", "toybox")))
        elif isinstance(given, str):
            vocabulary = parse_classes(given)
        else:
            vocabulary = classes_from_data({"classes": given}, name="custom")
        return {"name": vocabulary.name, **data, "classes": [_plain(entry) for entry in vocabulary.entries]}

    @model_validator(mode="after")
    def _check(self) -> "VocabularySettings":
        self.to_vocabulary()
        return self

    @classmethod
    def from_vocabulary(cls, vocabulary: Vocabulary) -> "VocabularySettings":
        """Settings that rebuild `vocabulary`."""
        return cls.model_validate(
            {"name": vocabulary.name, "classes": [_plain(entry) for entry in vocabulary.entries]}
        )

    def to_vocabulary(self) -> Vocabulary:
        """The vocabulary that these settings spell out.

        Raises:
            VocabularyError: a name or id is doubled, or a name or phrase is empty.
        """
        entries = [
            ClassEntry(name=each.name, label_id=each.label_id, phrases=each.phrases, colour=each.colour)
            for each in self.classes
        ]
        return Vocabulary.of_entries(entries, name=self.name)


class PromptSettings(BaseModel):
    """Where prompts come from: planned from the classes by templates, or read from a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["planned", "file"] = "planned"
    """`planned` writes prompts from the classes; `file` reads them."""
    templates: str = "auto"
    """Planned: `photo`, `plain`, `toybox`, or the name of a template file of your own.
    `auto` follows the model: `toybox` for the toybox model, else `photo`."""
    templates_sha256: str | None = None
    """Planned: SHA-256 of the template file, so that a change is noticed; filled in when the run starts."""
    class_counts: tuple[Weight, Weight, Weight] = (0.5, 0.35, 0.15)
    """Planned: weights of images with one, two and three classes."""
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
    images_per_prompt: Annotated[int, Field(ge=1, le=10_000)] = 1
    """File: how many images each prompt gets, each with its own seed."""

    @model_validator(mode="after")
    def _check(self) -> "PromptSettings":
        if sum(self.class_counts) <= 0:
            raise ValueError("class_counts are all zero; give one, two or three classes an image some weight")
        return self


def _is_full(given: Any) -> bool:
    return isinstance(given, ClassSettings) or (isinstance(given, dict) and "label_id" in given)


def _plain(entry: ClassEntry) -> dict[str, Any]:
    return {"name": entry.name, "label_id": entry.label_id, "phrases": entry.phrases, "colour": entry.colour}
