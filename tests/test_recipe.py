"""Recipes: read, laid over, digested, compared."""

from pathlib import Path

import pytest

from segmint.errors import ConfigError
from segmint.masks.settings import profile
from segmint.recipe import Recipe, changed_fields, compose, load_recipe


def test_default_recipe_survives_toml(tmp_path: Path) -> None:
    recipe = Recipe()
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(path) == recipe


def test_digest_names_the_content() -> None:
    recipe = Recipe()
    same = Recipe.parse(recipe.model_dump(mode="json"))
    assert same.digest() == recipe.digest()
    assert recipe.merged({"sampling.steps": 7}).digest() != recipe.digest()


def test_merged_replaces_a_dotted_field_and_leaves_the_rest() -> None:
    recipe = Recipe()
    merged = recipe.merged({"sampling.steps": 7, "model.id": "x/y"})
    assert (merged.sampling.steps, merged.model.id) == (7, "x/y")
    assert changed_fields(recipe.model_dump(mode="json"), merged.model_dump(mode="json")) == [
        "model.id",
        "sampling.steps",
    ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sampling.stepz": 3}, "sampling.stepz"),
        ({"nowhere.x": 1}, "nowhere.x"),
        ({"sampling.steps": 0}, "sampling.steps"),
    ],
)
def test_a_wrong_field_or_value_is_named(changes: dict[str, int], named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace(".", r"\.")):
        Recipe().merged(changes)


def test_an_unknown_section_names_itself_and_the_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[samplings]\nsteps = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"recipe\.toml.*samplings"):
        load_recipe(path)


@pytest.mark.parametrize(
    "method", ['["pcc"]', "{name = 'pcc'}", "7", '""', "true", "1979-05-27", '"pcc\\u0000"', "nan"]
)
def test_a_method_that_is_no_name_is_refused_in_a_line(tmp_path, method):
    path = tmp_path / "recipe.toml"
    path.write_text(f"[masks]\nmethod = {method}\n")
    with pytest.raises(ConfigError, match="masks") as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[sampling", b""])
def test_an_unreadable_recipe_is_an_error_and_an_empty_one_is_the_default(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    if content:
        with pytest.raises(ConfigError, match=r"recipe\.toml"):
            load_recipe(path)
    else:
        assert load_recipe(path) == Recipe()


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        load_recipe(tmp_path / "nothing.toml")


def test_another_method_brings_its_own_profile() -> None:
    kept = compose({}, {"masks.method": "pcc"})
    switched = compose(kept.model_dump(mode="json"), {"masks.method": "pcc-published"})
    assert switched.masks == profile("pcc-published")
    assert kept.merged({"masks.method": "pcc-published"}) == switched


def test_mask_settings_of_ones_own_outlive_another_method() -> None:
    recipe = compose({"masks": {"vote": {"share": 0.9}}}, {"masks.method": "pcc-published"})
    assert recipe.masks.vote.share == 0.9
    assert recipe.masks.clusters == profile("pcc-published").clusters


def test_a_field_inside_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="is a value, not a section"):
        compose({"sampling": {"steps": 4}}, {"sampling.steps.more": 1})
