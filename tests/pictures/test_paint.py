"""Arrays to pictures, by hand-made arrays."""

import numpy as np
import pytest

from segmint.artifacts import LayerComponents
from segmint.pictures import paint
from segmint.vocabulary import Vocabulary
from synthetic_runs import vocabulary

PALETTE = paint.palette_of(vocabulary())


def test_overlay_leaves_the_background_and_mixes_the_rest():
    image = np.full((2, 2, 3), 100, np.uint8)
    labels = np.array([[0, 1], [0, 255]], np.uint8)
    mixed = paint.overlay(image, labels, PALETTE, 0.5)
    assert (mixed[:, 0] == 100).all()
    assert mixed[0, 1].tolist() == [164, 98, 87]
    assert mixed[1, 1].tolist() == [162, 162, 146]


def test_a_line_rings_each_class_and_no_uncertain_pixel():
    labels = np.zeros((6, 6), np.uint8)
    labels[1:5, 1:5], labels[4, 1:5] = 1, 255
    boat = Vocabulary.of(["boat"], colours={"boat": (200, 0, 0)})
    drawn = paint.outlined_overlay(np.full((6, 6, 3), 100, np.uint8), labels, paint.file_palette(boat))
    assert drawn[0, 0].tolist() == [100, 100, 100]
    assert drawn[3, 3].tolist() == [155, 45, 45]
    assert drawn[1, 1].tolist() == [255, 255, 255]
    assert drawn[4, 2].tolist() == [168, 168, 151]


def test_borders_lie_where_labels_meet():
    labels = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]], np.uint8)
    assert paint.borders(labels).tolist() == [[False, False, True], [False, False, True], [True, True, True]]


def test_dark_colours_are_lightened_and_bright_ones_kept():
    assert paint.shown_colour((240, 200, 70)) == (240, 200, 70)
    red, green, blue = paint.shown_colour((0, 0, 128))
    assert 0.299 * red + 0.587 * green + 0.114 * blue == pytest.approx(paint.DARKEST_LUMA, abs=1)
    assert blue > red == green
    assert paint.shown_colour((255, 255, 255)) == (255, 255, 255)


def test_cluster_colours_are_all_different():
    assert len({tuple(row) for row in paint.cluster_colours(40).tolist()}) == 40


def test_features_of_two_halves_have_two_colours():
    values = np.zeros((6, 4, 4), np.float32)
    values[:, :, 2:] = 1
    picture = paint.features_rgb((LayerComponents(layer="up.0", values=values),), (8, 8))
    assert picture.shape == (8, 8, 3)
    assert len({tuple(each) for each in picture.reshape(-1, 3).tolist()}) == 2
    assert (picture[:, :4] == picture[0, 0]).all()


def test_heads_are_spread_over_all_layers():
    layers = tuple(LayerComponents(layer=f"l{i}", values=np.ones((6, 2, 2), np.float32)) for i in range(5))
    shown = paint.heads_rgb(layers, 4)
    assert [layer for layer, _ in shown] == ["l0", "l1", "l3", "l4"]
    assert len(paint.heads_rgb(layers, 99)) == 10


@pytest.mark.parametrize("shape", [(512, 512), (30, 700), (1, 1), (700, 3)])
def test_thumbnails_keep_the_shape_and_fit(shape):
    picture = np.zeros((*shape, 3), np.uint8)
    for small in (paint.thumbnail(picture), paint.resized_labels(np.zeros(shape, np.uint8), PALETTE)):
        assert max(small.shape[:2]) <= paint.THUMBNAIL_PX
        assert min(small.shape[:2]) >= 1


def test_a_vocabulary_with_gaps_is_shown_by_its_own_ids():
    entries = vocabulary().entries
    gaps = Vocabulary.of_entries([entries[0], entries[2]])
    assert paint.palette_of(gaps)[3].tolist() == [240, 200, 70]
