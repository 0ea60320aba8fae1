"""view, curate, remask, report, export, explain and --reject-missing, as a user types them."""

import errno
import json
import re
import socket
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmint import atomic
from segmint.backbone import loading
from segmint.backbone.fake import FakeBackbone
from segmint.cli.main import run as run_command
from segmint.runs import layout
from segmint.runs.curation.decisions import decide, read_states, undo
from segmint.runs.files.local import LocalFiles
from segmint.runs.store import open_run
from small_runs import fill
from synthetic_runs import write_mask_set, write_run

SIZE = ["--steps", "2", "--height", "32", "--width", "32"]
MINT = ["generate", "--model", "toybox", *SIZE, "--classes", "boat, tree"]


def call(capsys, *words) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        run_command([str(each) for each in words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def run(tmp_path) -> Path:
    return write_run(tmp_path / "demo", 12)


@pytest.fixture
def minted(capsys, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(loading, "load", lambda settings, device: FakeBackbone())
    code, _, err = call(
        capsys, *MINT, "--count", "3", "--keep-features", "--quiet", "--out", tmp_path / "minted"
    )
    assert code == 0, err
    return tmp_path / "minted"


def test_curate_tells_how_things_stand_as_json(capsys, run):
    code, said, told = call(capsys, "curate", run, "--reject", "area(star) > 1%", "--json")
    assert code == 0
    states = json.loads(said)
    assert sorted(states["rejected"]) == sorted(i for i, s in read_states(run).items() if s == "rejected")
    assert sum(map(len, states.values())) == 12
    assert "reject 'area(star) > 1%' takes" in told


def test_runs_are_merged_and_the_whole_is_sound(capsys, tmp_path):
    first, second = (
        fill(LocalFiles(tmp_path / name), planned=3, done=3).folder for name in ("monday", "tuesday")
    )
    code, said, _ = call(capsys, "merge", first, second, "--out", tmp_path / "week")
    assert code == 0
    assert "6 items of 2 runs are in" in said
    assert call(capsys, "verify", tmp_path / "week")[0] == 0
    code, _, told = call(capsys, "merge", first, first, "--out", tmp_path / "twice")
    assert code == 2
    assert "is given twice" in told
    assert not (tmp_path / "twice").exists()


def test_curate_lists_draws_and_rejects_the_worst(capsys, run, tmp_path):
    sheet = tmp_path / "worst.png"
    code, said, _ = call(capsys, "curate", run, "--worst", "3", "--sheet", sheet)
    assert code == 0
    opened = open_run(run)
    worst = sorted(opened.records(), key=lambda record: (record.agreement, record.id))[:3]
    assert [line.split()[0] for line in said.splitlines()[:3]] == [record.id for record in worst]
    assert read_states(run) == {}
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"
    code, said, _ = call(capsys, "curate", run, "--worst", "3", "--then", "reject", "--json")
    assert code == 0
    assert [each["id"] for each in json.loads(said)["chosen"]] == [record.id for record in worst]
    assert {i for i, state in read_states(run).items() if state == "rejected"} == {r.id for r in worst}
    assert worst[0].id not in (run / layout.image_set("train")).read_text()
    code, said, _ = call(capsys, "curate", run, "--undo")
    assert "(reject worst 3 by agreement)" in said
    assert read_states(run) == {}


def test_curate_leaves_duplicates_out(capsys, run):
    code, said, _ = call(capsys, "curate", run, "--duplicates", "0", "--then", "reject")
    assert code == 0
    [count] = map(int, re.findall(r"reject duplicates 0 by hash takes (\d+) items", said))
    assert f"{count} rejected" in said
    assert " from " in said or count == 0


def test_curate_draws_the_pairs_about_a_distance_by_the_models_own_features(capsys, minted, run, tmp_path):
    by_features = ["--duplicates", "1", "--by", "features"]
    code, _, err = call(capsys, "curate", minted, *by_features, "--sheet", tmp_path / "pairs.png")
    assert code == 0, err
    with Image.open(tmp_path / "pairs.png") as sheet:
        assert sheet.width >= 640
    code, _, err = call(capsys, "curate", run, *by_features, "--then", "reject")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "kept no features to compare; take --by hash, or mint with --keep-features" in err
    assert read_states(run) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--worst", "3", "--best", "3"], "--worst and --best: choose by one of them at a time"),
        (["--then", "reject"], "--then and --sheet need a choice"),
        (["--worst", "3", "--by", "beauty"], "expected a number or one of uncertain"),
        (["--worst", "0"], "worst"),
        (["--duplicates", "6", "--by", "agreement"], "expected hash or features"),
        (["--duplicates", "6", "--by", "features"], "a distance of 6: expected 0 to 1"),
        (["--worst", "3", "--undo"], "--undo goes alone"),
    ],
)
def test_an_odd_choice_is_refused(capsys, run, words, message):
    code, _, told = call(capsys, "curate", run, *words)
    assert code == 2
    assert message in told
    assert read_states(run) == {}


def test_curate_counts_decides_and_takes_back(capsys, run):
    rules = ["--reject", "area(star) > 1%", "--reject", "uncertain > 2.5%"]
    code, said, _ = call(capsys, "curate", run, *rules, "--dry-run")
    assert code == 0
    assert "nothing is changed" in said
    assert not (run / layout.CURATION).exists()
    counts = [int(each) for each in re.findall(r"takes (\d+) items", said)]
    code, said, _ = call(capsys, "curate", run, *rules)
    assert [int(each) for each in re.findall(r"takes (\d+) items", said)] == counts
    rejected = {i for i, state in read_states(run).items() if state == "rejected"}
    assert len(rejected) == int(re.search(r"(\d+) rejected", said)[1]) > 0
    assert (
        set((run / layout.image_set("train")).read_text().split())
        == {f"{i:06d}" for i in range(12)} - rejected
    )
    assert call(capsys, "curate", run, "--undo")[0] == call(capsys, "curate", run, "--undo")[0] == 0
    assert read_states(run) == {}
    assert len((run / layout.image_set("train")).read_text().split()) == 12
    assert "nothing left to undo" in call(capsys, "curate", run, "--undo")[1]


def test_curate_leaves_earlier_decisions_unless_told(capsys, run):
    call(capsys, "curate", run, "--keep", "index < 3")
    _, said, _ = call(capsys, "curate", run, "--reject", "index < 5")
    assert "takes 5 items: 2 new, 3 of them decided otherwise before and left" in said
    assert "3 kept, 2 rejected, 7 undecided" in said
    assert "5 rejected" in call(capsys, "curate", run, "--reject", "index < 5", "--override")[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--reject", "uncertain >"], "expected a number"),
        (["--reject", "area(dgo) > 1"], "no class 'dgo'"),
        (["--undo", "--reject", "index > 1"], "--undo goes alone"),
    ],
)
def test_curate_tells_what_it_cannot_do(capsys, run, words, says):
    code, _, err = call(capsys, "curate", run, *words)
    assert code == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["view", "curate", "report", "remask"])
