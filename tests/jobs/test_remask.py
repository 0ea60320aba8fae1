"""Later mask sets: checked like the run itself, mended, and gone on with."""

from pathlib import Path

import pytest

from run_contents import contents
from segmint.errors import DamagedError
from segmint.jobs.remask import remask, settle_masks
from segmint.runs.masksets import mask_set_names
from segmint.runs.store import Run
from segmint.runs.verify import verify
from small_jobs import Heard, job_at, mint

SET = "masks/strict"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = mint(job_at(tmp_path / "run", count=3, changes={"output.keep_features": True}))
    again(made, changes={"masks.vote.share": 0.9})
    return made


def again(run: Run, heard: Heard | None = None, *, repair: bool = False, changes: dict | None = None) -> int:
    settings = settle_masks(run, method=None, changes=changes or {}, name="strict")
    return remask(run, "strict", settings, heard or Heard(), repair=repair).made


def test_a_mask_set_that_is_whole_has_no_problem(run):
    assert mask_set_names(run) == ["", "strict"]
    assert verify(run.files).problems == ()


@pytest.mark.parametrize(
    "name",
    [
        "SegmentationClass/000001.png",
        "SegmentationAgreement/000001.png",
        "items/000001.json",
        "masks.json",
    ],
)
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_a_damaged_file_of_a_mask_set_is_found_and_mended(run, name, how):
    assert run.folder is not None
    whole = contents(run.folder)
    path = run.folder / SET / name
    data = bytearray(path.read_bytes())
    data[data.index(b"0.9") if name == "masks.json" else len(data) // 2] ^= 1  # still JSON, if it was
    match how:
        case "flipped":
            path.write_bytes(data)
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case _:
            path.unlink()
    found = [each.path for each in verify(run.files).problems]
    gone_record = name.startswith("items") and how == "gone"  # not made yet, as far as anyone can tell
    assert found == ([] if gone_record else [f"{SET}/{name}"])
    heard = Heard()
    mended = again(run, heard, repair=True, changes={"masks.vote.share": 0.9})
    assert mended == (0 if name == "masks.json" else 1)
    assert [note for note in heard.notes if "000001 is made again" in note] == (
        [] if name == "masks.json" or gone_record else heard.notes
    )
    assert contents(run.folder) == whole
    assert verify(run.files).problems == ()


def test_damaged_settings_of_a_mask_set_are_an_error_unless_they_are_to_be_mended(run):
    assert run.folder is not None
    (run.folder / SET / "masks.json").write_text("{")
    for changes in ({}, {"masks.vote.share": 0.9}):
        with pytest.raises(DamagedError, match=r"masks/strict/masks\.json is damaged.*and --repair"):
            again(run, changes=changes)


def test_a_stray_file_of_a_mask_set_is_told(run):
    assert run.folder is not None
    (run.folder / SET / "SegmentationClass/holiday.png").write_bytes(b"x")
    (problem,) = verify(run.files).problems
    assert (problem.kind, problem.path) == ("orphan", f"{SET}/SegmentationClass/holiday.png")


def test_a_mask_set_goes_on_with_its_own_settings_where_no_others_are_asked_for(run):
    assert run.folder is not None
    (run.folder / SET / "items/000002.json").unlink()
    assert settle_masks(run, method=None, changes={}, name="strict").vote.share == 0.9
    assert settle_masks(run, method=None, changes={}, name="other").vote.share != 0.9
    assert again(run) == 1
