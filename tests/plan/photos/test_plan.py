"""Images become items with captions, classes and seeds of their own."""

from pathlib import Path

import pytest

from segmint.errors import ImageError
from segmint.plan.photos.sources import Source, describe, fingerprint, plan_photos
from segmint.plan.settings import PhotoSettings
from segmint.vocabulary import Vocabulary

TOWN = Vocabulary.of(["boat", "aeroplane", "tree"], phrases={"aeroplane": ["airplane", "plane"]})


def source(name: str, **said: object) -> Source:
    return Source(path=Path(f"{name}.png"), item_id=name, **said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phrases", "said"),
    [(["boat"], "a boat"), (["boat", "ape"], "a boat and an ape"), (["a", "b", "c"], "an a, a b and a c")],
)
def test_captions_name_what_is_there(phrases: list[str], said: str) -> None:
    assert describe(phrases, "see {classes}!") == f"see {said}!"


def test_each_image_has_its_classes_its_caption_and_its_seed() -> None:
    sources = [
        source("x"),
        source("y", classes=("tree", "boat"), caption="woods"),
        source("z", classes=("tree",)),
    ]
    first, second, third = plan_photos(sources, TOWN, caption="a photo of {classes}", seed=7)
    assert first.prompt == "a photo of a boat, an airplane and a tree"
    assert first.phrases[1] == ("airplane", "plane")
    assert (second.classes, second.label_ids, second.prompt) == (("boat", "tree"), (1, 3), "woods")
    assert third.prompt == "a photo of a tree"
    assert [spec.seed for spec in (first, second, third)] == [7, 8, 9]


def test_an_unknown_class_is_named_with_its_image() -> None:
    with pytest.raises(ImageError, match=r"x\.png.*'boot'.*boat"):
        plan_photos([source("x", classes=("boot",))], TOWN, caption="", seed=0)


def test_a_changed_list_has_another_fingerprint() -> None:
    prints = {
        fingerprint([source("x")]),
        fingerprint([source("y")]),
        fingerprint([source("x", classes=("a",))]),
    }
    assert len(prints) == 3


def test_captions_have_one_field() -> None:
    with pytest.raises(ValueError, match=r"only \{classes\}"):
        PhotoSettings(caption="a {thing}")
