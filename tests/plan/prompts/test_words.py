"""English words: articles, plurals, and class words in a text."""

import pytest

from segmint.plan.classes import preset_vocabulary
from segmint.plan.prompts.words import article, find_classes, match_all, noun, word_table
from segmint.vocabulary import Vocabulary

VOC = word_table(preset_vocabulary("voc"))
OWN = word_table(Vocabulary.of(["fox", "bear", "teddy bear", "cherry", "man", "hi-vis vest", "+"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("boat", "a"),
        ("orange", "an"),
        ("Umbrella", "an"),
        ("unicycle", "a"),
        ("hour", "an"),
        ("European train", "a"),
        ("", "a"),
    ],
)
def test_article(text: str, expected: str) -> None:
    assert article(text) == expected


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("boat", ("boat", True)),
        ("scissors", ("pair of scissors", True)),
        ("broccoli", ("broccoli", False)),
        ("goggles", ("goggles", False)),
        ("bus", ("bus", True)),
        ("wine glass", ("wine glass", True)),
        ("camera lens", ("camera lens", True)),
    ],
)
def test_noun(phrase: str, expected: tuple[str, bool]) -> None:
    assert noun(phrase) == expected


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("a dog on a sofa", ("dog", "sofa")),
        ("two dogs and buses", ("dog", "bus")),
        ("the Dining table, with CHAIRS", ("diningtable", "chair")),
        ("a man riding a horse", ("person", "horse")),
        ("people's dogs", ("person", "dog")),
        ("two sheep", ("sheep",)),
        ("a catalogue of carpets", ()),
        ("a hot dog", ()),
        ("a train at the train station", ("train",)),
        ("cat cat cat", ("cat",)),
        ("", ()),
    ],
)
def test_classes_of_voc_in_a_text(text: str, classes: tuple[str, ...]) -> None:
    assert find_classes(text, VOC) == classes


def test_own_classes_go_before_what_is_known_of_english() -> None:
    assert find_classes("a teddy bear beside two bears", OWN) == ("teddy bear", "bear")
    assert find_classes("foxes, cherries and men", OWN) == ("fox", "cherry", "man")
    assert find_classes("a hi-vis vest", OWN) == ("hi-vis vest",)
    assert find_classes("a + b", OWN) == ()


def test_text_of_nothing_but_class_words() -> None:
    assert match_all("tv monitor dining table", VOC) == (("tvmonitor", "diningtable"), None)
    assert match_all("person person sofa", VOC) == (("person", "sofa"), None)
    assert match_all("person spaceship", VOC) == (("person",), "spaceship")
    assert match_all("", VOC) == ((), None)
