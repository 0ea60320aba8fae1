"""Template files: what they may hold, and what is said when they do not."""

import hashlib
from pathlib import Path

import pytest

from segmint.errors import PromptError
from segmint.plan.prompts.templates import SETS, load_templates


@pytest.mark.parametrize("name", SETS)
def test_the_shipped_sets_load(name: str) -> None:
    templates = load_templates(name)
    assert templates.name == name
    assert all(templates.prompts)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    content = """
        thing = ["the {shade} {name}"]
        prompt = ["{things} {place}"]
        prompt_two = ["both {things}"]
        [lists]
        shade = ["dark", "pale"]
        place = {boat = ["at sea"], "*" = [""]}
    """
    path = tmp_path / "mine.toml"
    path.write_text(content)
    templates = load_templates(path)
    assert templates.name == "mine.toml"
    assert templates.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert templates.prompts == (("{things} {place}",), ("both {things}",), ("{things} {place}",))
    assert templates.links == (" and ",)
    assert templates.lists == {"shade": {"*": ("dark", "pale")}, "place": {"boat": ("at sea",), "*": ("",)}}
    assert load_templates(str(path)) == templates


def test_lists_of_a_shipped_set_stand_behind_those_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("lists_from = 'photo'\nprompt = ['{things} {setting}{light}']\n[lists]\nlight = ['!']")
    found, photo = load_templates(path), load_templates("photo")
    assert found.lists["setting"] == photo.lists["setting"]
    assert found.lists["light"] == {"*": ("!",)}
    assert found.sha256 != hashlib.sha256(path.read_bytes()).hexdigest()  # it changes as that set does


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("prompt = [", "not TOML"),
        ("", "prompt_one must be a list"),
        ("prompt_one = ['{things}']", "prompt_two must be a list"),
        ("prompt = 'a {things}'", "must be a list"),
        ("prompt = []", "must be a list"),
        ("prompt = [3]", "must be a list"),
        ("prompt = ['a photo']", r"must hold \{things\} once"),
        ("prompt = ['{things} and {things}']", r"must hold \{things\} once"),
        ("prompt = ['{things} {place}']", r"names \{place\}, for which lists has no words"),
        ("prompt = ['{things} {']", "a brace without a partner"),
        ("prompt = ['{things}']\nthing = ['a thing']", r"must hold \{name\} once"),
        ("prompt = ['{things}']\nlink = [' {how} ']", r"names \{how\}"),
        ("prompt = ['{things}']\nlists = 3", "lists must be a table"),
        ("prompt = ['{things}']\n[lists.place]\nboat = ['at sea']", r'lists.place has no "\*"'),
        ("prompt = ['{things}']\n[lists]\nplace = 'at sea'", "must be a list"),
        ("prompts = ['{things}']", "unknown key 'prompts'"),
        ("prompt = ['{things}']\nlists_from = 'foto'", "lists_from must be one of photo, dense, .* 'foto'"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(PromptError, match=said) as caught:
        load_templates(path)
    assert str(path) in str(caught.value)


def test_what_is_not_there() -> None:
    for source in ("foto", Path("foto")):
        with pytest.raises(PromptError, match="called 'foto'; sets are photo, dense, plain, toybox"):
            load_templates(source)
    with pytest.raises(PromptError, match=r"cannot read template file 'foto\.toml'"):
        load_templates("foto.toml")
