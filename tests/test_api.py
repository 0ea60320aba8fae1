import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import segmint
from segmint.api import Model
from segmint.artifacts import PromptSpec
from segmint.backbone.fake import FakeBackbone
from segmint.backbone.settings import ModelSettings
from segmint.errors import GenerationError, RunError, VocabularyError
from segmint.export.source import ObjectRule
from segmint.masks.instances import part
from segmint.runs.curation.decisions import decide
from segmint.runs.verify import verify

SMALL = {"sampling.height_px": 32, "sampling.width_px": 32, "sampling.steps": 2}


@pytest.fixture
def model() -> Model:
    return Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone())


def test_the_public_names_are_sorted_and_all_there():
    names = [name for name in segmint.__all__ if not name.startswith("_")]
    assert names == sorted(names)
    assert all(hasattr(segmint, name) for name in segmint.__all__)
    assert set(segmint.__all__) <= set(dir(segmint))
    with pytest.raises(AttributeError):
        segmint.nothing  # noqa: B018


def test_importing_segmint_loads_nothing_heavy():
    heavy = ["torch", "numpy", "pydantic", "diffusers", "PIL"]
    code = f"import segmint, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_in_one_call_and_again_goes_on(model, tmp_path):
    run = segmint.generate(model, classes=["boat", "tree"], count=2, out=tmp_path / "demo", settings=SMALL)
    assert run.done_ids() == {"000000", "000001"}
    run = segmint.generate(model, classes="boat, tree", count=3, out=tmp_path / "demo", settings=SMALL)
    assert len(segmint.open_run(tmp_path / "demo").done_ids()) == 3
    assert verify(run.files).problems == ()


def test_one_pair_in_memory(model):
    item = segmint.mint(model, "a boat at sea", ["boat"], settings={**SMALL, "sampling.seed": 7})
    assert item.image.shape == (32, 32, 3)
    assert set(np.unique(item.trace.mask.labels)) <= {0, 1, 255}
    again = segmint.mint(model, "a boat at sea", ["boat"], settings={**SMALL, "sampling.seed": 7})
    assert np.array_equal(item.image, again.image)


def test_a_failed_item_is_raised():
    broken = Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone(fail_items=frozenset({"000000"})))
    with pytest.raises(GenerationError, match="told to fail"):
        segmint.mint(broken, "a boat", ["boat"], settings=SMALL)


def test_attention_maps_of_a_loaded_model() -> None:
    model = segmint.Model(settings=ModelSettings(), backbone=FakeBackbone())
    found = segmint.attention_maps(model, "a boat and a tree", ["boat"])
    assert found.words == ("boat",)
    assert found.maps[""].shape[0] == 1


@pytest.fixture
def run(model, tmp_path) -> segmint.Run:
    return segmint.generate(model, classes=["boat", "tree"], count=3, out=tmp_path / "demo", settings=SMALL)


def test_a_text_is_one_class_and_not_its_letters(model):
    for classes in ("boat", ["boat"], segmint.Vocabulary.of("boat")):
        assert segmint.mint(model, "a boat", classes, settings=SMALL).spec.classes == ("boat",)
    assert segmint.mint(model, "a boat", "boat, tree", settings=SMALL).spec.classes == ("boat", "tree")
    photo = np.zeros((32, 32, 3), np.uint8)
    assert segmint.label(model, photo, "boat").spec.classes == ("boat",)
    assert segmint.attention_maps(model, "a boat", "boat").words == ("boat",)


def test_what_had_to_be_decided_about_an_image_is_logged(model, tmp_path, caplog):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    segmint.label(model, tmp_path / "two.gif", "boat")
    assert [each.message for each in caplog.records] == [
        f"{tmp_path}/two.gif has 2 frames; the first was read"
    ]


def test_prompts_may_be_texts_tables_and_specs(model, tmp_path):
    spec = segmint.mint(model, "a tree", segmint.Vocabulary.of(["boat", "tree"]), settings=SMALL).spec
    given = (
        each for each in ["a boat at sea", {"prompt": "a tree", "seed": 9}, replace(spec, item_id="own")]
    )
    asked = {"classes": "boat, tree", "settings": SMALL}
    run = segmint.generate(model, prompts=given, out=tmp_path / "demo", **asked)
    said = [(each.item_id, each.prompt, each.classes) for each in run.plan()]
    assert said == [
        ("000000", "a boat at sea", ("boat",)),
        ("000001", "a tree", ("tree",)),
        ("own", "a tree", ("boat", "tree")),
    ]
    assert [each.seed for each in run.plan()][1:] == [9, spec.seed]
    with pytest.raises(RunError, match="another recipe; changed: prompts"):
        segmint.generate(model, prompts=["a boat"], out=tmp_path / "demo", **asked)


def test_specs_bring_their_own_classes_and_ids(model, tmp_path):
    spec = PromptSpec(
        item_id="a",
        index=0,
        prompt="a boat",
        classes=("boat",),
        label_ids=(7,),
        phrases=(("boat", "ship"),),
        seed=1,
    )
    run = segmint.generate(model, prompts=[spec], out=tmp_path / "own", settings=SMALL)
    assert run.plan() == [spec]
    with pytest.raises(VocabularyError, match="has the id 7 for class 'boat', the vocabulary 1"):
        segmint.generate(model, prompts=[spec], classes="boat", out=tmp_path / "clash", settings=SMALL)
    assert not (tmp_path / "clash").exists()


