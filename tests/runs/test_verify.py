import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segmint.errors import RunError
from segmint.runs import layout
from segmint.runs.files.local import LocalFiles
from segmint.runs.store import open_run
from segmint.runs.verify import verify
from small_runs import fill


def kinds(run) -> list[str]:
    return [problem.kind for problem in verify(run.files).problems]


def test_a_whole_run_has_no_problem(make_run):
    verdict = verify(make_run(features=True).files)
    assert verdict.problems == ()
    assert (verdict.planned, verdict.done, verdict.failed) == (3, 3, 0)


def test_an_unfinished_run_with_a_half_item_has_no_problem(make_run):
    run = make_run(planned=3, done=2)
    (run.folder / layout.image("000002", "jpg")).write_bytes(b"half an ite")
    assert verify(run.files).problems == ()


def every_file(run) -> list[str]:
    files = (path for path in run.folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(str(path.relative_to(run.folder)) for path in files if path.name != ".lock")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return fill(LocalFiles(tmp_path_factory.mktemp("whole")), planned=2, done=2, features=True).folder


def hurt(files, name: str) -> bool:
    try:
        problems = verify(files).problems
    except RunError:  # a header past reading is an error, anything else a problem
        return name == str(layout.HEADER)
    return any(problem.path in (name, f"items/{problem.item_id}.json") for problem in problems)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), flip=st.integers(1, 255), cut=st.booleans())
def test_one_flipped_or_missing_byte_anywhere_is_found(whole, tmp_path_factory, data, flip, cut):
    folder = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(whole, folder)
    run = open_run(folder)
    name = data.draw(st.sampled_from([each for each in every_file(run) if not each.endswith("/val.txt")]))
    path = run.folder / name
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if cut:
        del content[place:]
    else:
        content[place] ^= flip
    path.write_bytes(content)
    assert hurt(run.files, name)


@pytest.mark.parametrize("role", ["image", "mask", "agreement"])
def test_a_missing_file_is_named_with_its_item(make_run, role):
    run = make_run()
    path = run.record("000001").files[role].path
    (run.folder / path).unlink()
    [problem] = verify(run.files).problems
    assert (problem.kind, problem.item_id, problem.path) == ("missing", "000001", path)


def test_strays_are_named(make_run):
    run = make_run()
    (run.folder / layout.IMAGES / "holiday.jpg").write_bytes(b"x")
    assert kinds(run) == ["orphan"]


def test_lists_of_a_finished_run_are_checked(make_run):
    run = make_run()
    (run.folder / layout.image_set("train")).write_text("000000\n")
    assert kinds(run) == ["list"]
    (run.folder / layout.image_set("train")).write_text("000000\n000001\nghost\n")
    assert kinds(run) == ["list"]
