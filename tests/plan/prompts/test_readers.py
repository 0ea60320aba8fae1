"""Prompt files: every documented form is read; anything else is one clear error before anything is drawn."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmint.errors import PromptError
from segmint.plan.classes import preset_vocabulary
from segmint.plan.prompts.readers import PromptEntry, read_prompts
from segmint.specs import is_item_id
from segmint.vocabulary import Vocabulary

VOC = preset_vocabulary("voc")
Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def short(entries: list[PromptEntry]) -> list[tuple[str, tuple[str, ...]]]:
    return [(entry.prompt, entry.classes) for entry in entries]


def test_the_first_published_form(reference: Path, write: Write) -> None:
    path = reference / "prompts" / "voc_captions_id_prompt_sd_classes.json"
    first = json.loads(path.read_text())[:400]
    entries = read_prompts(write("first.json", json.dumps(first)), VOC)
    assert short(entries) == [(each["prompt_sd"], tuple(dict.fromkeys(each["classes"]))) for each in first]
    assert [entry.item_id for entry in entries] == [str(each["id"]) for each in first]
    assert entries[4].place == "entry 5"


def test_the_second_published_form(reference: Path) -> None:
    folder = reference / "prompts"
    entries = read_prompts(folder / "voc_filename_caption_class_prompt.json", VOC)
    raw = json.loads((folder / "voc_captions_id_prompt_sd_classes.json").read_text())[:20]
    assert [entry.classes for entry in entries] == [tuple(dict.fromkeys(each["classes"])) for each in raw]
    assert [entry.item_id for entry in entries] == [str(number) for number in range(20)]
    assert entries[4].prompt == "a television sitting on top of a wooden table; tv monitor dining table"


def test_jsonl_with_every_field(write: Write) -> None:
    content = (
        '\ufeff{"prompt": " a cat\\ton  a sofa ", "classes": ["cat", "sofa"], "id": "night_1", "seed": 7, '
        '"negative_prompt": "blurry", "source": "mine"}\r\n\r\n{"prompt": "two dogs"}\r\n'
    )
    assert read_prompts(write("a.jsonl", content), VOC) == [
        PromptEntry(
            place="line 1",
            prompt="a cat on a sofa",
            classes=("cat", "sofa"),
            item_id="night_1",
            seed=7,
            negative_prompt="blurry",
        ),
        PromptEntry(place="line 3", prompt="two dogs", classes=("dog",)),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["a.csv", "a"])
def test_csv(write: Write, delimiter: str, name: str) -> None:
    rows = [
        ["Prompt", "classes", "seed", "id", "negative_prompt"],
        ['a "cat",\na sofa; a tab\there', "cat|sofa", "12", "x", ""],
        [],
        ["a dog", "", "", "", "blurry"],
    ]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    first, second = read_prompts(write(name, out.getvalue()), VOC)
    assert first == PromptEntry(
        place="line 2", prompt='a "cat", a sofa; a tab here', classes=("cat", "sofa"), item_id="x", seed=12
    )
    assert second == PromptEntry(place="line 5", prompt="a dog", classes=("dog",), negative_prompt="blurry")


@pytest.mark.parametrize("name", ["a.txt", "a.prompts", "a"])
def test_plain_text(write: Write, name: str) -> None:
    content = "# mine\na boat at sea\n\n  two buses; bus person\r\na horse, dogs; and 1 more\n"
    entries = read_prompts(write(name, content), VOC)
    assert short(entries) == [
        ("a boat at sea", ("boat",)),
        ("two buses; bus person", ("bus", "person")),
        ("a horse, dogs; and 1 more", ("horse", "dog")),
    ]
    assert [entry.place for entry in entries] == ["line 2", "line 4", "line 5"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a"])
@pytest.mark.parametrize("content", ['[{"prompt": "a cat"}]', '\n {"prompt": "a cat"}\n'])
def test_json_is_told_from_json_lines_by_its_content(write: Write, name: str, content: str) -> None:
    assert short(read_prompts(write(name, content), VOC)) == [("a cat", ("cat",))]


def test_a_form_can_be_forced(write: Write) -> None:
    path = write("a.csv", "prompt\na cat, a dog\n")
    with pytest.raises(PromptError, match="expected 1 cells, found 2"):
        read_prompts(path, VOC)
    with pytest.raises(PromptError, match="line 1: no class of the vocabulary in 'prompt'"):
        read_prompts(path, VOC, form="text")


@pytest.mark.parametrize(
    ("given_classes", "understood"),
    [
        (["diningtable", "tvmonitor"], ("diningtable", "tvmonitor")),
        (["dining table", "TV monitor", "potted plant"], ("diningtable", "tvmonitor", "pottedplant")),
        (["airplane", "aeroplane"], ("aeroplane",)),
        ("cat, dog;sofa|cat", ("cat", "dog", "sofa")),
    ],
)
def test_classes_in_any_spelling(write: Write, given_classes: object, understood: tuple[str, ...]) -> None:
    path = write("a.jsonl", json.dumps({"prompt": "x", "classes": given_classes}))
    assert read_prompts(path, VOC)[0].classes == understood


def test_without_a_vocabulary_the_file_must_list_its_classes(write: Write) -> None:
    path = write("a.jsonl", '{"prompt": "x", "classes": ["safety  vest", "pallet"]}')
    assert read_prompts(path)[0].classes == ("safety vest", "pallet")
    with pytest.raises(PromptError, match="no vocabulary to look for; give one, for example --classes voc"):
        read_prompts(write("b.txt", "a cat"))


LINES: list[tuple[Any, str]] = [
    ("{", "line 1: expected a JSON object, found '{': not JSON"),
    ("3", 'expected an object such as {"prompt": "a boat"}, found 3'),
    ("null", "found None"),
    ('{"prompt": ' + "[" * 100_000, "nested too deeply"),
    ('{"prompt": NaN}', "NaN is not JSON"),
    ('{"prompt": "a cat", "seed": 1' + "0" * 5000 + "}", "digits|seed"),
    ('{"prompt": "a cat", "prompt": "a dog"}', "'prompt' is given twice"),
    ('{"prompt": "a \\ud800 cat"}', "surrogate"),
    ({}, "expected a \"prompt\", found 'nothing'"),
    ({"promt": "a cat"}, "unknown field 'promt'; did you mean prompt"),
    ({"prompt": "a cat", "clases": ["cat"]}, "did you mean classes"),
    ({"prompt": "a cat", "caption": "a cat"}, "expected one prompt, found prompt and caption"),
    ({"prompt": "  "}, "prompt is empty"),
    ({"prompt": 3}, "prompt: expected text, found 3"),
    ({"prompt": ["a cat"]}, "expected text"),
    ({"prompt": "a cat\u0000"}, "control character"),
    ({"prompt": "a \x1b[31mcat"}, "control character"),
    ({"prompt": "cat " * 5000}, "19999 characters; expected 10000 at most"),
    ({"prompt": "a ship and a star"}, None),
    ({"prompt": "a star"}, "no class of the vocabulary in 'a star'"),
    ({"prompt": "a cat", "classes": []}, "expected a list of one class or more"),
    ({"prompt": "a cat", "classes": [1]}, "expected a list"),
    ({"prompt": "a cat", "classes": {"cat": 1}}, "expected a list"),
    ({"prompt": "a cat", "classes": [""]}, "one of them is empty"),
    ({"prompt": "a cat", "classes": ["dgo"]}, "unknown class 'dgo' in vocabulary 'voc': did you mean dog"),
    ({"prompt": "a cat", "classes": ["red cat"]}, "unknown class 'red cat'"),
    ({"prompt": "a cat", "class_prompt": "cat spaceship dog"}, "'spaceship' begins no class"),
    ({"prompt": "a cat", "class_prompt": ""}, "class_prompt"),
    ({"prompt": "a cat", "seed": -1}, "seed: expected a whole number"),
    ({"prompt": "a cat", "seed": 2**63}, "seed: expected"),
    ({"prompt": "a cat", "seed": 1.0}, "seed: expected"),
    ({"prompt": "a cat", "seed": True}, "seed: expected"),
    ({"prompt": "a cat", "seed": "1e3"}, "seed: expected"),
    ({"prompt": "a cat", "seed": "²"}, "seed: expected"),
    ({"prompt": "a cat", "negative_prompt": 3}, "negative_prompt: expected text"),
    ({"prompt": "a cat", "id": 1.5}, "id: expected text or a whole number"),
    ({"prompt": "a cat", "id": True}, "id: expected"),
    ({"prompt": "a cat", "id": ["x"]}, "id: expected"),
    *(
        ({"prompt": "a cat", "id": bad}, "not safe as a file name")
        for bad in (
            "",
            "../x",
            "a/b",
            "a\\b",
            "..",
            ".x",
            "a.b",
            "-x",
            "a b",
            "x" * 101,
            "CON",
            "lpt1",
            "é",
            "a\0",
            -1,
        )
    ),
    ({"prompt": "a cat", "filename": "..".join("//")}, "not safe"),
]


@pytest.mark.parametrize(("line", "said"), LINES)
def test_a_line_that_cannot_be_used_is_told(write: Write, line: Any, said: str | None) -> None:
    path = write("a.jsonl", line if isinstance(line, str) else json.dumps(line))
    if said is None:
        assert read_prompts(path, VOC)[0].classes == ("boat",)
        return
    with pytest.raises(PromptError) as caught:
        read_prompts(path, VOC)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 1: ")
    assert any(part in message for part in said.split("|")), message
    assert len(message.splitlines()) == 1
    assert len(message) < 500


@pytest.mark.parametrize(
    ("given_name", "stem"), [("0.jpg", "0"), ("train/7.png", "7"), ("../../etc/passwd", "passwd")]
)
def test_a_file_name_gives_its_stem_and_never_a_folder(write: Write, given_name: str, stem: str) -> None:
    path = write("a.jsonl", json.dumps({"prompt": "a cat", "filename": given_name}))
    assert read_prompts(path, VOC)[0].item_id == stem


def test_all_lines_are_read_and_five_are_told(write: Write) -> None:
    lines = ['{"prompt": "a cat"}', *(["oops"] * 7), '{"prompt": "a dog"}']
    with pytest.raises(PromptError) as caught:
        read_prompts(write("a.jsonl", "\n".join(lines)), VOC)
    message = str(caught.value)
    assert "7 of 9 prompts cannot be used: line 2: expected a JSON object" in message
    assert "line 6: " in message
    assert "line 7" not in message
    assert message.endswith("; and 2 more")


def test_ids_that_differ_in_capitals_alone_are_refused(write: Write) -> None:
    lines = [json.dumps({"prompt": "a cat", "id": each}) for each in ("cat", "dog", "Cat")]
    with pytest.raises(PromptError, match="line 3: id: 'Cat' is already that of line 1"):
        read_prompts(write("a.jsonl", "\n".join(lines)), VOC)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", "", "no prompt in it"),
        ("a.json", "[]", "no prompt in it"),
        ("a.csv", "prompt\n\n", "no prompt in it"),
        ("a.txt", "# nothing\n", "no prompt in it"),
        ("a.txt", b"a cat\na \xff dog\n", "line 2: not UTF-8 text"),
        ("a.txt", "a cat\n".encode("utf-16"), "looks like UTF-16"),
        ("a.txt", "a cat\0\n", "line 1: a NUL byte"),
        ("a.json", "[1", "not JSON"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '{"entries": []}', "expected a \"prompt\", found 'entries'"),
        ("a.csv", "", "a column \"prompt\", found 'nothing'"),
        ("a.csv", "text,classes\na cat,cat\n", "a column \"prompt\", found 'text, classes'"),
        ("a.csv", "prompt,prompt\na,b\n", "column 'prompt' appears twice"),
        ("a.csv", 'prompt,id\n"a cat,1\n', "not CSV"),
        ("a.csv", "prompt,id\na cat\n", "line 2: expected 2 cells, found 1"),
        ("a.csv", "prompt,id\n" + "x" * 200_000 + ",1\n", "not CSV (field larger than field limit"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(write: Write, name: str, content: str | bytes, said: str) -> None:
    path = write(name, content)
    with pytest.raises(PromptError) as caught:
        read_prompts(path, VOC)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path, Path("a\0b")):
        with pytest.raises(PromptError, match="cannot read prompts file"):
            read_prompts(path, VOC)


ANY_TEXT = st.text(max_size=12) | st.sampled_from(["cat", "a dog", "../x", "7", "tv monitor", "cat;dog"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "prompt",
        "prompt_sd",
        "caption",
        "classes",
        "class_prompt",
        "id",
        "filename",
        "seed",
        "negative_prompt",
        "x",
    ]
)
RECORD = st.fixed_dictionaries({"prompt": ANY_TEXT | ANY_JSON}, optional={"id": ANY_JSON}) | st.dictionaries(
    KEYS, ANY_JSON, max_size=5
)


def right_or_told(path: Path, vocabulary: Vocabulary | None) -> None:
    """Entries that can be drawn, or one line that names the file."""
    said = str(path)
    try:
        entries = read_prompts(path, vocabulary)
    except PromptError as error:
        entries, said = [], str(error)
    assert said.startswith(str(path))
    assert len(said.splitlines()) == 1
    for entry in entries:
        assert entry.prompt.strip()
        assert entry.classes
        assert vocabulary is None or set(entry.classes) <= set(vocabulary.names)
        assert entry.item_id is None or is_item_id(entry.item_id)
        assert entry.seed is None or 0 <= entry.seed < 2**63


fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120)


@fuzz
@given(records=st.lists(RECORD | ANY_JSON, max_size=4), known=st.booleans())
def test_any_json_is_read_or_told(tmp_path: Path, records: list[Any], known: bool) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records))
    right_or_told(path, VOC if known else None)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(records))
    right_or_told(path, VOC if known else None)


@fuzz
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode), name=st.sampled_from("abcd"))
def test_any_bytes_are_read_or_told(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / {"a": "a.csv", "b": "a.txt", "c": "a.jsonl", "d": "a"}[name]
    path.write_bytes(content)
    right_or_told(path, VOC)


@fuzz
@given(rows=st.lists(st.lists(ANY_TEXT, min_size=1, max_size=4), max_size=4))
def test_any_table_is_read_or_told(tmp_path: Path, rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([["prompt", "classes", "id", "seed"], *rows])
    path = tmp_path / "a.csv"
    path.write_text(out.getvalue(), newline="")
    right_or_told(path, VOC)
