"""Choosing items by hand-made runs whose answers can be checked by eye."""

import numpy as np
import pytest
from PIL import Image

from segmint.api import Model, generate
from segmint.backbone.fake import FakeBackbone
from segmint.backbone.settings import ModelSettings
from segmint.errors import ConfigError
from segmint.jobs.choice import extreme, near_duplicates, perceptual_hash, sampled
from segmint.runs import codec
from segmint.runs.files.local import LocalFiles
from segmint.runs.store import Run, open_run
from small_runs import fill


def drawn(folder, pictures: dict[str, np.ndarray]) -> Run:
    """A run whose images are these."""
    run = fill(LocalFiles(folder), planned=len(pictures), done=len(pictures))
    for item_id, picture in pictures.items():
        path = run.files.root / run.record(item_id).files["image"].path
        path.write_bytes(codec.encode_image(picture, path.suffix[1:]))
    return run


def scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC))


@pytest.fixture
def minted(tmp_path) -> Run:
    model = Model(settings=ModelSettings(id="fake"), backbone=FakeBackbone())
    settings = {"sampling.height_px": 32, "sampling.width_px": 32, "output.keep_features": True}
    generate(model, classes="boat, tree", count=8, out=tmp_path / "run", settings=settings)
    return open_run(tmp_path / "run")


def test_worst_and_best_are_the_ends_of_one_order(minted):
    ids = sorted(minted.done_ids())
    worst, unknown = extreme(minted, ids, 8, by="agreement", worst=True)
    best, _ = extreme(minted, ids, 3, by="agreement", worst=False)
    assert unknown == []
    values = [each.value for each in worst]
    assert values == sorted(minted.record(each).agreement for each in ids)
    assert [each.value for each in best] == values[::-1][:3]
    fullest, _ = extreme(minted, ids, 1, by="uncertain", worst=True)
    assert fullest[0].value == max(minted.record(each).uncertain_fraction for each in ids)
    emptiest, _ = extreme(minted, ids, 1, by="area(boat)", worst=True)
    assert emptiest[0].value == min(minted.record(each).areas.get("boat", 0.0) for each in ids)


def test_presence_is_told_where_two_classes_compete(minted):
    ids = sorted(minted.done_ids())
    chosen, unknown = extreme(minted, ids, 8, by="presence", worst=True)
    lone = [each for each in ids if len(minted.record(each).classes) < 2]
    assert sorted(unknown) == lone
    assert len(chosen) == len(ids) - len(lone) > 0
    assert all(0 <= each.value <= 1 for each in chosen)
    assert [each.value for each in chosen] == sorted(each.value for each in chosen)


def test_there_is_no_such_measure(minted):
    with pytest.raises(ConfigError, match="expected a number or one of uncertain, agreement"):
        extreme(minted, [], 1, by="beauty", worst=True)
    with pytest.raises(ConfigError, match="no class 'bot' in this run"):
        extreme(minted, [], 1, by="area(bot)", worst=True)


def test_a_sample_depends_on_seed_and_ids_alone():
    ids = [f"{at:03d}" for at in range(50)]
    first = sampled(ids, 5, 0)
    assert first == sampled(ids[::-1], 5, 0)
    assert first != sampled(ids, 5, 1)
    assert [each.id for each in first] == sorted(each.id for each in first)


def test_alike_images_are_found_and_others_left(tmp_path):
    noise = np.random.default_rng(0).integers(-9, 10, (64, 64, 3))
    near = np.clip(scene(1).astype(int) + noise, 0, 255).astype(np.uint8)
    pictures = {
        "000000": scene(1),
        "000001": scene(2),
        "000002": near,
        "000003": scene(1)[:, :, ::-1],  # the same forms in other colours
        "000004": scene(3),
    }
    run = drawn(tmp_path / "run", pictures)
    [one] = near_duplicates(run, sorted(pictures), 6)
    assert {one.id, one.like} == {"000000", "000002"}
    assert 0 <= one.value <= 6
    assert near_duplicates(run, [], 6) == []


def test_the_hash_outlives_size_and_light_and_tells_scenes_apart():
    image = scene(5)
    small = np.asarray(Image.fromarray(image).resize((40, 40), Image.Resampling.LANCZOS))
    dim = (image * 0.8).astype(np.uint8)
    own = perceptual_hash(image)

    def apart(other: np.ndarray) -> float:
        return (63 - own @ perceptual_hash(other)) / 2

    assert apart(small) <= 4
    assert apart(dim) <= 4
    assert min(apart(scene(seed)) for seed in range(10, 40)) > 12
