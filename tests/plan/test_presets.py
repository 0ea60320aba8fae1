"""Presets: names and ids as their data sets have them, words that a text encoder knows."""

import pytest

from segmint.errors import VocabularyError
from segmint.plan.classes import PRESETS, preset_vocabulary


def test_there_are_four() -> None:
    assert PRESETS == ("coco", "toybox", "voc", "yard")
    with pytest.raises(VocabularyError, match="no preset is called 'ade'"):
        preset_vocabulary("ade")


def test_voc_has_the_ids_of_pascal_and_the_four_published_renames() -> None:
    voc = preset_vocabulary("voc")
    assert voc.name == "voc"
    assert len(voc.entries) == 20
    ids = {each.name: each.label_id for each in voc.entries}
    assert (ids["aeroplane"], ids["cat"], ids["person"], ids["tvmonitor"]) == (1, 8, 15, 20)
    renamed = {each.name: each.phrases for each in voc.entries if each.phrases != (each.name,)}
    assert renamed == {
        "diningtable": ("table",),
        "tvmonitor": ("monitor",),
        "pottedplant": ("pot plant",),
        "aeroplane": ("airplane",),
    }
    assert voc.entry("person").colour == (192, 128, 128)


def test_coco_has_its_80_things_in_order() -> None:
    coco = preset_vocabulary("coco")
    assert len(coco.entries) == 80
    assert [coco.names[place] for place in (0, 14, 39, 57, 79)] == [
        "person", "bird", "bottle", "couch", "toothbrush",
    ]  # fmt: skip


def test_toybox_is_the_world_it_names() -> None:
    world = pytest.importorskip("segmint.toybox.world")
    assert preset_vocabulary("toybox").names == world.CLASSES


def test_yard_is_the_world_it_names_in_all_its_words() -> None:
    captions = pytest.importorskip("segmint.toybox.yard.captions")
    entries = preset_vocabulary("yard").entries
    assert {entry.name: entry.phrases for entry in entries} == captions.WORDS
    assert [entry.name for entry in entries] == list(captions.WORDS)
    assert [entry.label_id for entry in entries] == list(range(1, len(entries) + 1))
    assert len({entry.colour for entry in entries}) == len(entries)