def test_no_run_is_one_line(capsys, tmp_path, command):
    code, _, err = call(capsys, command, tmp_path / "nowhere")
    assert code == 2
    assert "is no run" in err
    assert len(err.strip().splitlines()) == 1


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]


def test_report_is_one_file_that_asks_for_nothing(capsys, run, tmp_path):
    (run / layout.image("000003", "jpg")).unlink()
    code, said, _ = call(capsys, "report", run, "--out", tmp_path / "r.html", "--samples", "12")
    assert code == 0
    assert "wrote" in said
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert page.tags.count("img") == 12 + 4
    for said in ("toybox", "Apache-2.0", "steps = 20", "potted plant", "🦊", "&lt;b&gt;bold&lt;/b&gt;"):
        assert said in text


def test_report_where_nothing_can_be_written(capsys, run, tmp_path):
    code, _, err = call(capsys, "report", run, "--out", tmp_path / "no" / "r.html")
    assert (code, "cannot write" in err) == (2, True)


def test_export_tells_counts_and_losses(capsys, run, tmp_path):
    code, said, err = call(
        capsys, "export", run, "-f", "yolo", "-o", tmp_path / "out", "--split", "train=3,val=1"
    )
    assert code == 0
    assert "wrote 12 items (train: 9, val: 3)" in said
    assert "YOLO has no uncertain label" in err
    code, _, err = call(capsys, "export", run, "-f", "voc", "-o", tmp_path / "out")
    assert (code, "is not empty" in err) == (2, True)
    assert call(capsys, "export", run, "-f", "voc", "-o", tmp_path / "out", "--force")[0] == 0


