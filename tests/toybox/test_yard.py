from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from segmint.errors import SegmintError
from segmint.toybox.yard import captions, lens, solids, things, world
from segmint.toybox.yard.camera import Camera, Window
from segmint.toybox.yard.palette import linear

SEEDS = range(10)


@pytest.fixture(scope="module")
def scenes() -> list[world.Scene]:
    return [draw(seed, split="reserve") for draw in (world.render, world.render_close_up) for seed in SEEDS]


def test_a_seed_and_a_split_decide_everything() -> None:
    first, again = world.render(5, split="val"), world.render(5, split="val")
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.instances, again.instances)
    assert first.caption == again.caption
    other = world.render(5, split="test")
    assert (first.image != other.image).any()


def test_splits_are_disjoint_streams() -> None:
    spans = [range(start, start + world.SEEDS_PER_SPLIT) for start in sorted(world.SPLIT_STARTS.values())]
    assert all(a.stop <= b.start for a, b in pairwise(spans))
    with pytest.raises(SegmintError, match="expected 0 to 9999999"):
        world.render(world.SEEDS_PER_SPLIT, split="train")
    with pytest.raises(SegmintError, match="yard seed -1"):
        world.render_close_up(-1, split="reserve")


def test_instances_refine_classes(scenes: list[world.Scene]) -> None:
    for scene in scenes:
        np.testing.assert_array_equal(scene.instances > 0, scene.mask > 0)
        for number, name in enumerate(scene.things, start=1):
            spot = scene.instances == number
            assert spot.sum() >= world.LEAST_VISIBLE_PX
            assert set(np.unique(scene.mask[spot])) == {world.CLASSES.index(name) + 1}
        assert int(scene.instances.max()) == len(scene.things)


def test_captions_name_what_is_there_and_nothing_else(scenes: list[world.Scene]) -> None:
    for scene in scenes:
        there = {world.CLASSES[label - 1] for label in np.unique(scene.mask) if label}
        assert there == set(scene.classes) == set(scene.things)
        assert captions.classes_in(scene.caption) == there
        assert len(scene.colours) == len(scene.classes)


def test_every_wording_names_the_same_classes(scenes: list[world.Scene]) -> None:
    rng = np.random.default_rng(0)
    known = set(captions.words())
    for scene in scenes:
        told = scene.told()
        for _ in range(20):
            text = captions.write(told, ground=scene.ground, backdrop=scene.backdrop, rng=rng)
            assert captions.classes_in(text) == set(scene.classes), text
            assert set(text.replace(",", " ").replace(":", " ").split()) <= known


def test_several_of_a_kind_are_told_in_the_plural() -> None:
    told = [captions.Told(name="barrel", colour="red", count=2)]
    rng = np.random.default_rng(3)
    texts = [captions.write(told, ground="sand", backdrop="open", rng=rng) for _ in range(30)]
    assert any("two red barrels" in text for text in texts)
    assert all(captions.classes_in(text) == {"barrel"} for text in texts)


def test_a_mask_follows_its_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without film and air, a thing painted in glowing white is bright exactly where its mask is."""
    plain = lens.Lens(
        focus_m=1.0,
        aperture_px=0.0,
        exposure=1.0,
        balance=np.ones(3, np.float32),
        vignette=0.0,
        noise=0.0,
        quality=95,
    )
    monkeypatch.setattr(lens, "choose", lambda rng, *, focus_m: plain)

    def lit(colour: np.ndarray, rng: np.random.Generator) -> things.Body:
        part = things.Part(
            distance=lambda p: solids.ball(p, (0, 0.3, 0), 0.3),
            paint=things.plain(linear(255, 255, 255)),
            gloss=0,
            glow=9.0,
            grain=0.0,
        )
        return things.Body(parts=(part,), half_x=0.3, height=0.6, half_z=0.3)

    one = things.Kind(build=lit, words=("ball",), colours=("white",))
    monkeypatch.setattr(things, "KINDS", {"ball": one})
    monkeypatch.setattr(world, "_COUNT_SHARES", (1.0,))
    monkeypatch.setattr(world, "_GRASS_SHARE", 0.0)
    shares = []
    for seed in range(9):
        scene = world.render(seed, split="val")
        bright = scene.image.min(-1) > 250
        inside = scene.mask > 0
        assert (bright & inside).sum() > 0.93 * inside.sum()
        shares.append(inside.sum() / _box_px(inside))
    # A ball in perspective is nearly a disc, which fills pi / 4 of its bounding box; pebbles hide parts.
    assert np.median(shares) == pytest.approx(np.pi / 4, abs=0.02)


def _box_px(spot: np.ndarray) -> int:
    rows, cols = np.nonzero(spot)
    return int((np.ptp(rows) + 1) * (np.ptp(cols) + 1))


def test_every_class_ground_and_backdrop_is_drawn() -> None:
    close = [world.render_close_up(seed, split="val") for seed in range(80)]
    assert {name for scene in close for name in scene.classes} == set(world.CLASSES)
    assert len({scene.backdrop for scene in close}) == 5
    assert len({scene.ground for scene in close} - {""}) == 6
    assert all(scene.image.shape == (64, 64, 3) for scene in close)
    assert all(scene.window.row % 8 == 0 and scene.window.col + 64 <= 128 for scene in close)


def test_classes_are_not_those_of_the_first_world() -> None:
    from segmint.toybox.world import CLASSES

    assert not set(CLASSES) & set(world.CLASSES)
    assert tuple(sorted(world.CLASSES)) == world.CLASSES


@pytest.mark.parametrize("name", sorted(things.KINDS))
def test_distances_never_overstep(name: str) -> None:
    """Steps as long as the distance must not pass the surface, and a thing must fill its box."""
    rng = np.random.default_rng(4)
    body = things.KINDS[name].build(linear(200, 40, 40), rng)
    half = np.asarray((body.half_x, body.height, body.half_z), np.float32)[:, None]
    p = (rng.uniform(-1, 1, (3, 4000)).astype(np.float32)) * half
    p[1] = np.abs(p[1])
    gap = body.distance(p)
    step = rng.standard_normal(p.shape).astype(np.float32)
    step /= np.sqrt((step * step).sum(0))
    ahead = body.distance(p + 0.8 * np.maximum(gap, 0) * step)
    assert (ahead > -0.02)[gap > 0].mean() > 0.995
    # Outside the box there is nothing.
    outside = p.copy()
    outside[0] = np.sign(outside[0]) * (half[0] + 0.03)
    assert body.distance(outside).min() > 0


def test_a_camera_projects_along_its_rays() -> None:
    view = Camera(height=1.5, pitch=0.3, roll=0.05, focal_px=150.0, side_px=128, distance=4.0)
    window = Window(row=16, col=40, side=8)
    rays = view.rays(window)
    cols, rows = view.project(view.position() + 3 * rays)
    assert cols.min() == pytest.approx(40.125, abs=1e-2)
    assert cols.max() == pytest.approx(47.875, abs=1e-2)
    assert rows.min() == pytest.approx(16.125, abs=1e-2)
    assert rows.max() == pytest.approx(23.875, abs=1e-2)


def test_a_photograph_is_a_jpeg_of_the_light() -> None:
    light = np.full((3, 32, 32), 0.2, np.float32)
    rng = np.random.default_rng(0)
    film = lens.choose(rng, focus_m=2.0)
    picture = lens.photograph(light, np.full((32, 32), 2.0, np.float32), film, rng)
    assert picture.shape == (32, 32, 3)
    assert 60 < picture.mean() < 190
    assert 0 < picture.std() < 25
    assert Image.fromarray(picture).mode == "RGB"
