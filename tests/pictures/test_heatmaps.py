"""Heat maps: equal to the published OVAM's, right on the stand-in's shapes, and clear about bad words."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from segmint.attention import group_key
from segmint.backbone.fake import FakeBackbone, class_colour, draw
from segmint.backbone.settings import SamplingSettings
from segmint.errors import ConfigError, GenerationError, PromptError, StorageError
from segmint.pictures import heatmap_figure
from segmint.pictures.heatmap_figure import overlay, save_arrays, save_figure
from segmint.pictures.heatmaps import WHOLE, HeatMaps, attention_maps

PROMPT = "a photo of a dog and a boat"


def test_equals_the_published_ovam(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segmint.backbone import diffusion
    from segmint.backbone.loading import load
    from segmint.backbone.settings import ModelSettings

    golden = np.load(reference / "hooks" / "a_pndm4_g7.5_256.npz")
    expected = json.loads((reference / "hooks" / "expected.json").read_text())["a_pndm4_g7.5_256"]
    monkeypatch.setattr(diffusion, "draw_noise", lambda *_: torch.from_numpy(golden["latents"]))
    backbone = load(ModelSettings(id=str(reference / "tiny_sd2_a")), "cpu")
    sampling = SamplingSettings(steps=4, guidance=7.5, height_px=256, width_px=256)
    ovam = golden["ovam_latent"]
    words = ("dog", "pot plant", "sofa")
    by_words = attention_maps(backbone, expected["prompt"], words, kind="ovam", sampling=sampling)
    wanted = np.stack([ovam[1], ovam[2:4].max(0), ovam[4]])
    np.testing.assert_allclose(by_words.maps[WHOLE], wanted, rtol=1e-4)
    assert np.abs(by_words.image.astype(int) - golden["image"]).max() <= 1
    by_text = attention_maps(
        backbone, expected["prompt"], text=expected["ovam_text"], sampling=sampling, group_by=("layer",)
    )
    assert by_text.words == ("dog", "pot", "plant", "sofa")
    assert len(by_text.maps) == len(expected["ovam_blocks"])
    np.testing.assert_allclose(np.sum(list(by_text.maps.values()), axis=0), ovam[1:5], rtol=1e-4)


@pytest.mark.parametrize("kind", ["daam", "ovam"])
def test_points_at_the_words(kind: str) -> None:
    heat = attention_maps(FakeBackbone(), PROMPT, ["boat", "dog"], kind=kind)  # type: ignore[arg-type]
    assert heat.words == ("boat", "dog")
    for word, values in zip(heat.words, heat.maps[WHOLE], strict=True):
        away = np.abs(heat.image.astype(int) - class_colour(word)).sum(-1).reshape(16, 4, 16, 4).mean((1, 3))
        assert values[away < 100].min() > values[away >= 100].mean()


def test_all_words_by_default() -> None:
    assert attention_maps(FakeBackbone(), "a dog and a boat").words == ("a", "dog", "and", "boat")
    heat = attention_maps(FakeBackbone(), PROMPT, text="the dog's pot-plant")
    assert (heat.kind, heat.words) == ("ovam", ("the", "dog's", "pot-plant"))


def test_groups_are_named() -> None:
    heat = attention_maps(
        FakeBackbone(), PROMPT, ["dog"], group_by=["step"], sampling=SamplingSettings(steps=2)
    )
    assert (
        list(heat.maps)
        == [group_key("", step=step).removeprefix("/") for step in range(2)]
        == ["step=0", "step=1"]
    )


def test_looks_at_an_existing_image() -> None:
    picture = draw(attention_spec(), 64, 64)
    heat = attention_maps(FakeBackbone(), PROMPT, ["dog", "boat"], image=picture)
    np.testing.assert_array_equal(heat.image, picture)


def attention_spec():  # type: ignore[no-untyped-def]
    from segmint.artifacts import PromptSpec

    phrases = (("dog",), ("boat",))
    classes, label_ids = ("dog", "boat"), (1, 2)
    return PromptSpec(
        item_id="x", index=0, prompt=PROMPT, classes=classes, label_ids=label_ids, phrases=phrases, seed=1
    )


def test_more_words_than_fit_are_split_and_said() -> None:
    words = [f"word{number}" for number in range(20)]
    heat = attention_maps(FakeBackbone(), PROMPT, words, kind="ovam")
    assert len(heat.maps[WHOLE]) == 20
    assert "20 tokens" in heat.notes[0]
    assert "several texts" in heat.notes[0]
    long = attention_maps(FakeBackbone(), "a dog " * 10, ["dog"])
    assert "only the beginning" in long.notes[-1]


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["dog", " "], {}, "word 2 of 2 is empty"),
        (["cat"], {}, "'cat'.*not found"),
        (["dog"], {"text": "a cat"}, "not found in the text 'a cat'"),
        ([], {"text": "..."}, "has no words"),
        (["dog"], {"text": "dog", "kind": "daam"}, "belongs to kind 'ovam'"),
        (["w " * 30], {"kind": "ovam"}, "too many"),
    ],
)
def test_bad_words(words: list[str], options: dict[str, str], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        attention_maps(FakeBackbone(), PROMPT, words, **options)  # type: ignore[arg-type]


def test_failures_come_through() -> None:
    with pytest.raises(GenerationError, match="told to fail"):
        attention_maps(FakeBackbone(fail_items=frozenset({"heatmap"})), PROMPT, ["dog"])
    with pytest.raises(ConfigError, match="nearest size"):
        attention_maps(FakeBackbone(), PROMPT, ["dog"], sampling=SamplingSettings(height_px=63))


def test_overlay_is_grey_under_colour() -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    heat = np.array([[0, 0], [1, 1]], np.float32)
    np.testing.assert_array_equal(overlay(image, heat, strength=0.0), image)
    mixed = overlay(image, heat).astype(int)
    assert (mixed[-1, :, 0] > mixed[0, :, 0]).all()  # red is high
    assert (overlay(image, np.zeros((2, 2), np.float32)) == overlay(image, np.ones((2, 2), np.float32))).all()


def test_figure_and_arrays(tmp_path: Path) -> None:
    heat = attention_maps(FakeBackbone(), PROMPT, ["dog", "boat"], group_by=("layer",))
    assert save_figure(heat, tmp_path / "new" / "maps.png") == ()
    with PilImage.open(tmp_path / "new" / "maps.png") as opened:
        width, height = opened.size
    assert width > height  # three columns, two rows
    save_arrays(heat, tmp_path / "maps.npz")
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["image"], heat.image)
        assert json.loads(str(stored["about"]))["words"] == ["dog", "boat"]
        for group, values in heat.maps.items():
            np.testing.assert_array_equal(stored[f"maps/{group}"], values)


def test_figure_leaves_out_what_finds_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heatmap_figure, "MOST_ROWS", 2)
    image = np.zeros((8, 8, 3), np.uint8)
    maps = {f"step={step}": np.ones((1, 2, 2), np.float32) for step in range(4)}
    heat = HeatMaps(kind="daam", prompt="$x$ dog", image=image, words=("$dog_",), maps=maps)
    (note,) = save_figure(heat, tmp_path / "maps.png")
    assert note.startswith("2 of 4 groups")


def test_unwritable_places(tmp_path: Path) -> None:
    heat = attention_maps(FakeBackbone(), PROMPT, ["dog"])
    (tmp_path / "file").write_text("")
    for write in (save_figure, save_arrays):
        with pytest.raises(StorageError, match="cannot write"):
            write(heat, tmp_path / "file" / "maps.png")
    with pytest.raises(StorageError, match="cannot write"):
        save_figure(heat, tmp_path / "maps.unknown")
