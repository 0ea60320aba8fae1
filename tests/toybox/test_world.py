from itertools import pairwise

import numpy as np
import pytest

from segmint.errors import SegmintError
from segmint.plan.classes import preset_vocabulary
from segmint.toybox import backgrounds, brush, world

SEEDS = range(24)


def test_a_seed_and_a_split_decide_everything() -> None:
    first, again = world.render(5, split="val"), world.render(5, split="val")
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert first.caption == again.caption
    other = world.render(5, split="test")
    assert (first.image != other.image).any()


def test_splits_are_disjoint_streams() -> None:
    spans = [range(start, start + world.SEEDS_PER_SPLIT) for start in sorted(world.SPLIT_STARTS.values())]
    assert all(a.stop <= b.start for a, b in pairwise(spans))
    with pytest.raises(SegmintError, match="expected 0 to 9999999"):
        world.render(world.SEEDS_PER_SPLIT, split="train")
    with pytest.raises(SegmintError, match="toybox seed -1"):
        world.render(-1, split="val")


def test_close_ups_share_no_stream_with_scenes() -> None:
    scene, close_up = world.render(3, split="train"), world.render_close_up(3, split="train")
    assert scene.image.shape == (128, 128, 3)
    assert close_up.image.shape == (64, 64, 3)
    assert close_up.caption != scene.caption


@pytest.mark.parametrize("draw", [world.render, world.render_close_up])
def test_mask_classes_and_caption_agree(draw) -> None:
    for seed in SEEDS:
        scene = draw(seed, split="test")
        names = {world.CLASSES[label - 1] for label in np.unique(scene.mask) if label}
        assert names == set(scene.classes)
        said = scene.caption.replace(",", " ").replace(";", " ").split()
        assert names == set(said) & set(world.CLASSES)
        assert len(scene.colours) == len(scene.classes)
        assert scene.ground in backgrounds.GROUNDS


def test_every_thing_is_large_enough_to_matter() -> None:
    for seed in SEEDS:
        scene = world.render(seed, split="train")
        for name in scene.classes:
            assert (scene.mask == world.CLASSES.index(name) + 1).mean() > 0.01


def test_class_ids_are_those_of_the_preset() -> None:
    entries = preset_vocabulary("toybox").entries
    assert tuple(entry.name for entry in entries) == world.CLASSES
    assert [entry.label_id for entry in entries] == list(range(1, len(world.CLASSES) + 1))


def test_a_mask_follows_its_thing_pixel_by_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Things without outline on an even ground: a pixel differs from the ground where something covers it."""
    grey = np.full((128, 128, 3), 128, np.uint8)
    monkeypatch.setattr(backgrounds, "paint", lambda name, side_px, rng: grey)
    for seed in SEEDS:
        scene = world.render(seed, split="test")
        touched = (scene.image != 128).any(axis=-1)
        assert not (scene.mask.astype(bool) & ~touched).any()
        # Outside the mask a pixel is covered by less than half, which leaves at least half of the ground.
        outside = scene.image[scene.mask == 0].astype(int)
        assert np.abs(outside - 128).max() <= 64


def test_a_square_covers_exactly_its_pixels() -> None:
    pen = brush.Brush(size_px=8.0, angle=0.0, mirrored=False, ink=(0, 0, 0))
    pen.polygon([(-0.5, -0.5), (0.47, -0.5), (0.47, 0.47), (-0.5, 0.47)], (255, 0, 0), outline=False)
    sprite = pen.sprite()
    expected = np.zeros((12, 12), bool)
    expected[4:8, 4:8] = True
    np.testing.assert_array_equal(sprite.coverage >= 128, expected)
    assert (sprite.rgb[4:8, 4:8] == (255, 0, 0)).all()


def test_half_a_pixel_is_half_covered() -> None:
    pen = brush.Brush(size_px=8.0, angle=0.0, mirrored=False, ink=(0, 0, 0))
    pen.polygon([(-0.5, -0.5), (0.34, -0.5), (0.34, 0.47), (-0.5, 0.47)], (255, 0, 0), outline=False)
    assert pen.sprite().coverage[5, 7] == pytest.approx(127.5, abs=1)


def test_every_class_and_ground_is_drawn() -> None:
    scenes = [world.render(seed, split="val") for seed in range(60)]
    assert {name for scene in scenes for name in scene.classes} == set(world.CLASSES)
    assert {scene.ground for scene in scenes} == set(backgrounds.GROUNDS)
    assert {len(scene.classes) for scene in scenes} == {1, 2, 3}