ODD_CALLS = """
import segmint
from segmint.api import Model
from segmint.backbone.fake import FakeBackbone
from segmint.backbone.settings import ModelSettings

model = Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone())
odd = [
    {"count": "3"}, {"classes": 5}, {"classes": ["boat", 5]}, {"prompts": 5}, {"prompts": [5]},
    {"recipe": "a.toml"}, {"settings": 5}, {"out": 5}, {"model": "toybox"},
]
for each in odd:
    asked = {"model": model, "classes": ["boat"], "count": 1, "out": "unmade", **each}
    try:
        segmint.generate(asked.pop("model"), **asked)
    except TypeError as error:
        print(error)
try:
    segmint.load(5)
except TypeError as error:
    print(error)
"""


def test_another_kind_of_argument_is_a_plain_type_error(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", ODD_CALLS], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert ran.stdout.splitlines() == [
        "count: expected a whole number, found str '3'",
        "classes: expected names or a vocabulary, found int 5",
        "a class name is text, found int 5",
        "prompts: expected a file, or texts or specs, found int 5",
        "prompt 1 is a int; expected text, a table or a spec",
        "recipe: expected a Recipe, such as segmint.load_recipe gives, found str 'a.toml'",
        'settings: expected dotted fields, such as {"sampling.steps": 20}, found int 5',
        "out: expected a folder or a URL, found int 5",
        "model: expected one from segmint.load, found str 'toybox'",
        "model: expected a name, a folder or a diffusers pipeline, found int 5",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_a_row_of_pairs(run):
    assert len(run) == 3
    assert [pair.id for pair in run] == ["000000", "000001", "000002"]
    pair = run[-1]
    assert pair.id == run["000002"].id == "000002"
    assert [each.id for each in run[1:]] == ["000001", "000002"]
    assert pair.image.shape == (32, 32, 3)
    assert np.array_equal(pair.mask, run.mask(run.record("000002")))
    with pytest.raises(RunError, match="no whole item 'boat'"):
        run["boat"]
    with pytest.raises(IndexError):
        run[3]


def test_touching_things_are_told_apart_in_record_and_export(model, tmp_path, monkeypatch):
    points = ((3, 4), (3, 20))
    monkeypatch.setattr("segmint.pipeline.touching_things", lambda labels, summary: points)
    run = segmint.generate(model, classes="boat", count=1, out=tmp_path / "run", progress=False)
    assert run[0].record.touching == points
    assert '"touching"' in (tmp_path / "run/items/000000.json").read_text()
    cut = []

    def spied(labels, **how):
        cut.append(how["points"])
        return part(labels, **how)

    monkeypatch.setattr("segmint.export.source.part", spied)
    run.export("coco", tmp_path / "coco", splits={"train": 1})
    run.export("coco", tmp_path / "whole", splits={"train": 1}, objects=ObjectRule(cut=False))
    assert cut == [points, ()]


def test_reprs_are_short_and_pictures_are_pictures(model, run):
    item = segmint.mint(model, "a boat at sea", "boat", settings=SMALL)
    for each in (model, run, run[0], item, item.trace, item.summary, item.summary.components[0]):
        assert len(repr(each)) < 2000
        assert "\n" not in repr(each)
    assert "uint8[32×32×3]" in repr(item)
    assert "3 items planned of boat, tree" in repr(run)
    for each in (item, run[0], run):
        assert each._repr_png_().startswith(b"\x89PNG")
    (run.folder / "contact-sheet.png").unlink()
    assert run._repr_png_() is None


def test_a_run_exports_itself(run, tmp_path):
    told = run.export("voc", tmp_path / "voc", splits={"train": 2, "val": 1})
    assert told.written == {"train": 2, "val": 1}
    assert (tmp_path / "voc" / "README.md").exists()


def test_torch_takes_what_nobody_rejected(run):
    from torch.utils.data import DataLoader
    from torchvision.transforms import v2

    decide(run.folder, {"000001": "rejected"}, by="test")
    data = segmint.open_run(run.folder).to_torch()
    assert len(data) == 2
    images, masks = next(iter(DataLoader(data, batch_size=2)))
    assert images.shape == (2, 3, 32, 32)
    assert np.array_equal(masks[1].numpy(), run["000002"].mask)
    turned = run.to_torch(v2.RandomHorizontalFlip(p=1.0))[1]
    assert np.array_equal(turned[0].permute(1, 2, 0).numpy(), run["000002"].image[:, ::-1])
    assert np.array_equal(turned[1].numpy(), run["000002"].mask[:, ::-1])


def test_a_bar_where_somebody_looks_and_silence_by_choice(model, tmp_path, monkeypatch, capsys):
    asked = {"classes": "boat", "count": 2, "settings": SMALL}
    segmint.generate(model, out=tmp_path / "unseen", **asked)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    segmint.generate(model, out=tmp_path / "silent", progress=False, **asked)
    assert capsys.readouterr().err == ""
    segmint.generate(model, out=tmp_path / "seen", **asked)
    assert "step 2 of 2" in capsys.readouterr().err


def test_failures_go_to_the_logger(tmp_path, caplog):
    broken = Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone(fail_items=frozenset({"000001"})))
    segmint.generate(broken, classes="boat", count=2, out=tmp_path / "demo", settings=SMALL)
    [told] = caplog.records
    assert told.name == "segmint"
    assert told.getMessage().startswith("item 000001 failed after 1 attempts: ")
