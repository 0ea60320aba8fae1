"""Near-duplicates among hand-made pictures and features whose answers can be checked by eye."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segmint.artifacts import AttentionSummary, LayerComponents
from segmint.errors import ConfigError
from segmint.runs import codec, layout
from segmint.runs.attentionfile import encode_summary
from segmint.runs.curation.alike import (
    USUAL,
    composition,
    distance,
    near_duplicates,
    perceptual_hash,
)
from segmint.runs.files.local import LocalFiles
from segmint.runs.store import Run
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
    found, unknown = near_duplicates(run, sorted(pictures), 6)
    [one] = found.taken
    assert {one.id, one.like} == {"000000", "000002"}
    assert 0 <= one.value <= 6
    assert len(found.left) == 3
    assert all(each.value > 6 for each in found.left)
    assert [each.value for each in found.left] == sorted(each.value for each in found.left)
    assert unknown == []
    assert near_duplicates(run, [], 6)[0].taken == []


def test_the_hash_outlives_size_and_light_and_tells_scenes_apart():
    image = scene(5)
    small = np.asarray(Image.fromarray(image).resize((40, 40), Image.Resampling.LANCZOS))
    dim = (image * 0.8).astype(np.uint8)
    own = perceptual_hash(image)

    def apart(other: np.ndarray) -> float:
        return float(distance(perceptual_hash(other)[None] @ own, "hash")[0])

    assert apart(small) <= 4
    assert apart(dim) <= 4
    assert min(apart(scene(seed)) for seed in range(10, 40)) > 12


def seen(seed: int, cells: int = 16, noise: float = 0.0) -> AttentionSummary:
    """Features of a picture with a square of its own somewhere: two channels tell it from the ground."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 10, 2)
    inside = np.zeros((16, 16))
    inside[y : y + 6, x : x + 6] = 1
    inside = inside[:: 16 // cells, :: 16 // cells]
    values = np.stack([inside, 1 - inside]) + noise * np.random.default_rng(1).normal(size=(2, cells, cells))
    layer = LayerComponents(layer="up", values=values.astype(np.float32))
    return AttentionSummary(grid=(cells, cells), components=(layer,), maps={})


def apart(one: AttentionSummary, other: AttentionSummary) -> float:
    return float(distance(composition(one)[None] @ composition(other), "features")[0])


def test_features_know_a_composition_whatever_their_axes_and_grid_and_tell_others_apart():
    own = seen(3, noise=0.02)
    turned = LayerComponents(layer="up", values=1 - own.components[0].values[::-1])
    assert apart(own, replace(own, components=(turned,))) < 1e-3
    assert apart(own, seen(3)) < USUAL["features"]
    finer = LayerComponents(layer="up", values=own.components[0].values.repeat(2, axis=1).repeat(2, axis=2))
    assert apart(own, replace(own, components=(finer,))) < 1e-3
    assert np.linalg.norm(composition(seen(3, cells=4))) == pytest.approx(1)
    assert min(apart(own, seen(seed)) for seed in range(4, 9)) > USUAL["features"]


def test_duplicates_by_features_are_found_where_they_were_kept(tmp_path):
    run = fill(LocalFiles(tmp_path / "run"), planned=4, done=4, features=True)
    for item_id, seed in (("000000", 3), ("000001", 4), ("000002", 3), ("000003", 7)):
        noise = 0.02 if item_id == "000002" else 0.0
        run.files.write(layout.features(item_id), encode_summary(seen(seed, noise=noise)))
    found, unknown = near_duplicates(run, sorted(run.done_ids()), USUAL["features"], by="features")
    assert [(each.id, each.like) for each in found.taken] == [("000002", "000000")]
    assert {each.id for each in found.left} == {"000001", "000003"}
    assert unknown == []
    without = fill(LocalFiles(tmp_path / "plain"), planned=1, done=1)
    with pytest.raises(ConfigError, match="kept no features to compare; take --by hash"):
        near_duplicates(without, ["000000"], 0.1, by="features")


@pytest.mark.parametrize(("threshold", "by"), [(1.5, "features"), (-1, "hash"), (40, "hash")])
def test_a_distance_that_strangers_have_is_refused(tmp_path, threshold, by):
    run = fill(LocalFiles(tmp_path / "run"), planned=1, done=1)
    with pytest.raises(ConfigError, match="expected 0 to"):
        near_duplicates(run, ["000000"], threshold, by=by)
