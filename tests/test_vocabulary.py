"""Vocabularies: what may stand in them, and which ids, colours and phrases it gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmint.errors import VocabularyError
from segmint.vocabulary import MAX_CLASSES, ClassEntry, Vocabulary, voc_colour


def entry(name: str, label_id: int, *phrases: str) -> ClassEntry:
    return ClassEntry(name=name, label_id=label_id, phrases=phrases or (name,), colour=(1, 2, 3))


def test_ids_phrases_and_colours_follow_the_order_given() -> None:
    vocabulary = Vocabulary.of(["boat ", "traffic  light"], phrases={"boat": ["sailing boat"]})
    assert vocabulary.names == ("boat", "traffic light")
    assert [each.label_id for each in vocabulary.entries] == [1, 2]
    assert [each.phrases for each in vocabulary.entries] == [("sailing boat",), ("traffic light",)]
    assert [each.colour for each in vocabulary.entries] == [(128, 0, 0), (0, 128, 0)]
    assert vocabulary.label_names == ("background", "boat", "traffic light")


def test_the_palette_is_that_of_the_voc_development_kit() -> None:
    kit = {0: (0, 0, 0), 1: (128, 0, 0), 3: (128, 128, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    assert {label_id: voc_colour(label_id) for label_id in kit} == kit
    assert voc_colour(255) == (224, 224, 192)
    assert len({voc_colour(label_id) for label_id in range(256)}) == 256


def test_own_colours_enter_the_palette_at_their_ids() -> None:
    palette = Vocabulary.of(["a", "b"], colours={"b": (9, 8, 7)}).palette()
    assert len(palette) == 768
    assert palette[:9] == [0, 0, 0, 128, 0, 0, 9, 8, 7]
    assert palette[-3:] == [224, 224, 192]


def test_254_classes_fit_and_255_do_not() -> None:
    names = [f"thing {i}" for i in range(MAX_CLASSES)]
    assert Vocabulary.of(names).entries[-1].label_id == 254
    with pytest.raises(VocabularyError, match="at most 254 classes fit a mask"):
        Vocabulary.of([*names, "one more"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "no class is named"),
        (["boat", " "], "class 2 of 2 is empty"),
        (["boat", "Boat"], "named twice"),
        (["Background"], "label 0"),
        (["bo\u200bat"], "invisible"),
        (["bo\0at"], "invisible"),
        (["\ud800"], "invisible"),
    ],
)
def test_names_that_cannot_be_used(names: list[str], said: str) -> None:
    with pytest.raises(VocabularyError, match=said):
        Vocabulary.of(names)


def test_phrases_and_colours_that_cannot_be_used() -> None:
    with pytest.raises(VocabularyError, match="phrases are given for 'ship'"):
        Vocabulary.of(["boat"], phrases={"ship": ["ship"]})
    with pytest.raises(VocabularyError, match="empty phrase"):
        Vocabulary.of(["boat"], phrases={"boat": ["ship", " "]})
    with pytest.raises(VocabularyError, match="'table' and 'desk' share the phrase 'Table'"):
        Vocabulary.of(["table", "desk"], phrases={"desk": ["Table"]})
    with pytest.raises(VocabularyError, match="expected three integers"):
        Vocabulary.of(["boat"], colours={"boat": (0, 0, 256)})


def test_a_doubled_phrase_is_kept_once() -> None:
    assert Vocabulary.of(["boat"], phrases={"boat": ["ship", " ship"]}).entries[0].phrases == ("ship",)


def test_own_ids_may_leave_gaps_and_come_in_any_order() -> None:
    vocabulary = Vocabulary.of_entries([entry("cat", 4), entry("boat", 2)], name="mine")
    assert vocabulary.names == ("boat", "cat")
    assert vocabulary.label_names == ("background", "unused-1", "boat", "unused-3", "cat")


@pytest.mark.parametrize("label_id", [0, 255, -1])
def test_ids_outside_the_range_are_refused(label_id: int) -> None:
    with pytest.raises(VocabularyError, match="ids are 1 to 254"):
        Vocabulary.of_entries([entry("cat", label_id)])


def test_a_doubled_id_is_refused() -> None:
    with pytest.raises(VocabularyError, match="'boat' and 'cat' share the id 3"):
        Vocabulary.of_entries([entry("boat", 3), entry("cat", 3)])


def test_a_subset_keeps_ids_and_colours() -> None:
    vocabulary = Vocabulary.of(["boat", "car", "tree"]).subset(["tree", "boat"])
    assert [(each.name, each.label_id) for each in vocabulary.entries] == [("boat", 1), ("tree", 3)]


def test_an_unknown_class_is_answered_with_the_nearest() -> None:
    vocabulary = Vocabulary.of(["boat", "car"])
    with pytest.raises(VocabularyError, match="did you mean boat"):
        vocabulary.entry("boot")
    with pytest.raises(VocabularyError, match="known are boat, car"):
        vocabulary.subset(["xylophone"])


@given(st.lists(st.text(max_size=8), max_size=8))
def test_any_names_make_a_vocabulary_or_a_clear_error(names: list[str]) -> None:
    try:
        vocabulary = Vocabulary.of(names)
    except VocabularyError as error:
        said = str(error)
        assert len(said.splitlines()) == 1
    else:
        assert len(vocabulary.names) == len(names)
        assert [each.label_id for each in vocabulary.entries] == list(range(1, len(names) + 1))
        assert len(vocabulary.palette()) == 768
