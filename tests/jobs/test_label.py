"""Existing images become runs: names and sizes come back, bad images are named, work goes on after a stop."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segmint
from segmint.artifacts import PromptSpec
from segmint.backbone.fake import FakeBackbone, draw
from segmint.backbone.settings import ModelSettings
from segmint.errors import GenerationError, ImageError, RunError, VocabularyError
from segmint.jobs.engines.local import LocalEngine
from segmint.jobs.job import Job, run_job
from segmint.jobs.request import label_request
from segmint.jobs.work import further_seed
from segmint.listening import Silent
from segmint.recipe import Recipe
from segmint.runs.files.local import LocalFiles
from segmint.runs.records import ItemRecord
from segmint.runs.store import Run
from segmint.runs.verify import verify

CLASSES = ("boat", "tree")
MODEL = segmint.Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone())


@dataclass
class Ear(Silent):
    notes: list[str] = field(default_factory=list)
    records: list[ItemRecord] = field(default_factory=list)

    def finished(self, record: ItemRecord) -> None:
        self.records.append(record)

    def noted(self, text: str) -> None:
        self.notes.append(text)


def picture(height: int = 64, width: int = 64) -> np.ndarray:
    spec = PromptSpec(
        item_id="x",
        index=0,
        prompt="a boat and a tree",
        classes=CLASSES,
        label_ids=(1, 2),
        phrases=(("boat",), ("tree",)),
        seed=3,
    )
    return np.asarray(Image.fromarray(draw(spec, 64, 64)).resize((width, height)))


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def run_label(
    out: Path, *images: Path, ear: Ear | None = None, changes: Mapping[str, object] | None = None
) -> Run:
    asked = label_request(
        images, classes=", ".join(CLASSES), changes={"masks.method": "pcc", **(changes or {})}
    )
    job = Job(files=LocalFiles(out), request=asked)
    engine = LocalEngine(load=FakeBackbone)
    return run_job(job, engine, ear or Ear())


def test_names_sizes_and_sources_come_back(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    sizes = {"a": (64, 64), "b": (48, 100), "c": (1, 1), "d": (33, 7), "e": (20, 2000)}
    for name, size in sizes.items():
        save(photos / f"{name}.png", picture(*size))
    save(photos / "more" / "a.png", picture(40, 30))
    run = run_label(tmp_path / "run", photos)
    assert run.done_ids() == {"a", "a__more", "b", "c", "d", "e"}
    assert run.header.kind == "label"
    for name, size in (*sizes.items(), ("a__more", (40, 30))):
        record = run.record(name)
        assert run.mask(record).shape == run.image(record).shape[:2] == size
        assert (record.height_px, record.width_px) == size
        assert record.source is not None
    assert run.record("a__more").source == (photos / "more" / "a.png").as_posix()
    assert set(np.unique(run.mask(run.record("b")))) <= {0, 1, 2, 255}
    assert not verify(run.files).problems


def test_the_fake_models_own_picture_gets_its_classes(tmp_path: Path) -> None:
    run = run_label(tmp_path / "run", save(tmp_path / "a.png", picture()))
    assert {"boat", "tree"} & set(run.record("a").areas)


def test_what_cannot_be_read_is_named_and_nothing_else_is_lost(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png", picture())
    (tmp_path / "bad.png").write_bytes(good.read_bytes()[:100])
    (tmp_path / "list.txt").write_text("gone.png\ngood.png\nbad.png\n")
    ear = Ear()
    run = run_label(tmp_path / "run", tmp_path / "list.txt", ear=ear)
    assert run.done_ids() == {"good"}
    assert run.failed_ids() == {"gone", "bad"}
    assert "gone.png" in str(run.failure("gone").error)
    assert "truncated" in str(run.failure("bad").error)
    assert run.failure("bad").source == (tmp_path / "bad.png").as_posix()


def test_an_animation_is_said(tmp_path: Path) -> None:
    frames = [Image.fromarray(picture()), Image.fromarray(255 - picture())]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    ear = Ear()
    run_label(tmp_path / "run", tmp_path / "moving.gif", ear=ear)
    assert any("2 frames" in note and "moving.gif" in note for note in ear.notes)


def test_a_plain_jpeg_is_kept_byte_for_byte(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", picture(), quality=60)
    run = run_label(tmp_path / "run", path)
    assert (tmp_path / "run" / run.record("a").files["image"].path).read_bytes() == path.read_bytes()


def test_a_stopped_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path / "photos" / f"{number}.png", np.roll(picture(), number, axis=1))
    whole = run_label(tmp_path / "whole", tmp_path / "photos")
    parted = run_label(tmp_path / "parted", tmp_path / "photos")
    for name in ("1", "5"):
        (tmp_path / "parted" / "items" / f"{name}.json").unlink()
    ear = Ear()
    parted = run_label(tmp_path / "parted", tmp_path / "photos", ear=ear)
    assert sorted(record.id for record in ear.records) == ["1", "5"]
    for name in map(str, range(6)):
        assert parted.record(name).files == whole.record(name).files


def test_another_list_or_setting_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "photos" / "a.png", picture())
    run_label(tmp_path / "run", tmp_path / "photos")
    with pytest.raises(RunError, match=r"observation\.timesteps"):
        run_label(tmp_path / "run", tmp_path / "photos", changes={"observation.timesteps": [7]})
    save(tmp_path / "photos" / "b.png", picture())
    with pytest.raises(RunError, match=r"photos\.sources_sha256"):
        run_label(tmp_path / "run", tmp_path / "photos")


def test_classes_can_come_with_each_image(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture())
    lines = [{"image": "a.png", "classes": ["tree"], "caption": "a tree at sea"}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    [spec] = label_request([tmp_path / "list.jsonl"]).plan
    assert (spec.classes, spec.prompt) == (("tree",), "a tree at sea")
    with pytest.raises(VocabularyError, match="say what to look for"):
        label_request([tmp_path / "a.png"])


def test_one_image_from_python(tmp_path: Path) -> None:
    item = segmint.label(MODEL, picture(50, 90), ["boat", "tree"])
    assert item.trace.mask.labels.shape == (50, 90)
    assert item.spec.prompt == "a photo of a boat and a tree"
    path = save(tmp_path / "a.png", picture())
    assert segmint.label(MODEL, path, ["boat"]).image.shape == (64, 64, 3)
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ImageError, match="expected an RGB image"):
            segmint.label(MODEL, wrong, ["boat"])


def test_classes_that_are_not_there_leave_no_mark_unless_asked(tmp_path: Path) -> None:
    recipe = Recipe.parse({"masks": {"method": "segmint"}})
    names = ["boat", "tree", "car", "house"]
    kept = segmint.label(MODEL, picture(), names, recipe=recipe.merged({"photos.absent": "keep"}))
    strict = segmint.label(MODEL, picture(), names, recipe=recipe.merged({"masks.presence.share": 1.0}))
    assert len(set(np.unique(kept.trace.mask.labels)) - {0}) > 1
    assert kept.trace.presence.absent == ()
    [left] = set(names) - set(strict.trace.presence.absent)  # alone, nothing can be held against it
    assert set(np.unique(strict.trace.mask.labels)) <= {0, 1 + names.index(left)}


@pytest.mark.parametrize(("apply", "judged"), [("own", False), ("always", True), ("never", False)])
def test_a_published_method_leaves_no_class_out_unless_asked(apply: str, judged: bool) -> None:
    recipe = Recipe.parse({"masks": {"method": "pcc", "presence": {"apply": apply}}})
    item = segmint.label(MODEL, picture(), ["boat", "tree", "car"], recipe=recipe)
    assert (item.trace.presence is not None) == judged


def test_what_a_prompt_names_and_is_not_drawn_is_recorded_and_has_no_pixel(tmp_path: Path) -> None:
    settings = {"masks.presence.named": 1.0}
    run = segmint.generate(
        MODEL, prompts=["a boat, a tree"], classes=["boat", "tree"], out=tmp_path / "r", settings=settings
    )
    [record] = run.records()
    assert record.presence.keys() == {"boat", "tree"}
    [gone] = record.absent
    assert gone not in record.areas
    settings = {"masks.presence.apply": "never"}
    run = segmint.generate(
        MODEL, prompts=["a boat, a tree"], classes=["boat", "tree"], out=tmp_path / "b", settings=settings
    )
    [record] = run.records()
    assert record.absent == ()
    assert record.areas.keys() == {"background", "boat", "tree"}


@dataclass(frozen=True)
class Shy(FakeBackbone):
    """Sees nothing in an image's planned noise; remembers every seed that it was asked with."""

    planned: frozenset[int] = frozenset()
    seeds: list[int] = field(default_factory=list)

    def observe(self, images, specs, observation, capture, callback=None):
        self.seeds.extend(spec.seed for spec in specs)
        seen = FakeBackbone.observe(self, images, specs, observation, capture, callback)
        bad = GenerationError("the attention has NaN")
        return [bad if spec.seed in self.planned else each for spec, each in zip(specs, seen, strict=True)]


