"""Readers of what a run holds: a right result or a clear error, never anything else."""

import json
import tomllib
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from segmint.errors import SegmintError
from segmint.recipe import Recipe, load_recipe
from segmint.runs.records import ItemRecord, RunHeader, decode_record, encode_record, is_intact
from small_runs import RECIPE, draft_of, header, plan_of

RECORD = encode_record(draft_of(plan_of(1)[0]).record)
HEADER = encode_record(header())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=200)
    | st.text(max_size=80).map(str.encode)
    | json_values.map(json.dumps).map(str.encode)
)
def test_bytes_of_any_kind_are_read_or_refused(data):
    for kind in (ItemRecord, RunHeader):
        with suppress(SegmintError):
            decode_record(data, kind, source="file")


@settings(max_examples=150, deadline=None)
@given(field=st.sampled_from(sorted(json.loads(RECORD))), value=json_values)
def test_a_record_with_any_field_changed_is_refused_or_not_intact(field, value):
    fields = json.loads(RECORD)
    changed = json.dumps({**fields, field: value}).encode()
    try:
        record = decode_record(changed, ItemRecord, source="file")
    except SegmintError:
        return
    assert not is_intact(record, changed)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(HEADER) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_header_never_passes(at, bit):
    data = bytearray(HEADER)
    data[at] ^= 1 << bit
    try:
        found = decode_record(bytes(data), RunHeader, source="file")
    except SegmintError:
        return
    assert not is_intact(found, bytes(data))


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60), at=st.integers(0, len(RECIPE)))
def test_a_recipe_with_anything_put_into_it_is_read_or_refused(tmp_path_factory, text, at):
    path = tmp_path_factory.getbasetemp() / "recipe.toml"
    path.write_text(RECIPE[:at] + text + RECIPE[at:], encoding="utf-8", newline="")
    with suppress(SegmintError):
        recipe = load_recipe(path)
        assert Recipe.parse(tomllib.loads(recipe.to_toml())) == recipe
