"""`segmint label` and `segmint benchmark`, end to end on the fake model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segmint.artifacts import PromptSpec
from segmint.backbone.fake import FAKE_INFO, FakeBackbone, draw
from segmint.cli import main
from segmint.cli.options import parts, split_list
from segmint.plan.photos.reading import read_photo

METHODS = "segmint, pcc"


def picture(seed: int) -> np.ndarray:
    spec = PromptSpec(
        item_id="x",
        index=0,
        prompt="a boat and a tree",
        classes=("boat", "tree"),
        label_ids=(1, 2),
        phrases=(("boat",), ("tree",)),
        seed=seed,
    )
    return draw(spec, 64, 64)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("segmint.backbone.loading.load", lambda *_, **__: FakeBackbone())
    for name in ("a", "b"):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        pixels = picture(ord(name))
        Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.png")
        mask = (pixels.astype(int).sum(-1) > 380).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main.run([str(each) for each in words])
    return int(ended.value.code or 0)


def test_label_makes_a_run(photos: Path) -> None:
    out = photos / "run"
    words = ("label", photos / "images", "--classes", "boat, tree", "--out", out, "--timesteps", "50,100")
    assert run(*words, "--quiet") == 0
    assert json.loads((out / "run.json").read_text())["kind"] == "label"
    assert sorted(path.stem for path in (out / "SegmentationClass").iterdir()) == ["a", "b"]
    assert "timesteps" in (out / "recipe.toml").read_text()
    assert run(*words, "--quiet") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["label", "nowhere/", "--classes", "boat", "--out", "RUN"], "nowhere"),
        (["label", "IMAGES", "--out", "RUN"], "--classes"),
        (["label", "IMAGES", "--classes", "boat", "--out", "RUN", "--timesteps", "often"], "often"),
        (["label", "IMAGES", "--classes", "boat", "--out", "RUN", "--timesteps", "1000"], "timesteps"),
        (["label", "IMAGES", "--classes", "boat", "--out", "RUN", "--method", "guess"], "unknown method"),
        (["benchmark", "toybox", "--out", "RUN", "--methods", "guess"], "unknown method"),
        (["benchmark", "toybox", "--out", "RUN", "--seeds", "one"], "--seeds"),
        (["benchmark", "toybox", "--out", "RUN", "--split", "train"], "--split"),
        (["benchmark", "toybox", "--out", "RUN", "--modes", "look"], "--modes"),
        (["benchmark", "toybox", "--out", "RUN", "--case", "easy"], "--case"),
        (["benchmark", "toybox", "--out", "RUN", "--seeds", "5000"], "--seeds"),
    ],
)
def test_bad_input_is_one_line(
    photos: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    places = {"IMAGES": str(photos / "images"), "RUN": str(photos / "run")}
    assert run(*(places.get(word, word) for word in words)) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (photos / "run" / "run.json").exists()


def test_a_benchmark_of_a_folder(photos: Path) -> None:
    out = photos / "bench"
    words = ("--images", photos / "images", "--masks", photos / "masks", "--classes", "boat, tree")
    assert run("benchmark", "folder", "--out", out, *words, "--methods", METHODS, "--seeds", "0,1", "-q") == 0
    names = {"benchmark.json", "benchmark.csv", "benchmark.md", "benchmark.png", "masks.png"}
    assert {path.name for path in out.iterdir()} == names
    rows = json.loads((out / "benchmark.json").read_text())["rows"]
    found = [(row["method"], row["mode"], row["seed"]) for row in rows]
    assert found == [(name, "label", seed) for seed in (0, 1) for name in ("segmint", "pcc")]
    assert {"miou", "miou_labelled", "uncertain", "boundary_iou", "cpu_s_per_image"} <= set(rows[0])


def test_a_benchmark_of_the_toybox(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = lambda world, image: np.zeros(image.shape[:2], np.uint8)  # noqa: E731 - a judge in one line
    monkeypatch.setattr("segmint.benchmark.samples.judge", judged)
    out = photos / "bench"
    words = ("benchmark", "toybox", "--out", out, "--seeds", "3", "--count", "2", "--generated", "1")
    assert run(*words, "--methods", METHODS, "-q") == 0
    report = json.loads((out / "benchmark.json").read_text())
    assert [(row["mode"], row["images"]) for row in report["rows"]] == [
        ("label", 2),
        ("label", 2),
        ("generate", 1),
        ("generate", 1),
    ]
    assert report["dataset"] == "toybox val"
    with Image.open(out / "masks.png") as sheet:
        assert sheet.height > 2 * 128


def turned(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image.convert("RGB").save(path, exif=exif)


KINDS = {
    "bit.png": lambda image, path: image.convert("1").save(path),
    "deep.png": lambda image, path: Image.fromarray(
        np.asarray(image.convert("L")).astype(np.uint16) * 257
    ).save(path),
    "print.jpg": lambda image, path: image.convert("CMYK").save(path),
    "palette.png": lambda image, path: image.convert("P").save(path, transparency=0),
    "turned.jpg": turned,
    "moving.gif": lambda image, path: image.save(path, save_all=True, append_images=[image.rotate(90)]),
    "pages.tiff": lambda image, path: image.save(path, save_all=True, append_images=[image.rotate(90)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_reads_an_image_alike_and_says_the_same(
    photos: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = photos / "odd" / kind
    path.parent.mkdir()
    KINDS[kind](Image.fromarray(picture(3)), path)
    mask = (np.arange(64 * 64).reshape(64, 64) % 64 < 32).astype(np.uint8)
    (photos / "truth").mkdir()
    Image.fromarray(mask).save(photos / "truth" / f"{path.stem}.png")
    expected = read_photo(path)
    seen: list[np.ndarray] = []
    observe = FakeBackbone.observe

    def watched(self: FakeBackbone, images: Sequence[np.ndarray], *rest: Any) -> Any:
        seen.extend(images)
        return observe(self, images, *rest)

    monkeypatch.setattr(FakeBackbone, "observe", watched)
    masks, named = ("--masks", photos / "truth"), ("--classes", "boat")
    for words in (
        ("label", path, *named, "--out", photos / "run"),
        ("heatmap", "a boat", "--image", path, "--out", photos / "map.png"),
        (
            "benchmark",
            "folder",
            "--images",
            path,
            *masks,
            *named,
            "--methods",
            "pcc",
            "--out",
            photos / "bench",
        ),
    ):
        seen.clear()
        assert run(*words) == 0
        [one] = seen
        assert np.array_equal(one, expected.rgb)
        told = " ".join(capsys.readouterr().err.split())
        assert [note for note in expected.notes if note not in told] == []
        assert told.count("note:") == len(expected.notes)


def test_a_few_step_model_is_said_to_be_looked_at_elsewhere(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    turbo = FakeBackbone(info=replace(FAKE_INFO, trained_timesteps=(249, 499, 749, 999)))
    monkeypatch.setattr("segmint.backbone.loading.load", lambda *_, **__: turbo)
    image, named = photos / "images/a.png", ("--classes", "boat, tree")
    truth = ("--masks", photos / "masks", "--methods", "pcc")
    for words in (
        ("label", image, *named, "--out", photos / "run", "--quiet"),
        ("heatmap", "a boat", "--image", image, "--out", photos / "map.png"),
        ("benchmark", "folder", "--images", image, *truth, *named, "--out", photos / "bench"),
    ):
        assert run(*words) == 0
        told = " ".join(capsys.readouterr().err.split())
        assert told.count("it is looked at timestep 249, the nearest to 100 that it was trained for") == 1


def test_a_benchmark_of_cases(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("benchmark", "toybox", "--out", photos / "bench", "--seeds", "3", "--count", "1", "-q", "--json")
    assert run(*words, "--methods", "segmint", "--case", "over-named, grey", "--case", "small") == 0
    said = json.loads(capsys.readouterr().out)
    assert [(row["case"], row["mode"]) for row in said["rows"]] == [
        ("over-named", "label"),
        ("grey", "label"),
        ("small", "label"),
    ]
    assert said["settings"]["cases"] == ["over-named", "grey", "small"]
    assert said == json.loads((photos / "bench" / "benchmark.json").read_text())


def test_lists_on_the_command_line() -> None:
    assert split_list("a, b,a,, c") == ["a", "b", "a", "c"]
    assert parts("a, b,a,, c", "--x") == ["a", "b", "c"]
