import numpy as np
import pytest

from segmint.errors import ConfigError, VocabularyError
from segmint.labels.legend import legend_of
from segmint.labels.relabelling import parse_relabelling, relabelling
from segmint.vocabulary import Vocabulary

ANIMALS = Vocabulary.of(["cat", "dog", "car", "sky"])


def test_ids_of_what_stays_do_not_change():
    found = relabelling(ANIMALS, rename={"car": "auto"}, merge={"pet": ["cat", "dog"]}, drop=["sky"])
    assert [(e.label_id, e.name) for e in found.vocabulary.entries] == [(1, "pet"), (3, "auto")]
    labels = np.array([[0, 1, 2, 3, 4, 255]], np.uint8)
    assert found(labels).tolist() == [[0, 1, 1, 3, 0, 255]]
    assert found.vocabulary.entry("pet").phrases == ("cat", "dog")


def test_a_legend_keeps_its_colours_with_their_new_meaning():
    found = relabelling(ANIMALS, merge={"dog": ["cat", "dog"]})
    legend = found.legend(legend_of(ANIMALS))
    assert legend.classes == {1: "dog", 3: "car", 4: "sky"}
    assert legend.colours[ANIMALS.entry("dog").colour] == 1
    assert legend.values[2] == 1


def test_words_of_a_command_line():
    found = parse_relabelling(ANIMALS, rename="car = auto", merge="cat, dog=pet", drop="sky")
    assert found is not None
    assert found.vocabulary.names == ("pet", "auto")
    assert parse_relabelling(ANIMALS) is None
    lenient = parse_relabelling(ANIMALS, rename="cow=beef, cat=kitten", drop="moon", known_only=True)
    assert lenient is not None
    assert lenient.vocabulary.names == ("kitten", "dog", "car", "sky")


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"rename": "cat"}, ConfigError, "old=new"),
        ({"merge": "cat,dog="}, ConfigError, "cat, dog=pet"),
        ({"rename": "cow=beef"}, VocabularyError, "cow"),
        ({"rename": "cat=dog"}, VocabularyError, "named twice"),
        ({"rename": "cat=a", "drop": "cat"}, ConfigError, "twice"),
        ({"rename": "cat=a, dog=a"}, ConfigError, "one name"),
        ({"drop": "cat, dog, car, sky"}, ConfigError, "leaves no class"),
    ],
)
def test_what_cannot_be_is_refused(words, error, said):
    with pytest.raises(error, match=said):
        parse_relabelling(ANIMALS, **words)
