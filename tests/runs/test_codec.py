import contextlib
import io
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as PilImage

from segmint.artifacts import Affinity, AttentionSummary, LayerComponents, TokenMaps
from segmint.errors import ImageError
from segmint.runs import codec
from segmint.vocabulary import Vocabulary


def same(a: AttentionSummary, b: AttentionSummary) -> bool:
    return (
        a.grid == b.grid
        and [x.layer for x in a.components] == [x.layer for x in b.components]
        and all(np.array_equal(x.values, y.values) for x, y in zip(a.components, b.components, strict=True))
        and list(a.maps) == list(b.maps)
        and all(
            (m.tokens, m.phrases, m.phrase_tokens) == (n.tokens, n.phrases, n.phrase_tokens)
            and np.array_equal(m.values, n.values)
            for m, n in zip(a.maps.values(), b.maps.values(), strict=True)
        )
        and (a.affinity is None) == (b.affinity is None)
        and (a.affinity is None or np.array_equal(a.affinity.values, b.affinity.values))
    )


halves = hnp.arrays(np.float16, (6, 2, 3), elements=st.floats(0, 1, width=16))
singles = hnp.arrays(np.float32, (3, 4, 6), elements=st.floats(0, 2**20, width=32))


@settings(max_examples=40, deadline=None)
@given(components=halves, maps=singles, word=st.text(min_size=1, max_size=8), near=st.booleans())
def test_summaries_come_back_exactly(components, maps, word, near):
    summary = AttentionSummary(
        grid=(4, 6),
        components=(LayerComponents(layer="up.0", values=components.astype(np.float32)),),
        maps={
            "classes": TokenMaps(
                tokens=("<SoT>", word, "<EoT>"), phrases=(word,), phrase_tokens=((1,),), values=maps
            )
        },
        affinity=Affinity(grid=(2, 2), values=np.full((4, 4), 1 / 3, np.float32)) if near else None,
    )
    data = codec.encode_summary(summary)
    assert same(codec.decode_summary(data, source="x"), summary)
    assert codec.encode_summary(summary) == data


def test_components_are_stored_in_half_precision_and_nothing_holds_objects():
    values = np.linspace(0, 1, 6 * 32 * 32, dtype=np.float16).astype(np.float32).reshape(6, 32, 32)
    summary = AttentionSummary(
        grid=(32, 32), components=(LayerComponents(layer="a", values=values),), maps={}
    )
    data = codec.encode_summary(summary)
    assert len(data) < values.nbytes / 2 + 2000
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        assert arrays["components.0"].dtype == np.float16


def test_bytes_do_not_depend_on_the_clock(monkeypatch):
    summary = AttentionSummary(grid=(1, 1), components=(), maps={})
    before = codec.encode_summary(summary)
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2_000_000_000))
    assert codec.encode_summary(summary) == before


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
    for decode in (codec.decode_image, codec.decode_mask, codec.decode_agreement, codec.decode_summary):
        with pytest.raises(ImageError, match="some/file"):
            decode(data, source="some/file")


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_damaged_features_never_raise_anything_else(at, flip, cut):
    summary = AttentionSummary(
        grid=(2, 2),
        components=(LayerComponents(layer="a", values=np.zeros((3, 2, 2), np.float32)),),
        maps={},
    )
    data = bytearray(codec.encode_summary(summary))
    place = int(at * len(data))
    if cut:
        del data[place:]
    else:
        data[place] ^= flip
    with contextlib.suppress(ImageError):
        codec.decode_summary(bytes(data), source="f")


def test_a_colour_picture_is_no_mask():
    data = codec.encode_image(np.zeros((4, 4, 3), np.uint8), "png")
    with pytest.raises(ImageError, match="no mask"):
        codec.decode_mask(data, source="m")
