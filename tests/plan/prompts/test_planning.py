"""Planned prompts: balanced, repeatable, and about their classes only."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmint.errors import PromptError
from segmint.plan.classes import preset_vocabulary
from segmint.plan.prompts.planning import plan
from segmint.plan.prompts.templates import load_templates
from segmint.plan.prompts.words import find_classes, word_table
from segmint.plan.settings import PromptSettings
from segmint.specs import is_item_id
from segmint.vocabulary import Vocabulary

PLAIN = PromptSettings(templates="plain")
SETTLED = PromptSettings(templates="plain", class_counts=(0, 1, 0))


def test_the_plain_wording() -> None:
    vocabulary = Vocabulary.of(["apple"])
    (spec,) = plan(vocabulary, PLAIN, count=1, seed=7)
    assert spec.prompt == "a photo of an apple"
    assert (spec.item_id, spec.index, spec.seed) == ("000000", 0, 7)
    assert (spec.classes, spec.label_ids, spec.phrases) == (("apple",), (1,), (("apple",),))
    assert spec.negative_prompt is None


def test_two_and_three_classes() -> None:
    vocabulary = Vocabulary.of(["boat", "tree"])
    assert {spec.prompt for spec in plan(vocabulary, SETTLED, count=20, seed=0)} == {
        "a photo of a boat and a tree",
        "a photo of a tree and a boat",
    }
    three = PromptSettings(templates="plain", class_counts=(0, 0, 1))
    for spec in plan(Vocabulary.of(["boat", "tree", "apple"]), three, count=10, seed=0):
        assert re.fullmatch(r"a photo of an? \w+, an? \w+ and an? \w+", spec.prompt)


def test_a_small_vocabulary_has_no_more_classes_an_image_than_it_has() -> None:
    assert all(spec.classes == ("boat",) for spec in plan(Vocabulary.of(["boat"]), SETTLED, count=5, seed=0))


@settings(max_examples=40)
@given(
    size=st.integers(1, 25),
    weights=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)).filter(any),
    count=st.integers(1, 60),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_class_comes_as_often_as_any_other(
    size: int, weights: tuple[int, int, int], count: int, seed: int
) -> None:
    vocabulary = Vocabulary.of([f"thing{i}" for i in range(size)])
    settings = PromptSettings(templates="plain", class_counts=weights)
    specs = plan(vocabulary, settings, count=count, seed=seed)
    times = Counter(name for spec in specs for name in spec.classes)
    assert max(times.values()) - min(times[name] for name in vocabulary.names) <= 2
    sizes = {min(n, size) for n, weight in enumerate(weights, start=1) if weight}
    assert all(len(set(spec.classes)) == len(spec.classes) in sizes for spec in specs)


@settings(max_examples=25)
@given(count=st.integers(1, 25), more=st.integers(0, 25), seed=st.integers(0, 2**63 - 1))
def test_a_longer_plan_begins_with_the_shorter(count: int, more: int, seed: int) -> None:
    vocabulary = preset_vocabulary("toybox")
    settings = PromptSettings(templates="toybox")
    short = plan(vocabulary, settings, count=count, seed=seed)
    long = plan(vocabulary, settings, count=count + more, seed=seed)
    assert long[:count] == short
    assert all(is_item_id(spec.item_id) and 0 <= spec.seed < 2**63 for spec in long)


def test_the_plan_of_a_recipe_stays_what_it_is() -> None:
    """Golden: a change here changes every run that a user might resume, and needs a line in the changelog."""
    specs = plan(preset_vocabulary("voc"), PromptSettings(templates="plain"), count=4, seed=2024)
    assert [spec.prompt for spec in specs] == GOLDEN


def test_the_seed_of_the_wording_can_be_its_own() -> None:
    vocabulary = preset_vocabulary("voc")
    settings = PromptSettings(templates="photo", seed=3)
    first, second = (plan(vocabulary, settings, count=9, seed=seed) for seed in (10, 20))
    assert [spec.prompt for spec in first] == [spec.prompt for spec in second]
    assert [spec.seed for spec in first] == list(range(10, 19))
    other = plan(vocabulary, PromptSettings(templates="photo"), count=9, seed=10)
    assert [spec.prompt for spec in first] != [spec.prompt for spec in other]


def test_class_weights_are_kept() -> None:
    settings = PromptSettings(templates="plain", class_counts=(0.6, 0.3, 0.1))
    specs = plan(preset_vocabulary("voc"), settings, count=400, seed=1)
    shares = Counter(len(spec.classes) for spec in specs)
    assert [shares[n] / 400 for n in (1, 2, 3)] == pytest.approx([0.6, 0.3, 0.1], abs=0.06)


def test_class_names_are_appended_on_demand() -> None:
    settings = PromptSettings(templates="plain", append_class_names=True, class_counts=(0, 1, 0))
    (spec,) = plan(preset_vocabulary("voc").subset(["diningtable", "cat"]), settings, count=1, seed=0)
    assert re.search(r"; (table cat|cat table)$", spec.prompt)


@pytest.mark.parametrize(
    ("preset", "templates"),
    [
        *(("voc", each) for each in ("photo", "dense")),
        *(("coco", each) for each in ("photo", "dense")),
        ("toybox", "toybox"),
        ("yard", "yard"),
    ],
)
def test_a_prompt_names_its_classes_and_no_other(preset: str, templates: str) -> None:
    vocabulary = preset_vocabulary(preset)
    table = word_table(vocabulary)
    for spec in plan(vocabulary, PromptSettings(templates=templates), count=150, seed=4):
        assert set(find_classes(spec.prompt, table)) == set(spec.classes), spec.prompt
        assert re.search(r"  |\{|\}| ,|a\(n\)|\ba [aeio]\w|\ban [^aeiouh\W]", spec.prompt) is None, (
            spec.prompt
        )


def test_toybox_prompts_use_only_words_that_its_captions_can_hold() -> None:
    captions = pytest.importorskip("segmint.toybox.captions")
    known = set(captions.words())
    specs = plan(preset_vocabulary("toybox"), PromptSettings(templates="toybox"), count=300, seed=0)
    assert {word for spec in specs for word in re.findall(r"[a-z]+", spec.prompt)} <= known


def test_toybox_colours_are_those_in_which_the_world_draws() -> None:
    shapes = pytest.importorskip("segmint.toybox.shapes")
    colours = load_templates("toybox").lists["colour"]
    for name, kind in shapes.KINDS.items():
        assert set(colours[name]) <= set(kind.colours)


def test_phrases_take_turns() -> None:
    vocabulary = Vocabulary.of(["vehicle"], phrases={"vehicle": ["car", "old truck"]})
    prompts = {spec.prompt for spec in plan(vocabulary, PLAIN, count=20, seed=0)}
    assert prompts == {"a photo of a car", "a photo of an old truck"}


def test_articles_follow_the_words_that_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "thing = ['a(n) {look} {name}']\nprompt = ['a(n) {look} photo: {things} .']\nlists = {look = ['old']}"
    )
    vocabulary = Vocabulary.of(["scissors", "goggles", "boat"])
    specs = plan(
        vocabulary, PromptSettings(class_counts=(1, 0, 0)), count=9, seed=0, templates=load_templates(path)
    )
    assert {spec.prompt for spec in specs} == {
        "an old photo: an old pair of scissors.",
        "an old photo: old goggles.",
        "an old photo: an old boat.",
    }


def test_words_that_name_another_class_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("prompt = ['{things} {place}']\nlists = {place = ['on a bench', 'near boats']}")
    vocabulary = Vocabulary.of(["bench", "boat"])
    settings = PromptSettings(class_counts=(1, 0, 0))
    specs = plan(vocabulary, settings, count=10, seed=0, templates=load_templates(path))
    assert {spec.prompt for spec in specs} == {"a bench on a bench", "a boat near boats"}
    (spec,) = plan(vocabulary.subset(["bench"]), settings, count=1, seed=0, templates=load_templates(path))
    assert spec.prompt in {"a bench on a bench", "a bench near boats"}
    path.write_text("prompt = ['{things} {place}']\nlists = {place = ['near boats']}")
    specs = plan(vocabulary, settings, count=2, seed=0, templates=load_templates(path))
    assert {spec.prompt for spec in specs} == {"a bench", "a boat near boats"}


def test_what_cannot_be_planned() -> None:
    vocabulary = Vocabulary.of(["boat"])
    for count in (0, -1):
        with pytest.raises(PromptError, match="ask for 1 or more"):
            plan(vocabulary, PLAIN, count=count, seed=0)
    with pytest.raises(PromptError, match="not those of the recipe"):
        plan(vocabulary, PromptSettings(templates="plain", templates_sha256="0" * 64), count=1, seed=0)
    with pytest.raises(PromptError, match="no template set"):
        plan(vocabulary, PromptSettings(templates="none"), count=1, seed=0)


GOLDEN = [
    "a photo of a train",
    "a photo of a pot plant and a motorbike",
    "a photo of a dog and a bus",
    "a photo of a sofa and a monitor",
]