def test_further_noise_is_tried_for_what_fails(tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path / "photos" / f"{name}.png", picture())
    (tmp_path / "photos" / "d.png").write_bytes(b"no picture")
    asked = label_request(
        [tmp_path / "photos"],
        classes="boat, tree",
        changes={"masks.method": "pcc", "observation.batch_size": 4},
    )
    second = asked.plan[1]
    shy = Shy(planned=frozenset({second.seed, further_seed(second, 2)}))
    job = Job(files=LocalFiles(tmp_path / "run"), request=asked)
    run = run_job(job, LocalEngine(load=lambda: shy), Ear())
    assert (run.done_ids(), run.failed_ids()) == ({"a", "c"}, {"b", "d"})
    assert run.failure("b").error == "the attention has NaN"

    ear = Ear()
    run = run_job(replace(job, retries=2), LocalEngine(load=lambda: shy), ear)
    assert (run.done_ids(), run.failed_ids()) == ({"a", "b", "c"}, {"d"})
    assert (run.record("b").attempts, run.record("b").seed) == (3, further_seed(second, 3))
    assert run.failure("d").attempts == 1, "an image that cannot be read has no other noise"
    assert shy.seeds[-2:] == [further_seed(second, 2), further_seed(second, 3)]
    assert not verify(run.files).problems


def test_a_recipe_of_before_is_gone_on_with(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture())
    asked = label_request([tmp_path / "a.png"], classes="boat", changes={"observation.batch_size": 3})
    assert asked.batch_size(asked.recipe) == 3
    assert asked.recipe.sampling.batch_size == 3, "as every labelling recipe has recorded it"
    other = label_request(
        [tmp_path / "a.png"],
        classes="boat",
        changes={"observation.batch_size": 3, "sampling.batch_size": 7},
    )
    assert other.recipe.digest() == asked.recipe.digest()
