"""The comparison of two trees: what counts as a difference, what is run, and the run itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lab.sameness.__main__ import BASE, ROOT, checked_out, compare_trees
from lab.sameness.accepted import same_but_layers, same_but_settings, same_but_specks
from lab.sameness.compare import compare_step, first_difference
from lab.sameness.reading import same_text
from lab.sameness.steps import METHODS, STEPS, chosen


@pytest.fixture
def pair(tmp_path: Path) -> Any:
    def write(name: str, base: str, ours: str) -> str:
        for folder, text in (("base", base), ("ours", ours)):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_text(text)
        return first_difference(tmp_path / "base" / name, tmp_path / "ours" / name, name)

    return write


def test_files_differ_by_a_byte_or_by_a_field(pair: Any) -> None:
    assert pair("mask.png", "abcd", "abcd") == ""
    assert pair("mask.png", "abcd", "abxd") == "mask.png differs at byte 2 of 4 (now 4)"
    assert pair("mask.png", "abcd", "abc") == "mask.png differs at byte 3 of 4 (now 3)"
    assert pair("a.json", '{"areas": {"boat": 1}}', '{"areas": {"boat": 2}}') == (
        "a.json:areas:boat is 2, in the base 1"
    )
    assert (
        pair("a.json", '{"a": 1}', '{"a": 1, "b": 2}') == "a.json has the fields ['a', 'b'], the base ['a']"
    )
    assert pair("plan.jsonl", '{"seed": 1}\n{"seed": 2}\n', '{"seed": 1}\n{"seed": 3}\n') == (
        "plan.jsonl[1]:seed is 3, in the base 2"
    )


def test_times_dates_and_versions_are_no_difference(pair: Any) -> None:
    then = {"segmint_version": "0.1", "timings_s": {"masks": 0.1}, "created": "2026-01-01", "checksum": "a"}
    now = {"segmint_version": "0.2", "timings_s": {"all": 1}, "created": "2026-02-02", "checksum": "b"}
    assert pair("run.json", json.dumps(then), json.dumps(now)) == ""
    assert pair("report.html", "<p>2026-01-01 10:00</p>", "<p>2026-01-02 11:30</p>") == ""
    assert pair("report.html", "<ul><li>a b</li></ul>", "<ul>\n  <li>a\n b</li>\n</ul>\n") == ""
    assert pair("report.html", "<p>a</p>", "<p>b</p>") == "report.html[1] is 'b', in the base 'a'"
    assert not same_text("3 items in 0.25 s", "4 items in 0.30 s")


def test_a_difference_that_was_meant_is_told_with_its_reason(tmp_path: Path) -> None:
    picture = np.full((4, 4, 3), 90, np.uint8)
    lined, moved, other = picture.copy(), picture.copy(), picture.copy()
    lined[:, 1], moved[:, 2], other[:, 2] = 255, 255, 7
    for folder, pixels in (("base", lined), ("ours", moved), ("other", other)):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "explain.png")
    told = {"code": 0, "printed": "", "said": "", "files": ["explain.png"]}
    base = tmp_path / "base"
    meant = compare_step("explain", base, tmp_path / "ours", told, told, printed=False, meant=True)
    assert meant.alike
    assert "equal but for this: the white line" in meant.line()
    assert not compare_step("explain", base, tmp_path / "other", told, told, printed=False, meant=True).alike


def test_names_of_layers_may_differ_where_no_number_does(tmp_path: Path) -> None:
    def features(layer: str, values: list[float]) -> bytes:
        header = np.frombuffer(json.dumps({"grid": [2, 2], "layers": [layer]}).encode(), np.uint8)
        np.savez(tmp_path / "x.npz", header=header, values=np.array(values))
        return (tmp_path / "x.npz").read_bytes()

    assert same_but_layers(features("up.0", [1, 2]), features("decoder.0", [1, 2]))
    assert not same_but_layers(features("up.0", [1, 2]), features("up.0", [1, 3]))


def test_what_came_since_is_accepted_where_nothing_else_differs() -> None:
    then = b"[masks]\nmethod = 'pcc'\n[masks.presence]\nshare = 0.6\n"
    assert same_but_settings(then, then.replace(b"0.6", b"0.9") + b"[masks.meanfield]\nrounds = 4\n")
    assert not same_but_settings(then, then.replace(b"'pcc'", b"'ovam'"))
    assert same_but_specks(b"1 0 0\n2 1 1\n", b"2 1 1\n")
    assert not same_but_specks(b"1 0 0\n2 1 1\n", b"2 1 0\n")
    objects = [{"id": each, "area": each * 10} for each in (1, 2)]
    then = json.dumps({"annotations": objects}).encode()
    assert same_but_specks(then, json.dumps({"annotations": [{"id": 1, "area": 20}]}).encode())
    assert not same_but_specks(then, json.dumps({"annotations": [{"id": 1, "area": 5}]}).encode())


def test_a_step_differs_by_code_by_files_and_by_words(tmp_path: Path) -> None:
    for folder in ("base", "ours"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_text("x")
    told = {"code": 0, "printed": "1 item", "said": "", "files": ["x.png", ".lock"]}

    def difference(now: dict[str, Any], *, printed: bool = False) -> str:
        both = tmp_path / "base", tmp_path / "ours"
        return compare_step("step", *both, told, told | now, printed=printed).difference

    assert difference({}) == difference({"printed": "2 items"}) == ""
    assert difference({"printed": "2 items"}, printed=True) == "prints '2 items' instead of '1 item'"
    assert difference({"code": 2, "said": "error: no"}) == "ended with 2, the base with 0: error: no"
    assert difference({"files": ["x.png", "y.png"]}) == "y.png is new"
    (tmp_path / "ours" / "x.png").unlink()
    assert difference({"files": []}) == "x.png is missing"


def test_steps_bring_what_they_need_in_order() -> None:
    names = [step.name for step in chosen("selftrain")]
    assert names == ["generate pcc", "generate ovam", "train", "selftrain"]
    assert chosen("") == STEPS
    known = {step.name for step in STEPS}
    assert len(known) == len(STEPS)
    assert all(known.issuperset(step.needs) for step in STEPS)


def test_every_method_that_the_toybox_serves_is_run() -> None:
    from segmint.pipeline import methods_of
    from segmint.recipe import Recipe

    assert set(METHODS) == set(methods_of(Recipe()))


@pytest.mark.slow
def test_this_tree_makes_what_the_base_made(tmp_path: Path) -> None:
    with checked_out(BASE, tmp_path) as tree:
        found = list(compare_trees(tree / "src", ROOT / "src", tmp_path))
    assert [each.line() for each in found if not each.alike] == []
