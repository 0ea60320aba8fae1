"""Arrays to pictures and numbers, by hand-made arrays."""

import numpy as np
import pytest

from segmint.artifacts import LayerComponents
from segmint.pictures import render
from segmint.viewer.markup import el, percent, to_html
from segmint.viewer.pictures import prune
from segmint.viewer.statistics import centres, heat_maps
from segmint.vocabulary import Vocabulary
from synthetic_runs import vocabulary

PALETTE = render.palette_of(vocabulary())


def test_overlay_leaves_the_background_and_mixes_the_rest():
    image = np.full((2, 2, 3), 100, np.uint8)
    labels = np.array([[0, 1], [0, 255]], np.uint8)
    mixed = render.overlay(image, labels, PALETTE, 0.5)
    assert (mixed[:, 0] == 100).all()
    assert mixed[0, 1].tolist() == [164, 98, 87]
    assert mixed[1, 1].tolist() == [162, 162, 146]


def test_borders_lie_where_labels_meet():
    labels = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]], np.uint8)
    assert render.borders(labels).tolist() == [[False, True, False], [True, True, True], [False] * 3]


def test_dark_colours_are_lightened_and_bright_ones_kept():
    assert render.shown_colour((240, 200, 70)) == (240, 200, 70)
    red, green, blue = render.shown_colour((0, 0, 128))
    assert 0.299 * red + 0.587 * green + 0.114 * blue == pytest.approx(render.DARKEST_LUMA, abs=1)
    assert blue > red == green
    assert render.shown_colour((255, 255, 255)) == (255, 255, 255)


def test_cluster_colours_are_all_different():
    assert len({tuple(row) for row in render.cluster_colours(40).tolist()}) == 40


def test_features_of_two_halves_have_two_colours():
    values = np.zeros((6, 4, 4), np.float32)
    values[:, :, 2:] = 1
    picture = render.features_rgb((LayerComponents(layer="up.0", values=values),), (8, 8))
    assert picture.shape == (8, 8, 3)
    assert len({tuple(each) for each in picture.reshape(-1, 3).tolist()}) == 2
    assert (picture[:, :4] == picture[0, 0]).all()


def test_heads_are_spread_over_all_layers():
    layers = tuple(LayerComponents(layer=f"l{i}", values=np.ones((6, 2, 2), np.float32)) for i in range(5))
    shown = render.heads_rgb(layers, 4)
    assert [layer for layer, _ in shown] == ["l0", "l1", "l3", "l4"]
    assert len(render.heads_rgb(layers, 99)) == 10


@pytest.mark.parametrize("shape", [(512, 512), (30, 700), (1, 1), (700, 3)])
def test_thumbnails_keep_the_shape_and_fit(shape):
    picture = np.zeros((*shape, 3), np.uint8)
    for small in (render.thumbnail(picture), render.resized_labels(np.zeros(shape, np.uint8), PALETTE)):
        assert max(small.shape[:2]) <= render.THUMBNAIL_PX
        assert min(small.shape[:2]) >= 1


def test_centres_of_mass():
    labels = np.zeros((80, 160), np.uint8)
    labels[:40, 80:] = 7
    labels[60:] = 255
    [centre] = centres(labels)
    assert (centre.label_id, centre.x, centre.y) == (7, 0.75, 0.25)
    [cells] = heat_maps([centre, centre]).values()
    assert cells.max() == 1
    assert cells[np.unravel_index(int(cells.argmax()), cells.shape)] == 1
    assert cells.sum() == 1


def test_markup_escapes_every_text():
    html = to_html(el("p", {"title": 'a"b&c'}, "<script>", el("b", None, "x"), "&\x00tail"))
    assert html == '<p title="a&quot;b&amp;c">&lt;script&gt;<b>x</b>&amp;tail</p>'


def test_percent_in_words():
    assert [percent(0.1234), percent(None), percent(float("nan"))] == ["12.3 %", "–", "–"]


def test_pruning_takes_the_oldest(tmp_path):
    import os

    folder = tmp_path / "run" / "ab"
    folder.mkdir(parents=True)
    for age in range(4):
        path = folder / f"{age}.jpg"
        path.write_bytes(b"x" * 10)
        os.utime(path, (1000 - age, 1000 - age))
    assert prune(tmp_path, limit_bytes=25) == 2
    assert sorted(each.name for each in folder.iterdir()) == ["0.jpg", "1.jpg"]
    assert prune(tmp_path / "nothing") == 0


def test_a_vocabulary_with_gaps_is_shown_by_its_own_ids():
    entries = vocabulary().entries
    gaps = Vocabulary.of_entries([entries[0], entries[2]])
    assert render.palette_of(gaps)[3].tolist() == [240, 200, 70]