def test_export_of_a_mask_set(capsys, run, tmp_path):
    write_mask_set(run, "other", 1, 5)
    code, said, _ = call(capsys, "export", run, "-f", "voc", "-o", tmp_path / "out", "--masks", "other")
    assert code == 0
    assert "wrote 5 items" in said
    code, _, err = call(capsys, "export", run, "-f", "voc", "-o", tmp_path / "b", "--masks", "nope")
    assert (code, "no mask set 'nope'" in err) == (2, True)


def test_remask_makes_a_set_beside_the_old_one(capsys, minted):
    before = {path: path.read_bytes() for path in (minted / layout.MASKS).iterdir()}
    code, said, err = call(capsys, "remask", minted, "--set", "masks.vote.share=0.9", "--name", "strict")
    assert code == 0, err
    assert "3 masks made, 0 stood already" in said
    assert before == {path: path.read_bytes() for path in (minted / layout.MASKS).iterdir()}
    run = open_run(minted)
    old, new = run.record("000000"), run.record("000000", "strict")
    assert new.files["mask"].path == "masks/strict/SegmentationClass/000000.png"
    assert new.files["image"] == old.files["image"]
    assert new.uncertain_fraction >= old.uncertain_fraction
    again = call(capsys, "remask", minted, "--set", "masks.vote.share=0.9", "--name", "strict")
    assert "0 masks made, 3 stood already" in again[1]
    code, _, err = call(capsys, "remask", minted, "--set", "masks.vote.share=0.8", "--name", "strict")
    assert (code, "made with other settings (vote.share)" in err) == (2, True)
    assert call(capsys, "verify", minted)[0] == 0


def test_remask_with_the_same_settings_makes_the_same_masks(capsys, tmp_path, monkeypatch):
    """Lossless images and stored features hold all that the first making had."""
    monkeypatch.setattr(loading, "load", lambda settings, device: FakeBackbone())
    out = tmp_path / "png"
    call(capsys, *MINT, "--count", "3", "--keep-features", "--image-format", "png", "--out", out)
    assert call(capsys, "remask", out, "--name", "again")[0] == 0
    for item_id in ("000000", "000001", "000002"):
        assert (out / layout.mask(item_id)).read_bytes() == (out / layout.mask(item_id, "again")).read_bytes()
        assert (out / layout.agreement(item_id)).read_bytes() == (
            out / layout.agreement(item_id, "again")
        ).read_bytes()


def test_remask_with_another_method_has_a_name_of_its_own(capsys, minted):
    code, _, err = call(capsys, "remask", minted, "--method", "pcc-published")
    assert code == 0, err
    [made] = (minted / layout.MASK_SETS).iterdir()
    assert re.fullmatch(r"pcc-published-[0-9a-f]{6}", made.name)
    assert open_run(minted).record("000000", made.name).method == "pcc-published"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "sampling.steps=3"], "remask changes masks only"),
        (["--set", "masks.features.components=2"], "the features are stored as they are"),
        (["--set", "masks.vote.nonsense=3"], "unknown"),
        (["--method", "nonsense"], "unknown method"),
        (["--name", "../up"], "cannot name a mask set"),
    ],
)
def test_remask_tells_what_it_cannot_do(capsys, minted, words, says):
    code, _, err = call(capsys, "remask", minted, *words)
    assert code == 2
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert not (minted / layout.MASK_SETS).exists()


