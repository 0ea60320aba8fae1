import io

import numpy as np
import pytest
from PIL import Image as PilImage

from segmint.errors import ImageError
from segmint.runs import codec
from segmint.runs.attentionfile import decode_summary
from segmint.vocabulary import Vocabulary


def test_masks_keep_every_label_and_wear_the_palette():
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    vocabulary = Vocabulary.of(["boat"], colours={"boat": (1, 2, 3)})
    data = codec.encode_mask(labels, vocabulary.palette())
    assert np.array_equal(codec.decode_mask(data, source="m"), labels)
    assert PilImage.open(io.BytesIO(data)).convert("RGB").getpixel((1, 0)) == (1, 2, 3)


def test_png_images_are_lossless_and_jpegs_keep_full_chroma():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = (255, 0, 0)
    assert np.array_equal(codec.decode_image(codec.encode_image(image, "png"), source="i"), image)
    jpeg = codec.encode_image(image, "jpg")
    picture = PilImage.open(io.BytesIO(jpeg))
    assert picture.layer[1][1:3] == (1, 1)  # chroma sampled like luma
    assert np.abs(codec.decode_image(jpeg, source="i").astype(int) - image).max() <= 6


def test_agreement_is_kept_to_one_grey_level():
    shares = np.array([[0.0, 1 / 3, 5 / 9, 1.0]], np.float32)
    back = codec.decode_agreement(codec.encode_agreement(shares), source="a")
    assert np.abs(back - shares).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"hello", b"\xff\xd8\xff\xe0"])
def test_foreign_bytes_are_refused_by_name(data):
    for decode in (codec.decode_image, codec.decode_mask, codec.decode_agreement, decode_summary):
        with pytest.raises(ImageError, match="some/file"):
            decode(data, source="some/file")


def test_a_colour_picture_is_no_mask():
    data = codec.encode_image(np.zeros((4, 4, 3), np.uint8), "png")
    with pytest.raises(ImageError, match="no mask"):
        codec.decode_mask(data, source="m")
