"""Plan lines: what is written is read back; anything else is a PromptError."""

import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmint.artifacts import PromptSpec
from segmint.errors import PromptError
from segmint.specs import SEED_LIMIT, _Line, is_item_id, spec_from_json, spec_to_json

SPEC = PromptSpec(
    item_id="000003",
    index=3,
    prompt="a cat\nand a “table”",
    classes=("cat", "diningtable"),
    label_ids=(8, 11),
    phrases=(("cat",), ("table", "desk")),
    seed=2027,
)

ids = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,30}", fullmatch=True).filter(is_item_id)
classes = st.lists(
    st.tuples(st.text(), st.integers(1, 254), st.lists(st.text(), max_size=3).map(tuple)), max_size=4
)


spec_fields = st.fixed_dictionaries(
    {
        "item_id": ids,
        "index": st.integers(0, 10**6),
        "prompt": st.text(),
        "classes": classes,
        "seed": st.integers(0, SEED_LIMIT - 1),
        "negative_prompt": st.none() | st.text(),
    }
)


def make_spec(drawn: dict[str, Any]) -> PromptSpec:
    """Made outside the strategy: the runtime type checks draw random numbers, which strategies may not."""
    chosen = drawn["classes"]
    return PromptSpec(
        **{
            **drawn,
            "classes": tuple(name for name, _, _ in chosen),
            "label_ids": tuple(label_id for _, label_id, _ in chosen),
            "phrases": tuple(phrases for _, _, phrases in chosen),
        }
    )


@given(spec_fields)
def test_a_spec_survives_its_line(drawn: dict[str, Any]) -> None:
    spec = make_spec(drawn)
    line = spec_to_json(spec)
    assert line.isascii()
    assert "\n" not in line
    assert spec_from_json(line + "\n") == spec


def test_a_line_has_exactly_the_fields_of_a_spec() -> None:
    assert list(_Line.model_fields) == [each.name for each in fields(PromptSpec)]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("item_id", "../up", "item_id"),
        ("item_id", "con", "device"),
        ("index", -1, "index"),
        ("index", "3", "index"),
        ("seed", SEED_LIMIT, "seed"),
        ("seed", True, "seed"),
        ("seed", 1.0, "seed"),
        ("label_ids", [8], "length"),
        ("label_ids", [8, 255], "label_ids"),
        ("prompt", None, "prompt"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        spec_from_json(json.dumps({**asdict(SPEC), field: value}))


@given(st.text() | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps))
def test_any_other_text_is_refused_clearly(line: str) -> None:
    with pytest.raises(PromptError, match="not a plan line"):
        spec_from_json(line)


@pytest.mark.parametrize(
    "line", ["[" * 200_000, '{"seed":1' + "0" * 9000 + "}", "\ud800", '{"prompt":"\\ud800"}']
)
def test_hostile_lines_are_refused(line: str) -> None:
    with pytest.raises(PromptError, match="not a plan line"):
        spec_from_json(line)


@given(spec_fields, st.data())
def test_a_cut_line_is_refused(drawn: dict[str, Any], data: st.DataObject) -> None:
    line = spec_to_json(make_spec(drawn))
    cut = data.draw(st.integers(0, len(line) - 1))
    with pytest.raises(PromptError):
        spec_from_json(line[:cut])
