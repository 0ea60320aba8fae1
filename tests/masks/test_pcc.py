"""The whole method on small hand-made attention."""

import numpy as np
import pytest

from segmint.artifacts import AttentionSummary, LayerComponents, TokenMaps
from segmint.errors import ConfigError
from segmint.masks.evidence import ClassQuery
from segmint.masks.methods import METHODS
from segmint.masks.settings import profile
from segmint.pipeline import mask_statistics

BOAT = ClassQuery(name="boat", label_id=1, phrases=("boat",))
TREE = ClassQuery(name="tree", label_id=5, phrases=("tree",))


def attention(grid: tuple[int, int], parts: np.ndarray, seed: int = 0) -> AttentionSummary:
    """Attention that knows the parts: 0 background, 1 boat, 2 tree."""
    rng = np.random.default_rng(seed)
    onehot = np.stack([parts == each for each in range(3)]).astype(np.float32)
    noisy = np.clip(onehot.repeat(4, axis=0) + rng.normal(0, 0.05, (12, *grid)), 0, 1).astype(np.float32)
    maps = TokenMaps(
        tokens=("<SoT>", "boat", "tree", "<EoT>"),
        phrases=("boat", "tree"),
        phrase_tokens=((1,), (2,)),
        values=np.concatenate([10 + 5 * onehot, onehot[:1]]),
    )
    half = noisy[:, ::2, ::2]
    layers = (LayerComponents(layer="a", values=half), LayerComponents(layer="b", values=noisy))
    return AttentionSummary(grid=grid, components=layers, maps={"classes": maps})


def scene(grid: tuple[int, int], size: tuple[int, int]) -> tuple[AttentionSummary, np.ndarray, np.ndarray]:
    height, width = grid
    parts = np.zeros(grid, dtype=np.int64)
    parts[height // 4 : height // 2, : width // 2] = 1
    parts[height // 2 :, width // 2 :] = 2
    rows, columns = np.arange(size[0]) * height // size[0], np.arange(size[1]) * width // size[1]
    large = parts[rows][:, columns]
    image = np.array([[20, 90, 200], [230, 60, 40], [40, 160, 60]], np.uint8)[large]
    return attention(grid, parts), image, np.array([0, 1, 5])[large]


@pytest.mark.parametrize(("grid", "size"), [((16, 16), (64, 64)), ((12, 20), (48, 80)), ((16, 12), (50, 37))])
@pytest.mark.parametrize("method", ["pcc", "pcc-published"])
def test_clear_attention_gives_the_parts(method: str, grid: tuple[int, int], size: tuple[int, int]) -> None:
    summary, image, truth = scene(grid, size)
    trace = METHODS[method](summary, image, [TREE, BOAT], profile(method))
    labels = trace.mask.labels
    assert labels.shape == size
    certain = labels != 255
    assert certain.mean() > 0.6
    assert (labels == truth)[certain].mean() > 0.9
    assert trace.voted is not None
    assert (trace.voted.labels == trace.voted.ballots[0]).mean() > 0.9


def test_order_of_classes_does_not_matter() -> None:
    summary, image, _ = scene((16, 16), (64, 64))
    one, other = (
        METHODS["pcc"](summary, image, classes, profile("pcc")) for classes in ([BOAT, TREE], [TREE, BOAT])
    )
    np.testing.assert_array_equal(one.mask.labels, other.mask.labels)


def test_the_same_input_gives_the_same_mask() -> None:
    summary, image, _ = scene((16, 16), (64, 64))
    one, two = (METHODS["pcc"](summary, image, [BOAT, TREE], profile("pcc")) for _ in range(2))
    np.testing.assert_array_equal(one.mask.labels, two.mask.labels)


def test_no_class_gives_background_or_uncertain() -> None:
    summary, image, _ = scene((16, 16), (64, 64))
    labels = METHODS["pcc"](summary, image, [], profile("pcc")).mask.labels
    assert set(np.unique(labels)) <= {0, 255}


def test_a_text_that_was_not_captured_is_named() -> None:
    summary, image, _ = scene((16, 16), (64, 64))
    other = AttentionSummary(grid=summary.grid, components=summary.components, maps={})
    with pytest.raises(ConfigError, match="'classes'"):
        METHODS["pcc"](other, image, [BOAT], profile("pcc"))


def test_statistics_add_up() -> None:
    summary, image, _ = scene((16, 16), (64, 64))
    found = mask_statistics(METHODS["pcc"](summary, image, [BOAT, TREE], profile("pcc")).mask)
    assert sum(found.areas.values()) + found.uncertain_fraction == pytest.approx(1)
    assert 0.5 < found.agreement <= 1
