import contextlib
import operator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segmint.errors import ConfigError, SegmintError
from segmint.runs.curation.rules import consistency, parse_rule, smallest_named_area
from synthetic_runs import record

ITEM = record()
CLASSES = ("background", "boat", "tree", "potted plant")


TAKES = """
uncertain > 0.05
uncertain>5%
0.05 < uncertain
area(boat) == 30 %
area(tree) < 0.01
smallest == 0
not uncertain > 0.5
area(boat) > 1 or area(tree) < 1e-2
classes contains boat
CLASSES CONTAINS "boat"
classes >= 2 and classes != 3
prompt contains "A TREE"
prompt == 'A boat and a tree'
prompt contains "\\boat"
area( 'boat' ) > .2
(agreement < 0.9 and not (uncertain > 0.5)) or index == 99
area(background) > 0.5
width > height
method == "pcc"
id != "2"
seed == 7
not not attempts == 1
area("potted plant") == 0
"""


@pytest.mark.parametrize("rule", TAKES.strip().splitlines())
def test_rules_that_take_the_item(rule):
    assert parse_rule(rule, CLASSES).matches(ITEM)
    assert not parse_rule(f"not ({rule})", CLASSES).matches(ITEM)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("", "expected a number or one of .* at character 1, found the end"),
        ("agrement > 1", "found 'agrement'; did you mean agreement"),
        ("uncertain", "expected a comparison .* at character 10, found the end"),
        ("uncertain > ", "found the end"),
        ("uncertain > 0.4 0.5", "expected and, or, or the end of the rule at character 17"),
        ("area(dgo) > 1", "no class 'dgo' in this run .*did you mean"),
        ("area boat > 1", r"expected '\('"),
        ("area(boat > 1", r"expected '\)'"),
        ("prompt contains boat", "expected text in quotes"),
        ("prompt > 'a'", "expected contains, == or !="),
        ("uncertain = 4", "cannot read '='"),
        ("__import__('os').system('true')", "cannot read '.'"),
        ("uncertain > 'x", "cannot read"),
        ("(" * 60 + "uncertain > 1" + ")" * 60, "at most 50 levels"),
        ("not " * 60 + "uncertain > 1", "at most 50 levels"),
        ("uncertain > 0.1 or " * 200 + "uncertain > 1", "at most 2000 characters"),
        ("classes contains", "expected a class name"),
    ],
)
def test_rules_that_cannot_be_read_say_where(rule, says):
    with pytest.raises(ConfigError, match=says) as caught:
        parse_rule(rule, CLASSES)
    assert "\n" not in str(caught.value)


def test_a_value_that_is_not_recorded_matches_neither_way():
    silent = record(agreement=None)
    assert not parse_rule("agreement < 0.5").matches(silent)
    assert not parse_rule("not agreement < 0.5").matches(silent)
    assert parse_rule("agreement < 0.5 or uncertain < 0.5").matches(silent)
    assert not parse_rule("agreement < 0.5 and uncertain < 0.5").matches(silent)
    assert parse_rule("not (agreement < 0.5 and uncertain > 0.5)").matches(silent)


def test_failed_items_are_never_taken():
    assert not parse_rule("index == 1").matches(record(status="failed"))


def test_consistency_is_the_least_presence_and_the_least_help():
    assert consistency(record(presence={"boat": 0.9, "tree": 0.4})) == 0.4
    doubted = record(presence={"boat": 0.9, "tree": 0.4}, helped={"boat": 0.1, "tree": -0.05})
    assert consistency(doubted) == pytest.approx(0.35)
    assert consistency(record(presence={"boat": 1.0}, helped={"boat": -0.2})) == pytest.approx(0.8)
    assert consistency(record(presence={"boat": 1.0})) is None
    assert consistency(record()) is None


def test_smallest_named_area():
    assert smallest_named_area(record(areas={"boat": 0.3, "tree": 0.1, "star": 0.01})) == 0.1
    assert smallest_named_area(record(areas={"boat": 0.3})) == 0.0
    assert smallest_named_area(record(classes=())) is None


NUMBERS = st.floats(0, 1, allow_nan=False).map(lambda x: round(x, 3))
FIELDS = st.sampled_from(["uncertain", "agreement", "area(boat)", "area(tree)"])
SIGNS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
LEAVES = st.tuples(FIELDS, st.sampled_from(sorted(SIGNS)), NUMBERS)
JOINTS = st.sampled_from(["and", "or"])
TREES = st.recursive(
    LEAVES, lambda sub: st.one_of(st.tuples(st.just("not"), sub), st.tuples(JOINTS, sub, sub)), max_leaves=12
)
VALUES = {"uncertain": 0.1, "agreement": 0.8, "area(boat)": 0.3, "area(tree)": 0.0}


def written(tree):
    if tree[0] == "not":
        return f"not ({written(tree[1])})"
    if tree[0] in ("and", "or"):
        return f"({written(tree[1])}) {tree[0]} ({written(tree[2])})"
    return f"{tree[0]} {tree[1]} {tree[2]!r}"


def meant(tree):
    if tree[0] == "not":
        return not meant(tree[1])
    if tree[0] == "and":
        return meant(tree[1]) and meant(tree[2])
    if tree[0] == "or":
        return meant(tree[1]) or meant(tree[2])
    return SIGNS[tree[1]](VALUES[tree[0]], tree[2])


@given(TREES)
def test_a_written_tree_means_what_it_says(tree):
    assert parse_rule(written(tree)).matches(ITEM) == meant(tree)


@given(st.lists(LEAVES, min_size=3, max_size=5), st.lists(JOINTS, min_size=4, max_size=4))
def test_and_binds_tighter_than_or(leaves, joints):
    text = written(leaves[0])
    for joint, leaf in zip(joints, leaves[1:], strict=False):
        text += f" {joint} {written(leaf)}"
    groups = [[leaves[0]]]
    for joint, leaf in zip(joints, leaves[1:], strict=False):
        groups.append([leaf]) if joint == "or" else groups[-1].append(leaf)
    assert parse_rule(text).matches(ITEM) == any(all(meant(leaf) for leaf in group) for group in groups)


@given(st.text(max_size=80))
@example("area(boat")
@example("'")
@example("1 < 2 %%")
def test_no_text_breaks_the_parser(text):
    with contextlib.suppress(SegmintError):
        parse_rule(text).matches(ITEM)
