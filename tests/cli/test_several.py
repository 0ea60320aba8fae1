"""Several runs where a command takes one, and corrections that stand for what was minted."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmint.cli.main import run as run_command
from segmint.jobs.merge import merge
from segmint.listening import Silent
from segmint.runs import codec, layout
from segmint.runs.curation.decisions import decide, read_states
from segmint.runs.masksets import sets_by_item, spec_of
from segmint.runs.store import encode_plan, open_run
from segmint.training.data.datasets import match, read_pair
from segmint.training.data.readers.run import read_run
from segmint.viewer.catalog import Catalog
from synthetic_runs import scene, write_run


def call(capsys, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        run_command([str(each) for each in words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def planned(folder: Path) -> Path:
    """The run with the plan that its items were made by."""
    run = open_run(folder)
    run.files.write(layout.PLAN, encode_plan(spec_of(record) for record in run.records()))
    return folder


@pytest.fixture
def runs(tmp_path) -> list[Path]:
    return [planned(write_run(tmp_path / name, count)) for name, count in (("monday", 3), ("tuesday", 2))]


def test_several_runs_go_out_as_one(capsys, runs, tmp_path):
    decide(runs[0], {"000001": "rejected"}, by="test")
    code, said, err = call(
        capsys, "export", *runs, "-f", "coco", "--split", "train=1", "-o", tmp_path / "out"
    )
    assert (code, "wrote 4 items" in said) == (0, True), err
    told = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert sorted(Path(each["file_name"]).stem for each in told["images"]) == [
        "monday-000000", "monday-000002", "tuesday-000000", "tuesday-000001",
    ]  # fmt: skip
    assert "monday+tuesday" in (tmp_path / "out/README.md").read_text()


def test_several_runs_are_reported_as_one_without_waiting_for_the_disk(capsys, runs, tmp_path, monkeypatch):
    def waits(_):
        raise AssertionError("what goes away again is flushed")

    monkeypatch.setattr("os.fsync", waits)
    code, _, err = call(capsys, "report", *runs, "--out", tmp_path / "both.html")
    assert code == 0, err
    text = (tmp_path / "both.html").read_text()
    assert "monday-000002" in text
    assert "tuesday-000001" in text


def test_the_worst_of_several_runs_are_rejected_in_their_own(capsys, runs):
    records = {(run.name, record.id): record.agreement for run in runs for record in open_run(run).records()}
    worst = sorted(records, key=lambda each: (records[each], f"{each[0]}-{each[1]}"))[:2]
    code, said, err = call(capsys, "curate", *runs, "--worst", "2", "--then", "reject", "--json")
    assert (code, "takes 2 items: 2 new" in err) == (0, True), err
    told = [json.loads(line) for line in said.splitlines()]
    assert [each["run"] for each in told] == [str(run) for run in runs]
    assert all(len(each["chosen"]) == 2 for each in told)
    rejected = {(run.name, item_id) for run in runs for item_id in read_states(run)}
    assert rejected == set(worst)
    code, _, _ = call(capsys, "curate", *runs, "--reject", "index >= 1")
    assert [len(read_states(run)) for run in runs] >= [2, 1]


def test_decisions_in_the_viewer_are_in_each_run_at_once(capsys, runs, monkeypatch):
    decide(runs[1], {"000001": "kept"}, by="test")
    seen = []

    def decided(folder, *, carry, **_):
        catalog = Catalog(folder, carry)
        for item_id, state in (("monday-000002", "rejected"), ("tuesday-000001", "undecided")):
            catalog.decide([item_id], state, by="viewer:me")
            seen.append([dict(read_states(run)) for run in runs])
        catalog.undo(by="viewer:me")

    monkeypatch.setattr("segmint.viewer.serve.serve", decided)
    code, _, err = call(capsys, "view", *runs)
    assert code == 0, err
    assert seen == [[{"000002": "rejected"}, {"000001": "kept"}], [{"000002": "rejected"}, {}]]
    assert [dict(read_states(run)) for run in runs] == [{"000002": "rejected"}, {"000001": "kept"}]
    assert "000002" not in (runs[0] / layout.image_set("train")).read_text()


@pytest.mark.parametrize("command", [["report"], ["export", "-f", "voc", "-o", "out"], ["curate"]])
def test_runs_that_do_not_go_together_are_refused(capsys, runs, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    other = planned(write_run(tmp_path / "other", 2, classes=("tree", "boat")))
    more = ["--worst", "1"] if command == ["curate"] else []
    code, _, err = call(capsys, command[0], runs[0], other, *command[1:], *more)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "the id 1 is 'boat' in monday and 'tree' in other" in err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def corrected(capsys, tmp_path) -> Path:
    """A run with one mask corrected, then one item more."""
    run, masks = write_run(tmp_path / "run", 3), tmp_path / "masks"
    masks.mkdir()
    labels = np.zeros((64, 64), np.uint8)
    labels[10:30, 10:30] = 2
    Image.fromarray(labels).save(masks / "000001.png")
    assert call(capsys, "import", run, masks)[0] == 0
    write_run(run, 1, start=3)
    return planned(run)


def exported(capsys, run, out, *words) -> np.ndarray:
    code, _, err = call(capsys, "export", run, "-f", "voc", "--split", "train=1", "-o", out, *words)
    assert code == 0, err
    home = out / "VOCdevkit/VOC2012/SegmentationClass"
    assert len(list(home.glob("*.png"))) == (4 if "corrected" not in words else 3)
    return codec.decode_mask((home / "000001.png").read_bytes(), source="exported")


def test_corrections_stand_for_what_was_minted_until_they_are_undone(capsys, corrected, tmp_path):
    new, minted = np.zeros((64, 64), np.uint8), scene(1).labels
    new[10:30, 10:30] = 2
    assert (exported(capsys, corrected, tmp_path / "a") == new).all()
    assert (exported(capsys, corrected, tmp_path / "b", "--masks", "original") == minted).all()
    learnt = read_run(corrected)
    [sample] = [
        each for each in match(learnt, tuple(learnt.classes.values())).samples if each.item_id == "000001"
    ]
    assert (read_pair(sample)[1] == new).all()
    assert len(learnt.samples) == 4
    call(capsys, "report", corrected, "--out", tmp_path / "r.html")
    assert "corrected; 1 items that were minted later" in (tmp_path / "r.html").read_text()
    _, said, _ = call(capsys, "curate", corrected, "--undo")
    assert "take the mask set original again" in said
    assert (exported(capsys, corrected, tmp_path / "c") == minted).all()
    assert (exported(capsys, corrected, tmp_path / "d", "--masks", "corrected") == new).all()


def test_a_second_correction_is_laid_over_the_first(capsys, corrected, tmp_path):
    masks = tmp_path / "more"
    masks.mkdir()
    Image.fromarray(np.ones((64, 64), np.uint8)).save(masks / "000003.png")
    assert call(capsys, "import", corrected, masks)[0] == 0
    run = open_run(corrected)
    assert set(sets_by_item(run, None).values()) == {"corrected-2"}
    assert set(np.unique(run.mask(run.record("000003", "corrected-2")))) == {1}
    assert set(np.unique(run.mask(run.record("000001", "corrected-2")))) == {0, 2}
    assert call(capsys, "curate", corrected, "--undo")[0] == 0
    assert sets_by_item(run, None) == {
        **dict.fromkeys(("000000", "000001", "000002"), "corrected"),
        "000003": layout.DEFAULT_MASK_SET,
    }


def test_runs_are_merged_with_their_corrections(corrected, tmp_path):
    other = open_run(planned(write_run(tmp_path / "other", 1)))
    merged = merge([open_run(corrected), other], tmp_path / "both", Silent())
    assert set(np.unique(merged.mask(merged.record("run-000001")))) == {0, 2}
    assert merged.record("run-000001").method == "corrected"
    plain = merge([open_run(corrected), other], tmp_path / "plain", Silent(), masks="original")
    assert (plain.mask(plain.record("run-000001")) == scene(1).labels).all()


def test_no_mask_set_is_called_as_the_minted_one(capsys, corrected, tmp_path):
    code, _, err = call(capsys, "import", corrected, tmp_path / "masks", "--name", "original")
    assert (code, "means the masks that came with the images" in err) == (2, True)
