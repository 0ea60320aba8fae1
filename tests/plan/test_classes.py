"""What `--classes` may say."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmint.errors import VocabularyError
from segmint.plan.classes import parse_classes, preset_vocabulary, read_classes
from segmint.vocabulary import Vocabulary


def ids(vocabulary: Vocabulary) -> dict[str, int]:
    return {each.name: each.label_id for each in vocabulary.entries}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("text", ["voc", " VOC ", "coco", "toybox"])
def test_a_preset_by_its_name(text: str) -> None:
    assert parse_classes(text) is preset_vocabulary(text.strip().lower())


def test_part_of_a_preset_keeps_its_ids_and_phrases() -> None:
    vocabulary = parse_classes("voc: diningtable, cat")
    assert ids(vocabulary) == {"cat": 8, "diningtable": 11}
    assert vocabulary.entry("diningtable").phrases == ("table",)
    assert vocabulary.name == "voc"


def test_a_list_gets_ids_in_its_order_and_no_preset_phrases() -> None:
    vocabulary = parse_classes("forklift, diningtable,safety vest=vest|hi-vis vest")
    assert ids(vocabulary) == {"forklift": 1, "diningtable": 2, "safety vest": 3}
    assert [each.phrases for each in vocabulary.entries] == [
        ("forklift",),
        ("diningtable",),
        ("vest", "hi-vis vest"),
    ]
    assert vocabulary.name == "custom"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no class is named"),
        ("boat,,tree", "class 2 of 3 is empty"),
        ("boat, boat", "named twice"),
        ("voc:", "no class is named"),
        ("voc: cat, dgo", "did you mean dog"),
        ("voc: cat, cat", "named twice"),
        ("imagenet: cat", "no preset"),
        ("boat=", "empty phrase"),
        ("missing.txt", "cannot read classes file"),
        ("nowhere/classes", "cannot read classes file"),
        (".", "cannot read classes file|named"),
    ],
)
def test_what_cannot_be_understood_is_said(text: str, said: str) -> None:
    if text == ".":
        text = "./"
    with pytest.raises(VocabularyError, match=said):
        parse_classes(text)


def test_a_text_file_has_one_class_a_line(tmp_path: Path) -> None:
    content = "\ufeff# a warehouse\r\nforklift: forklift, fork truck\r\n\r\npallet  # wooden\r\n"
    vocabulary = parse_classes(str(write(tmp_path, "warehouse.txt", content)))
    assert vocabulary.name == "warehouse"
    assert ids(vocabulary) == {"forklift": 1, "pallet": 2}
    assert vocabulary.entry("forklift").phrases == ("forklift", "fork truck")


TOML = """
[classes]
pallet = []
vest = "safety vest"
[classes.forklift]
phrases = ["forklift", "fork truck"]
colour = [255, 140, 0]
"""
LISTED = [
    "pallet",
    {"name": "vest", "phrases": "safety vest"},
    {"name": "forklift", "phrases": ["forklift", "fork truck"], "color": [255, 140, 0]},
]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.toml", TOML), ("a.json", json.dumps(LISTED)), ("a.json", json.dumps({"classes": LISTED}))],
)
def test_toml_and_json_bring_phrases_and_colours(tmp_path: Path, name: str, content: str) -> None:
    vocabulary = read_classes(write(tmp_path, name, content))
    assert ids(vocabulary) == {"pallet": 1, "vest": 2, "forklift": 3}
    assert vocabulary.entry("vest").phrases == ("safety vest",)
    assert vocabulary.entry("forklift").phrases == ("forklift", "fork truck")
    assert vocabulary.entry("forklift").colour == (255, 140, 0)


def test_own_ids_are_kept(tmp_path: Path) -> None:
    listed = [{"name": "cat", "id": 17}, {"name": "boat", "id": 9}]
    vocabulary = read_classes(write(tmp_path, "a.json", json.dumps(listed)))
    assert ids(vocabulary) == {"boat": 9, "cat": 17}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "boat\nboat\n", "named twice"),
        ("a.txt", "", "no class is named"),
        ("a.txt", b"boat\nb\xff\n", "line 2: not UTF-8"),
        ("a.txt", "boat\n".encode("utf-16"), "looks like UTF-16"),
        ("a.txt", "boat\nca\0t", "line 2: a NUL byte"),
        ("a.toml", "classes = [", "not TOML"),
        ("a.toml", "classes = " + "[" * 5000, "TOML"),
        ("a.toml", "names = ['a']", 'list or table "classes"'),
        ("a.json", "[", "not JSON"),
        ("a.json", "[" * 200_000, "nested too deeply"),
        ("a.json", "[NaN]", "NaN is not JSON"),
        ("a.json", '{"classes": {"a": [], "a": []}}', "given twice"),
        ("a.json", "[1" + "0" * 5000 + "]", "JSON|digits"),
        ("a.json", "[3]", "class 1 has the name 3"),
        ("a.json", '[{"phrases": ["a"]}]', "class 1 has the name None"),
        ("a.json", '[{"name": "a", "fhrases": []}]', "did you mean phrases"),
        ("a.json", '[{"name": "a", "phrases": [1]}]', "expected text or a list"),
        ("a.json", '[{"name": "a", "colour": [1, 2]}]', "three whole numbers"),
        ("a.json", '[{"name": "a", "colour": [1, 2, 300]}]', "three integers"),
        ("a.json", '[{"name": "a", "id": "1"}]', "expected a whole number"),
        ("a.json", '[{"name": "a", "id": 255}]', "ids are 1 to 254"),
        ("a.json", '[{"name": "a", "id": 1}, "b"]', "one to all or to none"),
        ("a.json", "null", "list or table"),
        ("a.json", '["\\ud800"]', "surrogate"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(VocabularyError, match=said) as caught:
        parse_classes(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 300)
    | st.floats()
    | st.sampled_from(["cat", "boat", "", "a b"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "classes", "phrases", "colour", "id", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_values)
def test_any_json_makes_a_vocabulary_or_a_clear_error(tmp_path: Path, value: object) -> None:
    path = write(tmp_path, "a.json", json.dumps(value))
    said = str(path)
    try:
        assert read_classes(path).names
    except VocabularyError as error:
        said = str(error)
    assert said.startswith(str(path))


@given(st.text(max_size=30))
def test_any_text_makes_a_vocabulary_or_a_clear_error(text: str) -> None:
    said = "one line"
    try:
        assert parse_classes(text).names
    except VocabularyError as error:
        said = str(error)
    assert len(said.splitlines()) == 1
