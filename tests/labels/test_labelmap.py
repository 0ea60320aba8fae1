from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmint.errors import DatasetError, VocabularyError
from segmint.labels.labelmap import parse_label_map, read_label_map, write_label_map
from segmint.vocabulary import ClassEntry, Vocabulary, voc_colour


def entries(*pairs):
    return [ClassEntry(name=name, label_id=i, phrases=(name,), colour=voc_colour(i)) for i, name in pairs]


@pytest.mark.parametrize(
    "line",
    [
        "3: leaf: 1,2,3",
        "3:leaf:1, 2, 3",
        "3: leaf",
        "leaf: 3",
        "3 leaf",
        "3\tleaf\t1,2,3",
        "3 leaf 1 2 3",
        "leaf\t3",
        "leaf,3",
        "3,leaf,1,2,3",
        "leaf: 3: 1,2,3",
        "1,2,3: leaf: 3",
        "1,2,3: 3: leaf",
        "leaf: 1,2,3: 3",
        "3: leaf: 1,2,3::",
        "3: leaf: (1, 2, 3)",
        "3: leaf: #010203",
        "3: leaf: 1,2,3 # the green one",
        "  3 : leaf : 1,2,3  ",
        "3: leaf: 1 2 3",
        "3: leaf 1,2,3",
        "3 1,2,3 leaf",
        "1,2,3 3 leaf",
        "leaf 3 1,2,3",
        "leaf 1,2,3 3",
        "leaf (1, 2, 3), 3",
        "[1,2,3] 3 leaf",
        "#010203 3 leaf",
        "leaf: 1,2,3,255: 3",
        "3. leaf",
        "3) leaf",
        "[3] leaf",
        "3 -> leaf",
        "leaf -> 3",
        "003 leaf // the green one",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "start",
    [
        "",
        "\ufeff",
        "# a comment\n\n",
        "// one\n; two\n% three\nid,name,r,g,b\n",
        "\ufeff# label:color_rgb:parts:actions\n",
    ],
)
def test_names_ids_and_colours_in_any_order(tmp_path, line, start, end):
    path = tmp_path / "labelmap.txt"
    path.write_bytes(f"{start}{line}\n0: background\n7: tree: 4,5,6\n".replace("\n", end).encode())
    assert read_label_map(path).classes == {3: "leaf", 7: "tree"}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("word", ["background", "Background", "_background_"])
def test_without_ids_the_background_is_0_wherever_it_stands(place, word):
    names = ["leaf", "tree"]
    names.insert(place, word)
    for lines in (names, [f"{name}:{9 * at},1,2::" for at, name in enumerate(names)]):
        found = parse_label_map("\n".join(lines), source="x")
        assert found.classes == {1: "leaf", 2: "tree"}
        assert (found.values[0], found.values[1], found.values[2]) == (0, 1, 2)


def test_without_a_background_no_name_is_lost():
    assert parse_label_map("leaf\ntree", source="x").classes == {1: "leaf", 2: "tree"}


def test_ids_that_are_told_hold_even_for_the_background():
    found = parse_label_map("0: leaf\n1: background\n2: tree", source="x")
    assert sorted(found.classes.values()) == ["leaf", "tree"]
    assert found.classes[found.values[0]] == "leaf"
    assert found.values[1] == 0
    assert found.classes[found.values[2]] == "tree"


def test_names_may_be_numbers_or_hold_colons():
    text = "background:0,0,0::\n7:1,2,3::\nsign: stop:4,5,6::\n"
    assert parse_label_map(text, source="x").classes == {1: "7", 2: "sign: stop"}


def test_a_colour_table_with_the_colour_in_front():
    assert parse_label_map("64 128 64\tAnimal\n192 0 128\tArchway", source="x").colours[64, 128, 64] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no class"),
        ("background", "names no class"),
        ("1: leaf\n1: tree", "line 2: the id 1 is given twice"),
        ("1: leaf\n2: leaf", "line 2: the class 'leaf' is named twice"),
        ("1: leaf\ntree", "line 2: 'tree' has no id"),
        ("1: leaf\n300: tree", "line 2: 'tree' has the id '300'"),
        ("1: leaf\n99999999999999: tree", "line 2: 'tree' has the id"),
        ("255: leaf\n1: tree", "line 1: 'leaf' has the id 255"),
        ("1: le\x07af", "line 1: no usable class name"),
        ("1: leaf: 1,2,300", "line 1: the colour 1,2,300 goes beyond 255"),
        ("0: background\n9: background\n1: a", "line 2"),
        ("-1: plate\n1: leaf", "line 1: 'plate' has the id '-1'"),
        ("leaf 1 2 3 4\ntree 2 1 4 3", "four numbers in a row"),
        ("background:0.0,0.0,0.0::\nleaf:1.0,0.0,0.0::", "line 1: .* holds no colour of 0 to 255"),
        ('{"1": "leaf"}', "x is JSON"),
        ('["leaf", "tree"]', "x is JSON"),
        ('{"id": 1, "name": "leaf"}\n{"id": 2, "name": "tree"}', "x is JSON"),
    ],
)
def test_what_cannot_be_meant_is_named_by_line(text, message):
    with pytest.raises(DatasetError, match=message):
        parse_label_map(text, source="x")


@pytest.mark.parametrize(
    "text",
    [
        "0 background\n3 leaf",
        "background 0\nleaf 3",
        "background 0 0 0 0\nleaf 3 0 0 255",
        "0 0 0 0 background\n0 0 255 3 leaf",
        "r,g,b,id,name\n0,0,0,0,background\n0,0,255,3,leaf",
        "label:id:color\nbackground:0:0,0,0\nleaf:3:0,0,255",
    ],
)
def test_columns_that_only_the_whole_file_tells_apart(text):
    assert parse_label_map(text, source="x").classes == {3: "leaf"}


def test_numbers_that_are_no_ids_belong_to_the_names():
    assert parse_label_map("zone 1\nzone 2\n3.5 mm", source="x").classes == {
        1: "zone 1",
        2: "zone 2",
        3: "3.5 mm",
    }


def test_the_uncertain_may_be_listed():
    assert parse_label_map("1: leaf\n255: void", source="x").classes == {1: "leaf"}


def test_plain_classes_are_written_as_cvat_does():
    text = write_label_map(entries((1, "boat"), (2, "traffic light")))
    assert text.splitlines()[:3] == [
        "# label:color_rgb:parts:actions",
        "background:0,0,0::",
        "boat:128,0,0::",
    ]


names = st.lists(
    st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=12)
    | st.sampled_from(
        ["# hash", "sign: stop", "7", "1,2,3", "a:", ":a", "3 b", "#010203", "a # b", "1: c: 4,5,6"]
    ),
    min_size=1,
    max_size=6,
)


@given(names=names, ids=st.lists(st.integers(1, 254), min_size=6, max_size=6, unique=True))
def test_any_vocabulary_reads_back_as_it_was_written(names, ids):
    try:
        made = Vocabulary.of_entries(entries(*zip(ids, names, strict=False)))
    except VocabularyError:
        return
    found = parse_label_map(write_label_map(made.entries), source="x")
    assert found.classes == {each.label_id: each.name for each in made.entries}
    assert all(found.values[label] == label for label in found.classes)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with suppress(DatasetError):
        found = parse_label_map(text, source="x")
        assert set(found.values.values()) >= set(found.classes)
