"""Recipe: everything that decides what a run contains, as one validated, digestible value.

A recipe is composed of the settings that each room defines for itself. Read it from TOML with `load_recipe`,
lay a few flags over it with `Recipe.merged`, write it with `Recipe.to_toml`. Its digest names the content it
makes: two runs with one digest hold the same items.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segmint.backbone.settings import CaptureSettings, ModelSettings, ObserveSettings, SamplingSettings
from segmint.errors import ConfigError
from segmint.masks.settings import PROFILES, MaskSettings
from segmint.plan.photos.settings import PhotoSettings
from segmint.plan.settings import PromptSettings, VocabularySettings
from segmint.runs.settings import OutputSettings


class Recipe(BaseModel):
    """What to mint and how. Sections are the rooms of the package; see each section's own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    """Version of this layout; a run made by another version is refused or migrated, never guessed at."""
    model: ModelSettings = Field(default_factory=ModelSettings)
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    capture: CaptureSettings = Field(default_factory=CaptureSettings)
    observation: ObserveSettings = Field(default_factory=ObserveSettings)
    photos: PhotoSettings = Field(default_factory=PhotoSettings)
    masks: MaskSettings = Field(default_factory=MaskSettings)
    vocabulary: VocabularySettings = Field(default_factory=lambda: VocabularySettings.model_validate({}))
    prompts: PromptSettings = Field(default_factory=PromptSettings)
    output: OutputSettings = Field(default_factory=OutputSettings)

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, source: str = "recipe") -> "Recipe":
        """A recipe from plain data.

        Raises:
            ConfigError: an unknown field or a value out of range; names each field, as `sampling.steps`.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(f"{source}: {_one_line(error)}") from None

    def merged(self, changes: Mapping[str, Any]) -> "Recipe":
        """This recipe with dotted fields replaced, for example `{"sampling.steps": 20}`.

        Raises:
            ConfigError: a field is unknown or its value out of range.
        """
        data = self.model_dump(mode="json")
        for dotted in changes:
            *sections, last = dotted.split(".")
            target: Any = data
            for section in sections:
                target = target.get(section) if isinstance(target, dict) else None
            if not isinstance(target, dict) or last not in target:
                raise ConfigError(
                    f"unknown recipe field {dotted!r}; fields of a recipe are listed in docs/recipe.md"
                )
        return compose(data, changes)

    def digest(self) -> str:
        """SHA-256 (hex) of the recipe's canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_toml(self) -> str:
        """The recipe as TOML; fields that are None are left out, since TOML has no null."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))


def load_recipe(path: Path) -> Recipe:
    """A recipe from a TOML file; missing sections and fields take their defaults.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or holds an unknown or invalid field.
    """
    return Recipe.parse(read_toml(path), source=str(path))


def compose(base: Mapping[str, Any], changes: Mapping[str, Any], *, source: str = "settings") -> Recipe:
    """A recipe from partial data with dotted fields laid over it.

    Another `masks.method` brings the values of its own profile: a `masks` section that is exactly the profile
    of its method (as in the recipe that a run keeps) gives way to it; only fields that were set by hand stay.

    Args:
        base: what a recipe file says.
        changes: for example `{"sampling.steps": 20, "masks.method": "pcc-published"}`.
        source: where the values come from, for messages.

    Raises:
        ConfigError: a field is unknown or its value out of range.
    """
    data = json.loads(json.dumps(base, default=str))
    if "masks.method" in changes and _is_bare_profile(data.get("masks")):
        del data["masks"]
    for dotted, value in changes.items():
        *sections, last = dotted.split(".")
        target = data
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{source}: {section!r} in {dotted!r} is a value, not a section")
        target[last] = value
    return Recipe.parse(data, source=source)


def read_toml(path: Path) -> dict[str, Any]:
    """The plain data of a recipe file, not yet validated.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read recipe {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the fields in which two dumped recipes differ, sorted."""
    changed: list[str] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changed += changed_fields(before, after, f"{prefix}{key}.")
        elif before != after:
            changed.append(f"{prefix}{key}")
    return changed


def _is_bare_profile(masks: Any) -> bool:
    try:
        settings = MaskSettings.model_validate(masks)
    except ValidationError:
        return False
    return settings == PROFILES[settings.method]


def _one_line(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, issue['loc'])) or 'recipe'}: {issue['msg']}, found {issue['input']!r}"
        for issue in error.errors()
    )


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_without_none(each) for each in value]
    return value