def test_remask_without_features(capsys, run):
    code, _, err = call(capsys, "remask", run)
    assert (code, "kept no features; mint with --keep-features" in err) == (2, True)


def test_explain_draws_one_picture(capsys, minted, tmp_path):
    code, said, err = call(capsys, "explain", minted, "000001", "--out", tmp_path / "why.png")
    assert code == 0, err
    picture = np.asarray(Image.open(tmp_path / "why.png"))
    assert picture.shape[1] > 1200
    assert picture.std() > 10
    assert f"{picture.shape[1]} × {picture.shape[0]} px" in said


def test_explain_of_what_is_not_there(capsys, minted, run):
    code, _, err = call(capsys, "explain", minted, "../000001")
    assert (code, "has no item '../000001'" in err) == (2, True)
    code, _, err = call(capsys, "explain", run, "000001")
    assert (code, "no stored features" in err) == (2, True)


def test_view_names_a_free_port_where_its_own_is_taken(capsys, run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = call(capsys, "view", run, "--port", str(port))
    assert code == 2
    assert re.search(rf"port {port} is taken; (\d+) is free: add --port", err)


def test_view_lets_nobody_else_in_unasked(capsys, run):
    code, _, err = call(capsys, "view", run, "--host", "0.0.0.0")
    assert (code, "add --allow-remote" in err) == (2, True)


def test_reject_missing_tops_the_run_up(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda settings, device: FakeBackbone())
    out = tmp_path / "demo"
    words = [*MINT, "--count", "4", "--batch-size", "2", "--out", out, "--quiet", "--reject-missing"]
    assert call(capsys, *MINT, "--count", "4", "--batch-size", "2", "--out", out, "--quiet")[0] == 0
    areas = sorted(min(r.areas.get(c, 0.0) for c in r.classes) for r in open_run(out).records())
    code, _, err = call(capsys, *words, str(areas[0] + 1e-6))
    assert code == 0
    run = open_run(out)
    states = read_states(out)
    rejected = [i for i, state in states.items() if state == "rejected"]
    assert rejected
    assert f"{len(rejected)} items lack" in err or err.count("items lack") > 1
    whole = run.done_ids()
    assert len(whole) - len(rejected) == 4 or len(whole) == 16
    again = call(capsys, *words, str(areas[0] + 1e-6))
    assert again[0] == 0
    assert open_run(out).done_ids() == whole
    undo(out)
    call(capsys, *words, str(areas[0] + 1e-6))
    assert len(read_states(out)) < len(rejected) or len(rejected) == 0  # what was taken back stays taken back
    assert json.loads((out / layout.HEADER).read_text())["items"] == len(whole)


MENDING = [["curate"], ["export", "--format", "voc", "--out", "OUT"], ["report", "--out", "OUT"]]


@pytest.mark.parametrize("command", MENDING)
def test_lists_that_a_kill_left_behind_are_mended_by_the_next_command(capsys, run, tmp_path, command):
    decide(run, {"000002": "rejected"}, by="me")  # and killed before the lists
    listed = run / layout.image_set("train")
    assert "000002" in listed.read_text()
    words = [tmp_path / "out" if each == "OUT" else each for each in command[1:]]
    code, _, said = call(capsys, command[0], run, *words)
    assert code == 0, said
    assert "000002" not in listed.read_text()


def test_rules_are_all_applied_or_none(capsys, run, monkeypatch):
    lists = (run / layout.image_set("train")).read_bytes()
    real, left = atomic.put, [1]  # one list can be written, then the disk is full

    def full(path, data, **how):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "no space left")
        real(path, data, **how)

    monkeypatch.setattr(atomic, "put", full)
    rules = ["--reject", "area(star) > 1%", "--keep", "index < 3"]
    code, _, said = call(capsys, "curate", run, *rules)
    assert (code, "no space left" in said) == (2, True)
    assert read_states(run) == {}
    monkeypatch.setattr(atomic, "put", real)
    assert call(capsys, "curate", run)[0] == 0
    assert (run / layout.image_set("train")).read_bytes() == lists
