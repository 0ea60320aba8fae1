import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from segmint.artifacts import Generation, HeadFeatures, PromptSpec, TokenMaps
from segmint.errors import GenerationError
from segmint.masks.features import condense, place_share, principal_columns, scaled, summarise
from segmint.masks.settings import FeatureSettings, profile

FIXTURES = ("a_pndm4_g7.5_256", "a_ddim4_g7.5_256", "a_pndm4_g1_256")


def layer_of(values: np.ndarray, grid: tuple[int, int], name: str = "up.0") -> HeadFeatures:
    return HeadFeatures(layer=name, grid=grid, values=values.astype(np.float32))


@pytest.mark.parametrize("name", FIXTURES)
def test_columns_match_the_published_pca(reference: Path, name: str) -> None:
    halves = json.loads((reference / "hooks" / "expected.json").read_text())[name]["halves_in_features"]
    with np.load(reference / "hooks" / f"{name}.npz") as fixture:
        layers = [key.removeprefix("pca/") for key in fixture if key.startswith("pca/")]
        assert layers
        for layer in layers:
            heads = fixture[f"self_attn/{layer}"]
            side = int(heads.shape[1] ** 0.5)
            values = heads.reshape(halves, -1, *heads.shape[1:])
            ours = principal_columns(layer_of(values, (side, side), layer), 3)
            np.testing.assert_allclose(ours.T, fixture[f"pca/{layer}"], atol=1e-4)


def test_columns_are_scikit_learns_up_to_sign() -> None:
    values = np.random.default_rng(0).standard_normal((2, 3, 24, 8)) * np.arange(8, 0, -1)
    ours = principal_columns(layer_of(values, (4, 6)), 2).reshape(6, 2, 24)
    for head, columns in zip(values.reshape(6, 24, 8), ours, strict=True):
        theirs = PCA(2).fit_transform(head).T
        np.testing.assert_allclose(np.abs(columns), np.abs(theirs), atol=1e-4)


def test_largest_loading_is_positive() -> None:
    line = np.arange(6.0)
    values = np.stack([-line, 3 * line], axis=1)[None, None]
    [column] = principal_columns(layer_of(values, (2, 3)), 1)
    assert (np.diff(column) > 0).all()


def test_scaled_columns_span_zero_to_one_and_flat_ones_are_zero() -> None:
    out = scaled(np.array([[2.0, 4.0, 3.0], [7.0, 7.0, 7.0]], dtype=np.float32))
    assert out.tolist() == [[0.0, 1.0, 0.5], [0.0, 0.0, 0.0]]


def test_components_survive_float16_and_keep_the_layer_grid() -> None:
    values = np.random.default_rng(1).standard_normal((1, 2, 6, 5))
    [layer] = condense([layer_of(values, (2, 3))], FeatureSettings())
    assert layer.values.shape == (6, 2, 3)
    np.testing.assert_array_equal(layer.values.astype(np.float16).astype(np.float32), layer.values)
    assert layer.values.min() == 0
    assert layer.values.max() == 1


def test_fewer_channels_than_components() -> None:
    values = np.random.default_rng(1).standard_normal((1, 1, 6, 2))
    assert principal_columns(layer_of(values, (2, 3)), 3).shape == (2, 6)


def test_heads_do_not_mix() -> None:
    values = np.random.default_rng(2).standard_normal((2, 2, 9, 4))
    whole = principal_columns(layer_of(values, (3, 3)), 3)
    alone = principal_columns(layer_of(values[1:, :1], (3, 3)), 3)
    np.testing.assert_allclose(whole[6:9], alone, atol=1e-5)


def test_nan_features_are_an_error_that_names_the_layer() -> None:
    values = np.zeros((1, 1, 4, 2))
    values[0, 0, 0, 0] = np.nan
    with pytest.raises(GenerationError, match=r"up\.7"):
        condense([layer_of(values, (2, 2), "up.7")], FeatureSettings())


def test_summary_is_on_the_largest_grid() -> None:
    rng = np.random.default_rng(0)
    maps = TokenMaps(tokens=("<SoT>",), phrases=(), phrase_tokens=(), values=np.ones((1, 4, 6), np.float32))
    generation = Generation(
        spec=PromptSpec(item_id="a", index=0, prompt="p", classes=(), label_ids=(), phrases=(), seed=0),
        image=np.zeros((8, 12, 3), np.uint8),
        heads=(
            layer_of(rng.standard_normal((1, 1, 6, 4)), (2, 3)),
            layer_of(rng.standard_normal((1, 1, 24, 4)), (4, 6), "up.1"),
        ),
        maps={"classes": maps},
    )
    summary = summarise(generation, profile("pcc"))
    assert summary.grid == (4, 6)
    assert [each.layer for each in summary.components] == ["up.0", "up.1"]
    assert summary.maps["classes"] is maps


def test_half_precision_features_are_condensed_as_their_values_in_full() -> None:
    values = np.random.default_rng(5).standard_normal((2, 3, 16, 8)).astype(np.float16)
    half, full = (
        condense([HeadFeatures(layer="l", grid=(4, 4), values=each)], FeatureSettings())
        for each in (values, values.astype(np.float32))
    )
    np.testing.assert_array_equal(half[0].values, full[0].values)


def test_a_layer_that_only_tells_places_is_known_by_its_features() -> None:
    down, across = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 6), indexing="ij")
    ramps = np.stack([down, across, 0.3 * down + 0.7 * across]).astype(np.float32)
    assert place_share(ramps) == pytest.approx(1, abs=1e-5)
    checks = np.indices((4, 6)).sum(0) % 2
    assert place_share(checks[None].astype(np.float32)) < 0.05
    assert place_share(np.ones((2, 4, 6), np.float32)) == 0


def test_layers_of_much_place_are_left_out_but_never_all() -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 24, dtype=np.float32)
    place = np.stack([ramp * (1 + each) for each in range(4)], -1)[None, None]
    noise = rng.normal(size=(1, 1, 24, 4)).astype(np.float32)
    layers = [
        HeadFeatures(layer=name, grid=(4, 6), values=np.ascontiguousarray(values))
        for name, values in (("place", place), ("thing", noise))
    ]

    def kept(most: float) -> list[str]:
        found = condense(layers, FeatureSettings(components=1, most_place=most))
        return [each.layer for each in found]

    assert kept(1.0) == ["place", "thing"]
    assert kept(0.5) == ["thing"]
    assert kept(0.0001) == ["thing"]
