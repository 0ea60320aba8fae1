import numpy as np
import pytest
from PIL import Image

from segmint.errors import DatasetError, ImageError
from segmint.labels.labelmap import parse_label_map
from segmint.labels.legend import legend_of
from segmint.labels.maskfile import read_mask
from segmint.vocabulary import Vocabulary

TOWN = legend_of(Vocabulary.of(["boat", "house"]))
LABELS = np.array([[0, 1, 2], [1, 1, 255]], np.uint8)
COLOURS = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 255: (224, 224, 192)}


def coloured(labels):
    return np.array([[COLOURS[int(v)] for v in row] for row in labels], np.uint8)


def palette(labels, colours):
    picture = Image.fromarray(labels, mode="L")
    picture.putpalette([channel for index in range(256) for channel in colours.get(index, (9, 9, 9))])
    return picture


KINDS = {
    "grey": Image.fromarray(LABELS),
    "palette": palette(LABELS, COLOURS),
    "foreign palette": palette(LABELS, {1: (7, 7, 7)}),
    "rgb": Image.fromarray(coloured(LABELS)),
    "grey as rgb": Image.fromarray(np.repeat(LABELS[..., None], 3, axis=2)),
    "16 bit": Image.fromarray(LABELS.astype(np.uint16)),
    "grey and alpha": Image.fromarray(LABELS).convert("LA"),
    "rgba": Image.fromarray(coloured(LABELS)).convert("RGBA"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_masks_of_every_kind_mean_the_same(tmp_path, kind, suffix):
    path = tmp_path / f"a.{suffix}"
    KINDS[kind].save(path)
    assert read_mask(path, TOWN).tolist() == LABELS.tolist()


def test_one_bit_is_0_and_1(tmp_path):
    Image.fromarray(LABELS == 1).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", TOWN).tolist() == (LABELS == 1).astype(int).tolist()


def test_colours_by_the_dataset_s_own_map(tmp_path):
    legend = parse_label_map("leaf:48,112,32::\nbackground:0,0,0::", source="x")
    Image.fromarray(np.array([[(0, 0, 0), (48, 112, 32)]], np.uint8)).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", legend).tolist() == [[0, 1]]


@pytest.mark.parametrize("text", ["boat\nhouse", "1: boat\n2: house"])
def test_colours_are_voc_s_where_the_map_has_none(tmp_path, text):
    legend = parse_label_map(text, source="x")
    Image.fromarray(coloured(LABELS)).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", legend).tolist() == LABELS.tolist()
    palette(LABELS, {1: COLOURS[2], 2: COLOURS[1]}).save(tmp_path / "a.png")  # a palette of anybody's
    assert read_mask(tmp_path / "a.png", legend).tolist() == LABELS.tolist()


def test_a_palette_decides_where_the_map_has_no_ids(tmp_path):
    legend = parse_label_map("leaf:48,112,32::\nbackground:0,0,0::", source="x")
    palette(np.array([[0, 1]], np.uint8), {0: (48, 112, 32), 1: (0, 0, 0)}).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", legend).tolist() == [[1, 0]]


def test_a_palette_that_contradicts_the_ids_is_refused(tmp_path):
    palette(np.array([[0, 1, 2]], np.uint8), {1: COLOURS[2], 2: COLOURS[1], 0: COLOURS[0]}).save(
        tmp_path / "a.png"
    )
    with pytest.raises(
        ImageError, match=r"a\.png: the value 1 is 'boat' by its number and 'house' by the colour"
    ):
        read_mask(tmp_path / "a.png", TOWN)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.fromarray(np.array([[0, 3]], np.uint8)), r"values \[3\]; expected 0 .* ids 1, 2, or 255"),
        (Image.fromarray(np.array([[0, 300]], np.uint16)), r"values \[300\]"),
        (Image.new("RGB", (1, 1), (1, 2, 3)), r"holds colour \(1, 2, 3\)"),
        (Image.new("RGBA", (1, 1), (0, 0, 0, 9)), "transparent"),
        (Image.new("CMYK", (1, 1)), "mode CMYK"),
    ],
)
def test_what_means_nothing_is_named(tmp_path, picture, message):
    path = tmp_path / ("a.tif" if picture.mode == "CMYK" else "a.png")
    picture.save(path)
    with pytest.raises(ImageError, match=message):
        read_mask(path, TOWN)


def test_an_unknown_value_raises_what_the_caller_says(tmp_path):
    Image.fromarray(np.array([[9]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png"):
        read_mask(tmp_path / "a.png", TOWN, unknown=DatasetError)


def test_an_animation_is_no_mask(tmp_path):
    frames = [Image.fromarray(LABELS), Image.fromarray(LABELS[::-1].copy())]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="has 2 frames"):
        read_mask(tmp_path / "a.png", TOWN)


def test_a_truncated_or_missing_file(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(ImageError, match=r"a\.png: no such file"):
        read_mask(path, TOWN)
    KINDS["palette"].save(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ImageError, match=r"a\.png: "):
        read_mask(path, TOWN)
