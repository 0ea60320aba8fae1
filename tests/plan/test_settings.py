"""The recipe's sections `vocabulary` and `prompts`."""

import pytest
from pydantic import ValidationError

from segmint.errors import VocabularyError
from segmint.plan.classes import preset_vocabulary
from segmint.plan.settings import PromptSettings, VocabularySettings
from segmint.vocabulary import Vocabulary


def test_the_default_is_the_toybox() -> None:
    assert VocabularySettings().to_vocabulary() == preset_vocabulary("toybox")


def test_a_preset_is_fetched_by_its_name_and_spelled_out() -> None:
    settings = VocabularySettings.model_validate({"name": "voc"})
    assert len(settings.classes) == 20
    assert settings.to_vocabulary() == preset_vocabulary("voc")


@pytest.mark.parametrize(
    "vocabulary",
    [
        preset_vocabulary("coco"),
        preset_vocabulary("voc").subset(["cat", "sofa"]),
        Vocabulary.of(["a b"], phrases={"a b": ["x", "y"]}, colours={"a b": (1, 2, 3)}, name="mine"),
    ],
)
def test_any_vocabulary_is_rebuilt_from_its_settings(vocabulary: Vocabulary) -> None:
    settings = VocabularySettings.from_vocabulary(vocabulary)
    again = VocabularySettings.model_validate(settings.model_dump(mode="json"))
    assert again == settings
    assert again.to_vocabulary() == vocabulary


@pytest.mark.parametrize(
    ("given", "name", "ids"),
    [
        ({"classes": "voc: cat, dog"}, "voc", {"cat": 8, "dog": 12}),
        ({"classes": "pallet, vest"}, "custom", {"pallet": 1, "vest": 2}),
        ({"classes": ["pallet", {"name": "vest", "phrases": "x"}]}, "custom", {"pallet": 1, "vest": 2}),
        ({"classes": {"pallet": [], "vest": ["x"]}, "name": "mine"}, "mine", {"pallet": 1, "vest": 2}),
        ({"classes": [{"name": "vest", "id": 7}]}, "custom", {"vest": 7}),
    ],
)
def test_a_hand_written_recipe_may_say_classes_in_short(
    given: dict[str, object], name: str, ids: dict[str, int]
) -> None:
    settings = VocabularySettings.model_validate(given)
    assert settings.name == name
    assert {each.name: each.label_id for each in settings.classes} == ids
    assert VocabularySettings.model_validate(settings.model_dump(mode="json")) == settings


def test_a_name_that_is_no_preset_needs_classes() -> None:
    with pytest.raises(VocabularyError, match="no preset is called 'mine'"):
        VocabularySettings.model_validate({"name": "mine"})


def test_classes_that_contradict_each_other_are_refused() -> None:
    cat = {"name": "cat", "label_id": 1, "phrases": ["cat"], "colour": [1, 2, 3]}
    with pytest.raises(VocabularyError, match="share the id 1"):
        VocabularySettings.model_validate(
            {"name": "x", "classes": [cat, {**cat, "name": "dog", "phrases": ["dog"]}]}
        )
    with pytest.raises(VocabularyError, match="no class is named"):
        VocabularySettings.model_validate({"name": "x", "classes": []})
    with pytest.raises(ValidationError):
        VocabularySettings.model_validate({"name": "x", "classes": [{**cat, "colour": [1, 2, 256]}]})
    with pytest.raises(ValidationError):
        VocabularySettings.model_validate({"name": "x", "classes": [cat], "surprise": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"class_counts": [0, 0, 0]},
        {"class_counts": [1, -1, 1]},
        {"class_counts": [1, 1]},
        {"class_counts": ["nan", 1, 1]},
        {"class_counts": ["inf", 1, 1]},
        {"source": "dream"},
        {"images_per_prompt": 0},
        {"seed": -1},
        {"surprise": 1},
    ],
)
def test_prompt_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PromptSettings.model_validate(wrong)
