"""Recipe: everything that decides what a run contains, as one validated, digestible value.

A recipe is composed of the settings that each room defines for itself. Read it from TOML with `load_recipe`,
lay a few flags over it with `Recipe.merged`, write it with `Recipe.to_toml`. Its digest names the content it
makes: two runs with one digest hold the same items.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from segmint.backbone.settings import CaptureSettings, ModelSettings, ObserveSettings, SamplingSettings
from segmint.masks.settings import MaskSettings, profile
from segmint.plan.settings import PhotoSettings, PromptSettings, VocabularySettings
from segmint.runs.records import OutputSettings
from segmint.settings import Settings, with_changes


class Recipe(Settings):
    """What to mint and how. Sections are the rooms of the package; see each section's own fields."""

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

    def merged(self, changes: Mapping[str, Any]) -> "Recipe":
        """This recipe with dotted fields replaced, as `Settings.merged`; another method brings its profile.

        Raises:
            ConfigError: a field is unknown or its value out of range.
        """
        return self.parse(_laid_over(self.model_dump(mode="json"), changes))


def load_recipe(path: Path) -> Recipe:
    """A recipe from a TOML file; missing sections and fields take their defaults.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or holds an unknown or invalid field.
    """
    return Recipe.load(path)


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
    return Recipe.parse(_laid_over(base, changes, source=source), source=source)


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


def _laid_over(
    base: Mapping[str, Any], changes: Mapping[str, Any], *, source: str = "settings"
) -> dict[str, Any]:
    if "masks.method" in changes and _is_bare_profile(base.get("masks")):
        base = {key: value for key, value in base.items() if key != "masks"}
    return with_changes(base, changes, source=source)


def _is_bare_profile(masks: Any) -> bool:
    try:
        settings = MaskSettings.model_validate(masks)
    except ValidationError:
        return False
    return settings == profile(settings.method)
